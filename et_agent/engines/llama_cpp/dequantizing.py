"""A copy of a model file with its weights as float16, for CPUs that multiply those faster.

A CPU with AVX2 alone multiplies weights of 4 to 8 bits more slowly than float16 ones, since they must
be dequantized again for every batch (`benchmarks/results/dequantizing.json`). The weights are the same
but for rounding to 11 bits, which is far finer than the quantisation. The activations are rounded less.
The copy counts as the file that it was made from: calibrators, thresholds and runs apply to both. Its
price is 16 bits per weight on disk and in memory, and a slower single chain, which is bound by memory.
"""

import logging
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Final

from et_agent.engines.llama_cpp.trial import stopped_from_outside
from et_agent.errors import ModelFileError
from et_agent.storage import cache_dir, locked
from et_agent.weights.files import require_space
from et_agent.weights.gguf import GgufInfo, read_gguf
from et_agent.weights.progress import SilentProgress, TransferProgress, note_wait

__all__ = ["dequantized"]

_log = logging.getLogger(__name__)
_SECONDS: Final = 3600
_BYTES_A_WEIGHT: Final = 2
_FOLDER: Final = "unpacked"  # what it was called when the first copies were made
_NOT_QUANTIZED: Final = ("F16", "BF16", "F32")


def dequantized(
    quantized: GgufInfo, fingerprint: str, progress: TransferProgress | None = None
) -> Path:
    """Give the dequantized copy of a model file, made on first use: some seconds per gigabyte.

    Args:
        quantized: The file, as `read_gguf` tells of it. One whose weights have 16 bits or more is
            given back as it is.
        fingerprint: SHA-256 of the file, by which the copy is kept in the cache directory.
        progress: Told that the copy is being made.

    Raises:
        ModelFileError: llama.cpp cannot dequantize the file, or was stopped from outside.
        ModelDownloadError: The disk is too full for the copy.
    """
    progress = progress or SilentProgress()
    if quantized.quantisation in _NOT_QUANTIZED:
        name, weights = quantized.path.name, quantized.quantisation
        progress.note(f"{name} has {weights} weights: nothing to dequantize.")
        return quantized.path
    target = cache_dir() / _FOLDER / f"{fingerprint}.gguf"
    if _is_sound(target):
        return target
    with locked(target.with_suffix(".lock"), partial(note_wait, progress)):
        if _is_sound(target):
            return target
        target.unlink(missing_ok=True)
        need = _BYTES_A_WEIGHT * quantized.n_params
        require_space(target.parent, need, target.name)
        progress.note(f"Dequantizing the weights of {quantized.path.name} to float16, once.")
        copy = target.with_suffix(".partial")
        try:
            _dequantize(quantized.path, copy, need)
            with copy.open("rb+") as written:
                os.fsync(written.fileno())
            copy.replace(target)
        finally:
            copy.unlink(missing_ok=True)
    return target


def _is_sound(copy: Path) -> bool:
    """Whether the copy is there and whole; one that a crash cut short is made again."""
    if not copy.is_file():
        return False
    try:
        read_gguf(copy)
    except ModelFileError as error:
        _log.warning("the dequantized copy is damaged and made again: %s", error)
        return False
    return True


def _dequantize(path: Path, target: Path, need: int) -> None:
    """In a child: llama.cpp ends the process on some damaged files."""
    module = f"{__package__}._dequantize_child"
    command = [sys.executable, "-m", module, os.fspath(path), str(target)]
    try:
        child = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ModelFileError(
            f"{path} was not dequantized in {_SECONDS} s: load it quantized"
        ) from None
    if child.returncode == 0 and _is_sound(target):
        return
    _log.warning(
        "dequantizing %s ended with code %d: %s", path, child.returncode, _tail(child.stderr)
    )
    if stopped_from_outside(child.returncode):
        raise ModelFileError(
            f"dequantizing {path} was stopped from outside, by a lack of memory for one: free some, or "
            "load it quantized (without --dequantize)"
        )
    written = target.stat().st_size if target.is_file() else 0
    require_space(target.parent, need - written, target.name)
    raise ModelFileError(
        f"llama.cpp cannot dequantize the weights of {path} (it said: {_tail(child.stderr)}): load it "
        "quantized (without --dequantize)"
    )


def _tail(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else "nothing"
