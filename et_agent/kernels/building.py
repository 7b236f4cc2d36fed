"""Builds the kernels with the machine's compiler, checks them, and keeps them in the cache folder.

A build lies in a folder that is named by all it depends on. It is made beside it and moved there when
it is whole and was checked, so that whoever reads sees a complete build or none.
"""

import contextlib
import errno
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from et_agent.errors import KernelError
from et_agent.extras import compiler_hint
from et_agent.kernels.checking import check_library
from et_agent.kernels.instructions import InstructionSet, cpu_features, usable
from et_agent.storage import cache_dir, locked, read_regular, write_atomically

__all__ = [
    "Build",
    "build",
    "compile_library",
    "find_build",
    "find_compiler",
    "folder",
    "is_off",
    "llama_library",
    "switch",
]

_SOURCE: Final = Path(__file__).parent / "source"
_LIBRARY: Final = "libet_kernels.so"
_MANIFEST: Final = "build.json"
_LARGEST: Final = 64 << 20
"""A larger file is none of ours, bytes."""
_OFF: Final = "off"
_COMPILERS: Final = ("c++", "g++", "clang++")
_FLAGS: Final = (
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-fopenmp",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
)
_SECONDS: Final = 900


@dataclass(frozen=True, slots=True)
class Build:
    """A compiled library and what it belongs to.

    Attributes:
        instructions: Its instruction set.
        llama_cpp_python: Version of llama-cpp-python.
        key: Name of its folder: a hash of all it depends on.
        compiler: Version line of the compiler.
        sha256: Of the library.
        checked: What the check found; empty when it found nothing wrong.
    """

    instructions: str
    llama_cpp_python: str
    key: str
    compiler: str
    sha256: str
    checked: str

    @property
    def library(self) -> Path:
        """The compiled library."""
        return folder() / self.key / _LIBRARY


def folder() -> Path:
    """Where builds are kept."""
    return cache_dir() / "kernels"


def is_off() -> bool:
    """Whether the kernels are switched off for this user."""
    return (folder() / _OFF).exists()


def switch(*, on: bool) -> None:
    """Use the kernels from now on, or do not.

    Raises:
        KernelError: The cache folder cannot be written.
    """
    mark = folder() / _OFF
    try:
        if on:
            mark.unlink(missing_ok=True)
        else:
            write_atomically(mark, "")
    except OSError as error:
        raise KernelError(f"{mark} cannot be changed: {error.strerror}") from error


def llama_library() -> Path | None:
    """The CPU library of the installed llama.cpp; None where there is none of its own."""
    named = os.environ.get("LLAMA_CPP_LIB_PATH")
    spec = importlib.util.find_spec("llama_cpp")
    if named is None and (spec is None or spec.origin is None):
        return None
    place = Path(named) if named else Path(str(spec and spec.origin)).parent / "lib"
    # The first is what others ask for. It may be a copy, so that the second would be another library.
    names = (place / "libggml-cpu.so.0", place / "libggml-cpu.so")
    return next((library.resolve() for library in names if library.is_file()), None)


def key_of(instructions: InstructionSet, library: Path) -> str:
    """Name of the build that fits this llama.cpp, our sources and this CPU."""
    digest = hashlib.sha256(instructions.name.encode())
    # llama.cpp's libraries stand for its version and sources: a build of another is another file.
    for part in (*sorted(library.parent.glob("libggml-*.so")), *_sources()):
        digest.update(part.name.encode() + b"\0" + _sha256(part, part.stat().st_mtime_ns).encode())
    digest.update(" ".join(sorted(cpu_features())).encode())
    digest.update(" ".join(_FLAGS + instructions.flags).encode())
    return f"{instructions.name}-{digest.hexdigest()[:16]}"


def _sources() -> list[Path]:
    return sorted(one for one in _SOURCE.iterdir() if one.suffix in (".cpp", ".h"))


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, _modified: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def find_build(instructions: InstructionSet, library: Path) -> Build | None:
    """The build for this machine and llama.cpp; None where there is none or it is damaged."""
    key = key_of(instructions, library)
    try:
        found = Build(**json.loads(read_regular(folder() / key / _MANIFEST, most=_LARGEST)))
        library_bytes = read_regular(found.library, most=_LARGEST)
        whole = hashlib.sha256(library_bytes).hexdigest() == found.sha256
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return found if whole and found.key == key else None


def build(
    instructions: InstructionSet | None = None,
    *,
    again: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Build:
    """Compile and check the kernels for this machine, unless that was done: half a minute.

    Args:
        instructions: For which instruction set; None for the best that the CPU has.
        again: Build even where a build is there.
        say: Told what is being done.

    Raises:
        KernelError: There are no kernels for this machine, no compiler that can, no room on the disk,
            or the check found them wrong.
    """
    library = llama_library()
    if library is None:
        raise KernelError(
            "this llama-cpp-python has no libggml-cpu.so to attach to: build it from source with "
            "`pip install --no-binary llama-cpp-python llama-cpp-python`"
        )
    wanted = instructions or next(iter(usable()), None)
    if wanted is None:
        raise KernelError(
            "there are kernels for x86 CPUs with AVX2 under Linux only: llama.cpp's own products are "
            "used here"
        )
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with locked(folder() / ".lock", lambda: say("waiting for another build of the kernels")):
            found = None if again else find_build(wanted, library)
            if found is None:
                _remove_leftovers()
                found = _build(wanted, library, say)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise KernelError(
            f"the kernels cannot be kept in {folder()}: {error.strerror or error}; "
            f"{'free some space' if full else 'mend its rights, or move away what is in its place'}, "
            "or set ET_AGENT_CACHE to a writable folder"
        ) from error
    if found.checked:
        raise KernelError(f"the kernels are not used, for they are wrong: {found.checked}")
    return found


def _build(wanted: InstructionSet, library: Path, say: Callable[[str], None]) -> Build:
    key = key_of(wanted, library)
    compiler, version = find_compiler()
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder()) as place:
        made = Path(place) / key
        made.mkdir()
        say(f"compiling kernels for {wanted.name} with {version}")
        compile_library(compiler, wanted.flags, made / _LIBRARY)
        say("checking them against float64 and llama.cpp's own products")
        found = Build(
            instructions=wanted.name,
            llama_cpp_python=importlib.metadata.version("llama-cpp-python"),
            key=key,
            compiler=version,
            sha256=hashlib.sha256((made / _LIBRARY).read_bytes()).hexdigest(),
            checked=check_library(made / _LIBRARY, library),
        )
        (made / _MANIFEST).write_text(json.dumps(asdict(found), indent=1), "utf-8")
        for file in made.iterdir():
            with file.open("rb") as written:
                os.fsync(written.fileno())
        target = folder() / key
        if target.exists():  # damaged, or to be made again; who has it loaded keeps it
            target.rename(Path(place) / "replaced")
        made.rename(target)
    return found


def compile_library(compiler: list[str], flags: Sequence[str], target: Path) -> None:
    """Compile the sources into a library.

    Args:
        compiler: The compiler as a command.
        flags: Those of the instruction set.
        target: The library.

    Raises:
        KernelError: The compiler failed.
    """
    command = [*compiler, *_FLAGS, *flags]
    units = [str(one) for one in _sources() if one.suffix == ".cpp"]
    process = subprocess.Popen(
        [*command, *units, "-o", str(target)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=os.environ | {"LC_ALL": "C"},  # what it says is looked at below
        start_new_session=True,  # so that what the compiler starts ends with it
    )
    with process:
        try:
            _, errors = process.communicate(timeout=_SECONDS)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise KernelError(f"the compiler did not end within {_SECONDS} s") from None
            raise
    if process.returncode or not target.is_file():
        lines = [line for line in errors.splitlines() if "error" in line.lower()]
        said = (lines or errors.splitlines() or ["nothing"])[0][:200]
        full = os.strerror(errno.ENOSPC) in errors
        fix = (
            f"free some space in {folder()} and {tempfile.gettempdir()}, or name another temporary "
            "folder with TMPDIR"
            if full
            else "try another compiler with CXX=clang++, or GCC 10 or later"
        )
        raise KernelError(f"{command[0]} cannot compile the kernels (it said: {said}): {fix}")


def find_compiler() -> tuple[list[str], str]:
    """The C++ compiler as a command, and its version line.

    Raises:
        KernelError: There is none.
    """
    named = os.environ.get("CXX")
    for name in (named,) if named else _COMPILERS:
        # A value whose quotes are not closed is no command either.
        with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
            command = shlex.split(name)
            if command and shutil.which(command[0]):
                said = subprocess.run(
                    [*command, "--version"],
                    capture_output=True,
                    encoding="utf-8",
                    errors="replace",
                    timeout=60,
                    check=True,
                )
                return command, said.stdout.partition("\n")[0].strip()
    raise KernelError(
        f"there is no C++ compiler: {compiler_hint()}, and run `et-agent kernels build`"
        if not named
        else f"CXX names {named}, which is no compiler here: unset it, or name another one"
    )


def _remove_leftovers() -> None:
    """Remove what builds that were cut short have left; the lock is held."""
    for other in folder().glob(".building-*"):
        shutil.rmtree(other, ignore_errors=True)
