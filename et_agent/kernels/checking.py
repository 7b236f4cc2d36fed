"""Whether compiled kernels compute what they should: in a child process, since wrong ones may crash."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

__all__ = ["check_library"]

_SECONDS: Final = 300


def check_library(kernels: Path, llama: Path) -> str:
    """Compare a build with float64 and with llama.cpp's own products on random weights.

    Args:
        kernels: The compiled library.
        llama: llama.cpp's CPU library, to which it is to be attached.

    Returns:
        What is wrong with it; empty when nothing is.
    """
    command = [sys.executable, "-m", f"{__package__}._check_child", str(kernels), str(llama)]
    try:
        child = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"they did not end within {_SECONDS} s"
    if child.returncode < 0:
        return f"they crashed with signal {-child.returncode}"
    try:
        problems = json.loads(child.stdout.splitlines()[-1])["problems"]
    except (ValueError, LookupError, TypeError):
        said = (child.stderr.strip().splitlines() or ["nothing"])[-1][:200]
        return f"the check ended with code {child.returncode} and said: {said}"
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    return f"{problems[0]}{more}" if problems else ""
