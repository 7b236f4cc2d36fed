"""A first decode in a child process, so that a crash inside llama.cpp is an error and not the end.

llama.cpp can end the process: on a file that is damaged in a way it does not check, or by a bad
instruction. (Known: built by GCC 12 for a CPU with AMX, the tile configuration is lost to a compiler
optimisation and the first product of matrices faults.) So a model file is tried once, with the weights
repacked for the CPU and, where that crashes, without. The verdict is kept by file, build, CPU and, if
there are GPUs, by these, their driver and the layers that they get.
"""

import hashlib
import json
import logging
import platform
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from et_agent.engines.llama_cpp.devices import Placement
from et_agent.errors import ModelFileError
from et_agent.kept import change_kept, read_kept
from et_agent.kernels import attach
from et_agent.storage import cache_dir

__all__ = ["cpu_digest", "may_repack", "stopped_from_outside"]

_log = logging.getLogger("et_agent.llama_cpp")
_SECONDS = 900


def may_repack(path: Path, fingerprint: str, placement: Placement | None = None) -> bool:
    """Whether this model can be decoded with llama.cpp's repacked weights, AMX ones included.

    Takes as long as loading the model and decoding a few tokens, once per file, build, CPU and GPU.

    Raises:
        ModelFileError: llama.cpp crashes on this file either way.
    """
    placement = placement or Placement()
    parts = (fingerprint or str(path.resolve()), _build(), cpu_digest(), placement.digest())
    key = "/".join(part for part in parts if part)
    verdicts = _read_verdicts()
    if key in verdicts:
        return verdicts[key]
    repack = True
    survived = _survives(path, placement, repack=True)
    if survived is None:
        _log.warning("the trial of %s was stopped from outside; it is tried again next time", path)
        return True
    if not survived:
        _log.warning("llama.cpp crashed on %s with repacked weights: trying without", path.name)
        if _survives(path, placement, repack=False) is False:
            raise ModelFileError(
                f"llama.cpp crashes on {path}: the file is damaged or of a kind that this version "
                "cannot run; download it again, or choose another model"
            )
        repack = False
    _keep_verdict(key, repack)
    return repack


def _survives(path: Path, placement: Placement, *, repack: bool) -> bool | None:
    """Try in a child; a Python error there is left to the parent, which words it.

    None when the child ran out of time or was killed, by a lack of memory for one: that says
    nothing about the file.
    """
    module = f"{__package__}._trial_child"
    given = json.dumps({**asdict(placement), "repack": repack})
    command = [sys.executable, "-m", module, str(path), given]
    try:
        child = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    if stopped_from_outside(child.returncode):
        return None
    return 0 <= child.returncode < 128


def stopped_from_outside(code: int) -> bool:
    """Whether a child's exit code says that somebody or a lack of memory ended it; never on Windows."""
    stopping = (getattr(signal, name, None) for name in ("SIGKILL", "SIGTERM"))
    return code < 0 and -code in stopping


def _build() -> str:
    from et_agent.engines.llama_cpp.binding import llama_cpp

    library = Path(llama_cpp.__file__).parent / "lib"
    stamps = sorted(str(file.stat().st_mtime_ns) for file in library.glob("*") if file.is_file())
    kernels = attach().name
    return f"{llama_cpp.__version__}-{_short_hash(''.join(stamps))}-{kernels}"


def cpu_digest() -> str:
    """A hash of what this machine's CPU is and has."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine()
    text = info.read_text(encoding="utf-8", errors="replace")
    lines = {line for line in text.splitlines() if line.startswith(("model name", "flags"))}
    return _short_hash("".join(sorted(lines)))


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _file() -> Path:
    return cache_dir() / "trials.json"


def _read_verdicts() -> dict[str, bool]:
    return {key: value for key, value in read_kept(_file()).items() if isinstance(value, bool)}


def _keep_verdict(key: str, repack: bool) -> None:
    try:
        change_kept(_file(), lambda known: {**known, key: repack})
    except OSError as error:
        _log.warning("the verdict of the trial could not be kept: %s", error)
