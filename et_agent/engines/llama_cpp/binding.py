"""llama-cpp-python, loaded with what must stand before its library is, and ggml's own functions."""

import ctypes
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from et_agent.kernels.threads import let_threads_sleep

__all__ = ["ggml_function", "llama_cpp"]

let_threads_sleep()

import llama_cpp  # noqa: E402


@functools.cache
def _libraries() -> tuple[Any, ...]:
    llama = llama_cpp.llama_cpp._lib
    if os.name != "nt":
        # What llama's library needs is found through it. Loading libggml by name maps a second copy.
        return (llama,)
    # There a library gives its own functions only, and a path is the copy that is loaded.
    folder = Path(llama_cpp.__file__).parent / "lib"
    found = [folder / f"{name}.dll" for name in ("ggml", "ggml-base")]
    return (llama, *(ctypes.CDLL(str(path)) for path in found if path.is_file()))


def ggml_function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of ggml that llama-cpp-python does not declare.

    Args:
        name: Its name.
        result: The ctypes type that it returns; None for nothing.
        arguments: The ctypes types that it takes.

    Raises:
        AttributeError: This llama.cpp has no such function.
    """
    for library in _libraries():
        if hasattr(library, name):
            # Not an attribute: that would be shared with whoever declares it differently.
            function: Callable[..., Any] = library[name]
            function.restype = result  # type: ignore[attr-defined]
            function.argtypes = list(arguments)  # type: ignore[attr-defined]
            return function
    raise AttributeError(f"this llama.cpp has no function {name}")
