"""Which instruction sets the kernels are written for, and which of them this CPU has."""

import functools
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["InstructionSet", "by_name", "cpu_features", "usable"]


@dataclass(frozen=True, slots=True)
class InstructionSet:
    """A set of instructions that one build of the kernels uses.

    Attributes:
        name: Its name, as the compiled library knows it.
        features: What the CPU must have, as Linux lists it.
        flags: How the compiler is told.
    """

    name: str
    features: frozenset[str]
    flags: tuple[str, ...]


_AVX2: Final = frozenset({"avx2", "fma", "f16c", "bmi2"})
_AVX2_FLAGS: Final = ("-mavx2", "-mfma", "-mf16c", "-mbmi2")

INSTRUCTION_SETS: Final = (
    InstructionSet(
        "avx512-vnni",
        _AVX2 | {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"},
        (
            *_AVX2_FLAGS,
            *(f"-mavx512{part}" for part in ("f", "bw", "vl", "dq", "vnni")),
            "-mprefer-vector-width=512",
        ),
    ),
    InstructionSet("avx-vnni", _AVX2 | {"avx_vnni"}, (*_AVX2_FLAGS, "-mavxvnni")),
    InstructionSet("avx2", _AVX2, _AVX2_FLAGS),
)
"""The best one first."""


@functools.cache
def cpu_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Features of this machine's CPU, as Linux lists them; empty where that cannot be read."""
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            flags = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return frozenset()
    return frozenset(flags.partition(":")[2].split())


def by_name() -> dict[str, InstructionSet]:
    """All instruction sets, the best one first."""
    return {one.name: one for one in INSTRUCTION_SETS}


def usable() -> list[InstructionSet]:
    """Instruction sets that this machine can run, the best one first; none off Linux on x86."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        return []
    return [one for one in INSTRUCTION_SETS if one.features <= cpu_features()]
