"""The kernels in this process: loaded and attached to llama.cpp once, before the first model."""

import ctypes
import functools
import logging
import os
from dataclasses import dataclass
from typing import Any, Final

from et_agent.kernels.building import find_build, folder, is_off, llama_library
from et_agent.kernels.instructions import InstructionSet, by_name, usable
from et_agent.kernels.threads import let_threads_sleep

__all__ = ["VARIABLE", "Kernels", "attach", "library_line"]

VARIABLE: Final = "ET_AGENT_KERNELS"
"""`off`, or the name of an instruction set, for comparisons; nothing need be set."""
_BUILD: Final = "run `et-agent kernels build`"

_log = logging.getLogger("et_agent.kernels")


@dataclass(frozen=True, slots=True)
class Kernels:
    """Whether this process uses the kernels.

    Attributes:
        instructions: Instruction set of the kernels in use; None where llama.cpp's own are.
        reason: Why llama.cpp's own are used; empty where the kernels are.
        fix: What to do about it; empty where nothing need or can be done.
        library: The loaded library; None where llama.cpp's own are used.
    """

    instructions: InstructionSet | None = None
    reason: str = ""
    fix: str = ""
    library: Any = None

    @property
    def in_use(self) -> bool:
        """Whether the kernels decode."""
        return self.library is not None

    @property
    def name(self) -> str:
        """What decodes, for results and runs: the instruction set, or "llama.cpp"."""
        return "llama.cpp" if self.instructions is None else self.instructions.name

    @property
    def explained(self) -> str:
        """Why llama.cpp's own are used, and what to do about it."""
        return f"{self.reason}; {self.fix}" if self.fix else self.reason


def library_line(version: str, kernels: str) -> str:
    """What decodes, in words: llama-cpp-python's version and `Kernels.name`."""
    return f"llama-cpp-python {version}, kernels {kernels}"


@functools.cache
def attach() -> Kernels:
    """Attach the kernels to llama.cpp, if there is a build that fits; the same answer each time.

    Call it before the first model of the process is loaded: llama.cpp asks only then who takes weights.
    """
    found = _attach()
    if found.in_use:
        _log.info("kernels for %s are in use", found.name)
    else:
        _log.info("llama.cpp's own kernels are used: %s", found.reason)
    return found


def _attach() -> Kernels:
    wanted = os.environ.get(VARIABLE, "")
    if wanted == "off":
        return Kernels(reason=f"{VARIABLE} is off")
    if wanted and wanted not in by_name():
        return Kernels(reason=f"{VARIABLE}={wanted} is none of off, {', '.join(by_name())}")
    if not wanted and is_off():
        return Kernels(
            reason="the kernels are switched off", fix="run `et-agent kernels build` to use them"
        )
    sets = [one for one in usable() if wanted in ("", one.name)]
    if not sets:
        return Kernels(reason="there are kernels for x86 CPUs with AVX2 under Linux only")
    return _load(sets[0])


def _load(instructions: InstructionSet) -> Kernels:
    llama = llama_library()
    if llama is None:
        return Kernels(reason="this llama-cpp-python has no libggml-cpu.so to attach to")
    build = find_build(instructions, llama)
    if build is None:
        kinds = [one for one in folder().glob(f"{instructions.name}-*") if one.is_dir()]
        reason = "the kernels that are there are damaged, or of another CPU, llama.cpp or et-agent"
        return Kernels(reason=reason if kinds else "the kernels are not built", fix=_BUILD)
    if build.checked:
        return Kernels(reason=f"the kernels did not pass their check: {build.checked}")
    let_threads_sleep()
    try:
        ctypes.CDLL(str(llama))  # the one that llama-cpp-python is going to have or has
        library = ctypes.CDLL(str(build.library))
        attach_to = library.et_kernels_attach
    except (OSError, AttributeError) as error:
        return Kernels(reason=f"the kernels cannot be loaded: {error}", fix=f"{_BUILD} --again")
    attach_to.restype = ctypes.c_char_p
    problem = attach_to(os.fsencode(llama))
    if problem is not None:
        return Kernels(reason=f"the kernels do not fit llama.cpp: {problem.decode()}", fix=_BUILD)
    return Kernels(instructions=instructions, library=library)
