"""Compiler flags without which llama.cpp crashes on this CPU.

GCC's `_tile_loadconfig` (amxtileintrin.h, in GCC 12 for one) tells the compiler of 8 of the 64
bytes that it reads. Dead-store elimination then drops the rest of the tile configuration, and
llama.cpp's first matrix product ends in a segmentation fault. Rather than keep a list of
compilers, a program that configures tiles as llama.cpp does is built and run.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from toolchain import COMPILERS, works

KEEP_STORES = ("-fno-tree-dce", "-fno-tree-dse", "-fno-dse", "-fno-dce")
NO_AMX = ("-mno-amx-tile", "-mno-amx-int8", "-mno-amx-bf16")

# In a function of its own, or GCC 12 keeps the stores. Where the system does not permit tiles,
# llama.cpp does without, so that is no failure.
AMX_PROGRAM = r"""
#if !defined(__AMX_TILE__) || !defined(__AMX_INT8__)
#error this compiler makes no AMX code
#endif
#include <immintrin.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct tile_config {
    unsigned char palette = 0, start_row = 0, reserved[14] = {0};
    unsigned short row_bytes[16] = {0};
    unsigned char rows[16] = {0};
};

__attribute__((noinline)) void configure_tiles() {
    static thread_local bool done = false;
    if (done) return;
    alignas(64) tile_config config = {};
    config.palette = 1;
    config.rows[0] = 8;
    config.row_bytes[0] = 64;
    config.rows[2] = 16;
    config.row_bytes[2] = 32;
    config.rows[4] = 16;
    config.row_bytes[4] = 64;
    _tile_loadconfig(&config);
    done = true;
}

void end(int) { _exit(2); }

int main() {
    signal(SIGSEGV, end);
    signal(SIGILL, end);
    signal(SIGBUS, end);
    const int request_permission = 0x1023, tile_data = 18;
    if (syscall(SYS_arch_prctl, request_permission, tile_data)) return 0;
    configure_tiles();
    static signed char a[16 * 32], b[8 * 64];
    static int sums[16 * 16];
    memset(a, 1, sizeof a);
    memset(b, 2, sizeof b);
    _tile_loadd(0, b, 64);
    _tile_loadd(2, a, 32);
    _tile_zero(4);
    _tile_dpbssd(4, 2, 0);
    _tile_stored(4, sums, 64);
    for (int sum : sums)
        if (sum != 32 * 1 * 2) return 1;
    return 0;
}
"""
PLAIN_PROGRAM = """
#ifdef __AMX_TILE__
#error AMX is still on
#endif
int main() { return 0; }
"""


class Outcome(Enum):
    """What became of a test program."""

    WORKS = "works"
    FAILS = "fails"
    NO_CODE = "does not compile"


# Takes a program and flags, builds it and runs it.
Probe = Callable[[str, Sequence[str]], Outcome]


def has_amx(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether this is x86-64 Linux on a CPU with tiles; reads as far as the first CPU."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return False
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            flags = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return False
    return "amx_tile" in flags.split()


def probe_version(*, amx: bool) -> str:
    """Name what a probe would test here; empty where there is nothing to test."""
    parts = (AMX_PROGRAM, PLAIN_PROGRAM, *KEEP_STORES, *NO_AMX)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16] if amx else ""


def choose_flags(probe: Probe) -> tuple[tuple[str, ...], str]:
    """Choose the flags with which AMX works, or AMX is off, and say why; the first that does."""
    first = probe(AMX_PROGRAM, ())
    if first is Outcome.NO_CODE:
        return (), "the compiler makes no AMX code: no flags are needed"
    if first is Outcome.WORKS:
        return (), "the compiler's AMX code works: no flags are needed"
    for program, flags in ((AMX_PROGRAM, KEEP_STORES), (PLAIN_PROGRAM, NO_AMX)):
        if probe(program, flags) is Outcome.WORKS:
            return flags, f"a fault of the compiler is built around with {' '.join(flags)}"
    return (
        (),
        "the compiler's AMX code crashes and no flags help: try another, CC=clang CXX=clang++",
    )


def cmake_setting(cmake_args: str, name: str) -> str:
    """Read what CMAKE_ARGS sets a variable to; the last one counts, as for CMake."""
    try:
        words = shlex.split(cmake_args)
    except ValueError:
        words = cmake_args.split()
    found = [re.fullmatch(rf"(?:-D)?{name}(?::\w+)?=(.*)", word, re.DOTALL) for word in words]
    return next((setting[1] for setting in reversed(found) if setting), "")


def is_native(cmake_args: str) -> bool:
    """Tell whether llama.cpp is built for this very CPU, as it is unless told otherwise."""
    return cmake_setting(cmake_args, "GGML_NATIVE").upper() not in {"OFF", "0", "NO", "N", "FALSE"}


def cxx_compiler(environ: Mapping[str, str], cmake_args: str) -> str:
    """Name the C++ compiler that CMake will take; empty when there is none."""
    if named := cmake_setting(cmake_args, "CMAKE_CXX_COMPILER") or environ.get("CXX", ""):
        return named
    _, language, names, source = next(row for row in COMPILERS if row[0] == "CXX")
    return next((name for name in names if works(name, language, source)), "")


def run_program(compiler: str, flags: Sequence[str], source: str, folder: Path) -> Outcome:
    """Build a C++ program with these flags and run it; a wrong result counts as a failure."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        program = Path(place) / "probe"
        command = [*shlex.split(compiler), "-x", "c++", "-", "-o", str(program), *flags]
        try:
            subprocess.run(
                command, input=source, text=True, capture_output=True, check=True, timeout=120
            )
        except (OSError, subprocess.SubprocessError):
            return Outcome.NO_CODE
        try:
            subprocess.run([program], cwd=place, capture_output=True, check=True, timeout=30)
        except (OSError, subprocess.SubprocessError):
            return Outcome.FAILS
    return Outcome.WORKS


def compiler_probe(environ: Mapping[str, str], cmake_args: str, folder: Path) -> Probe:
    """Make the probe that compiles as llama.cpp will be, with files in `folder`."""
    compiler = cxx_compiler(environ, cmake_args)
    # CMake reads CXXFLAGS only where it is not told CMAKE_CXX_FLAGS.
    own = shlex.split(cmake_setting(cmake_args, "CMAKE_CXX_FLAGS") or environ.get("CXXFLAGS", ""))

    def probe(source: str, flags: Sequence[str]) -> Outcome:
        if not compiler:
            return Outcome.NO_CODE
        return run_program(compiler, [*own, *flags, "-O3", "-march=native"], source, folder)

    return probe


@dataclass(frozen=True)
class Build:
    """How llama.cpp is built.

    Attributes:
        cmake_args: the user's CMAKE_ARGS.
        cpu_flags: the compiler flags that this CPU was found to need.
        probe: the version of the probe that found them; empty where none was run.
    """

    cmake_args: str = ""
    cpu_flags: str = ""
    probe: str = ""

    @classmethod
    def from_stamp(cls, stamp: Mapping[str, str]) -> Build:
        """Read the build that a stamp names."""
        return cls(*(stamp.get(name, "") for name in ("cmake_args", "cpu_flags", "probe")))

    def is_asked_for(self, cmake_args: str, probe: str) -> bool:
        """Tell whether this build will do; what is empty asks for nothing.

        Args:
            cmake_args: the user's CMAKE_ARGS.
            probe: the version of the probe that belongs to this CPU.
        """
        return cmake_args in {"", self.cmake_args} and probe in {"", self.probe}

    def cache_name(self) -> str:
        """Name pip's cache folder for this build; empty for an ordinary one.

        pip's cache does not know with which flags a wheel was built. Where AMX is, even a build
        without flags has its own: the ordinary one may hold a wheel that crashes.
        """
        if not (self.cmake_args or self.cpu_flags or self.probe):
            return ""
        parts = f"{self.cmake_args}\0{self.cpu_flags}\0{self.probe}"
        return f"et-agent-{hashlib.sha256(parts.encode()).hexdigest()[:12]}"

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Give the variables that CMake is to read, the user's own flags included."""
        variables = {"CMAKE_ARGS": self.cmake_args} if self.cmake_args else {}
        if self.cpu_flags:
            for name in ("CFLAGS", "CXXFLAGS"):
                variables[name] = f"{environ.get(name, '')} {self.cpu_flags}".strip()
        return variables
