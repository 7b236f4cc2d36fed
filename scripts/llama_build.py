"""What no tool tells of llama.cpp's build: compilers, and what this CPU has and needs.

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
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from et_agent.extras import compiler_hint  # noqa: E402

LLAMA = "llama-cpp-python"
READY_MADE = "Or name an index of ready-made wheels, make … LLAMA_INDEX=address: docs/install.md."
AMX_PROGRAM = Path(__file__).with_name("amx_probe.cpp").read_text("utf-8")
PLAIN_PROGRAM = "#ifdef __AMX_TILE__\n#error AMX is still on\n#endif\nint main() { return 0; }\n"
KEEP_STORES = ("-fno-tree-dce", "-fno-tree-dse", "-fno-dse", "-fno-dce")
NO_AMX = ("-mno-amx-tile", "-mno-amx-int8", "-mno-amx-bf16")
# What llama.cpp has code for; other features come and go with kernels.
FEATURES = re.compile(r"\b(?:(?:avx|amx|fma|f16c|bmi2|s?sse|sve|asimd|i8mm)\w*|sme\b)")
# The variable that names the compiler, its language, who is tried without it, a test.
COMPILERS = (
    ("CC", "c", ("cc", "gcc", "clang"), "#include <stdio.h>\n"),
    ("CXX", "c++", ("c++", "g++", "clang++"), "#include <vector>\n"),
)
# Takes a program and flags, builds it and runs it: True where it works, None where it is no code.
Probe = Callable[[str, Sequence[str]], bool | None]


def works(compiler: str, language: str, source: str) -> bool:
    """Tell whether the compiler takes a source file that includes a system header."""
    command = [*shlex.split(compiler), "-x", language, "-fsyntax-only", "-"]
    try:
        return not subprocess.run(
            command, input=source, capture_output=True, text=True, check=False
        ).returncode
    except OSError:
        return False


def missing_compiler(environ: Mapping[str, str]) -> str:
    """Say which compiler is missing and how to install it; empty where C and C++ work."""
    for variable, language, names, source in COMPILERS:
        tried = (environ[variable],) if environ.get(variable) else names
        if not any(works(name, language, source) for name in tried):
            return (
                f"llama.cpp is built from source, and no {language.upper()} compiler works here "
                f"(tried {', '.join(tried)}).\nFix: {compiler_hint()}. {READY_MADE}"
            )
    return ""


def cpu_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """List what the first CPU has of the features that matter; reads no further than that."""
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            line = next((x for x in lines if x.lower().startswith(("flags", "features"))), "")
    except OSError:
        line = ""
    return [platform.machine(), *sorted(set(FEATURES.findall(line.partition(":")[2])))]


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
    _, language, names, source = COMPILERS[1]
    return next((name for name in names if works(name, language, source)), "")


def run_program(compiler: str, flags: Sequence[str], source: str) -> bool | None:
    """Build a C++ program and run it; None where it does not compile."""
    with tempfile.TemporaryDirectory() as place:
        command = [*shlex.split(compiler), "-x", "c++", "-", "-o", f"{place}/probe", *flags]
        try:
            code = source.encode()
            subprocess.run(command, input=code, capture_output=True, check=True, timeout=120)
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
        try:
            subprocess.run(f"{place}/probe", capture_output=True, check=True, timeout=30)
        except (OSError, subprocess.SubprocessError):
            return False
    return True


def compiler_probe(environ: Mapping[str, str], cmake_args: str) -> Probe:
    """Make the probe that compiles as llama.cpp will be."""
    compiler = cxx_compiler(environ, cmake_args)
    # CMake reads CXXFLAGS only where it is not told CMAKE_CXX_FLAGS.
    own = shlex.split(cmake_setting(cmake_args, "CMAKE_CXX_FLAGS") or environ.get("CXXFLAGS", ""))
    native = ("-O3", "-march=native")
    return lambda source, flags: run_program(compiler, [*own, *flags, *native], source)


def choose_flags(probe: Probe) -> tuple[tuple[str, ...], str]:
    """Choose the flags with which AMX works, or AMX is off, and say why; the first that does."""
    plain = probe(AMX_PROGRAM, ())
    if plain is None:
        return (), "the compiler makes no AMX code: no flags are needed"
    if plain:
        return (), "the compiler's AMX code works: no flags are needed"
    for program, flags in ((AMX_PROGRAM, KEEP_STORES), (PLAIN_PROGRAM, NO_AMX)):
        if probe(program, flags):
            return flags, f"a fault of the compiler is built around with {' '.join(flags)}"
    return (), "the compiler's AMX code crashes, no flags help: try another, CC=clang CXX=clang++"


@dataclass(frozen=True)
class Build:
    """How llama.cpp is built.

    Attributes:
        cmake_args: the user's CMAKE_ARGS.
        cpu: the features of the CPU that it is for; empty where it is for any.
        flags: the compiler flags that this CPU was found to need.
    """

    cmake_args: str = ""
    cpu: str = ""
    flags: str = ""

    def serves(self, cmake_args: str) -> bool:
        """Tell whether this build will do here; empty CMAKE_ARGS ask for nothing."""
        return cmake_args in {"", self.cmake_args} and self.cpu == cpu_of(self.cmake_args)

    def setting(self) -> str:
        """Name the build to uv, which keeps builds of other settings apart in its cache."""
        parts = f"{self.cmake_args}\0{self.cpu}\0{self.flags}"
        name = hashlib.sha256(parts.encode()).hexdigest()[:12]
        return f"{LLAMA}:cmake.define.ET_AGENT_BUILD={name}"

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Give the variables that CMake is to read, the user's own flags included."""
        variables = {"CMAKE_ARGS": self.cmake_args} if self.cmake_args else {}
        if self.flags:
            for name in ("CFLAGS", "CXXFLAGS"):
                variables[name] = f"{environ.get(name, '')} {self.flags}".strip()
        return variables


def cpu_of(cmake_args: str) -> str:
    """Name the CPU that such a build is for; empty where it is for any."""
    return " ".join(cpu_features()) if is_native(cmake_args) else ""


def choose_build(
    environ: Mapping[str, str], present: Build | None, say: Callable[[str], None]
) -> Build:
    """Decide how llama.cpp is to be built; a build that is there and will do decides."""
    asked = environ.get("CMAKE_ARGS", "")
    if present and present.serves(asked):
        return present
    # A later build keeps the user's flags of the first.
    cmake_args = asked or (present.cmake_args if present else "")
    cpu = cpu_of(cmake_args)
    if "amx_tile" not in cpu.split():
        return Build(cmake_args, cpu)
    flags, reason = choose_flags(compiler_probe(environ, cmake_args))
    say(f"  this CPU has AMX; {reason}")
    if flags and cmake_setting(cmake_args, "CMAKE_CXX_FLAGS"):
        say("  CMAKE_CXX_FLAGS in CMAKE_ARGS keeps them out: name them there too")
    return Build(cmake_args, cpu, " ".join(flags))
