"""Whether compiled kernels compute what they should: in a child process, since wrong ones may crash."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from et_agent.errors import KernelError

__all__ = ["check_library"]

_SECONDS: Final = 300


def check_library(kernels: Path, llama: Path) -> str:
    """Compare a build with float64 and with llama.cpp's own products on random weights.

    Args:
        kernels: The compiled library.
        llama: llama.cpp's CPU library, to which it is to be attached.

    Returns:
        What is wrong with it; empty when nothing is.

    Raises:
        KernelError: The check did not come to its end, for lack of memory or time perhaps: that says
            nothing about the build.
    """
    module = f"{__package__}._check_child"
    try:
        child = subprocess.run(
            # With -P, or a numpy.py in the folder of the caller would come before numpy.
            [sys.executable, "-P", "-m", module, str(kernels), str(llama)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=os.environ | {"PYTHONPATH": os.pathsep.join(one or os.curdir for one in sys.path)},
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _unchecked(f"it did not end within {_SECONDS} s") from None
    if child.returncode in (-signal.SIGKILL, -signal.SIGTERM):
        raise _unchecked("it was stopped from outside, perhaps for lack of memory")
    if child.returncode < 0:
        return f"they crashed with signal {-child.returncode}"
    try:
        problems = json.loads(child.stdout.splitlines()[-1])["problems"]
    except (ValueError, LookupError, TypeError):
        said = (child.stderr.strip().splitlines() or ["nothing"])[-1][:200]
        raise _unchecked(f"it ended with code {child.returncode} and said: {said}") from None
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    return f"{problems[0]}{more}" if problems else ""


def _unchecked(why: str) -> KernelError:
    return KernelError(f"the kernels could not be checked: {why}; try again")
