"""A copy of a model file with its weights unpacked to float16, for CPUs that multiply those faster.

Batches of 16 and more rows are bound by arithmetic. A CPU with AVX2 alone multiplies 4 to 8 bit
weights, which must be unpacked again for every batch, more slowly than float16 ones
(`benchmarks/results/unpacking.json`). The weights are the same but for rounding to 11 bits, far finer
than the quantisation; the activations are rounded less. The price: 16 bits a weight on disk and in
memory, and a slower single chain, which is bound by memory.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from et_agent.errors import ModelFileError
from et_agent.models.files import cache_dir, locked, require_space
from et_agent.models.progress import Progress, SilentProgress

__all__ = ["unpacked"]

_SECONDS: Final = 3600
_MOST_GROWTH: Final = 4
"""Of a file with 4 bits a weight; the space is checked before the work."""


def unpacked(path: Path, fingerprint: str, progress: Progress | None = None) -> Path:
    """Give the unpacked copy of a model file, made on first use: some seconds a gigabyte.

    Args:
        path: A GGUF file; the first part of a split one.
        fingerprint: SHA-256 of the file, by which the copy is kept in the cache directory.
        progress: Told that the copy is being made.

    Raises:
        ModelFileError: llama.cpp cannot unpack the file.
        ModelDownloadError: The disk is too full for the copy.
    """
    target = cache_dir() / "unpacked" / f"{fingerprint}.gguf"
    if target.is_file():
        return target
    progress = progress or SilentProgress()
    with locked(target.with_suffix(".lock"), progress):
        if target.is_file():
            return target
        require_space(target.parent, _MOST_GROWTH * path.stat().st_size, target.name)
        progress.note(f"Unpacking the weights of {path.name} to float16, once.")
        partial = target.with_suffix(".partial")
        try:
            _unpack(path, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    return target


def _unpack(path: Path, target: Path) -> None:
    """In a child: llama.cpp ends the process on some damaged files."""
    command = [sys.executable, "-m", "et_agent.models._unpack_child", os.fspath(path), str(target)]
    try:
        child = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ModelFileError(f"{path} was not unpacked in {_SECONDS} s: load it packed") from None
    if child.returncode != 0 or not target.is_file():
        raise ModelFileError(
            f"llama.cpp cannot unpack the weights of {path}: load it packed (without --unpack)"
        )
