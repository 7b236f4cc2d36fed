"""What was found out about this machine and its files: JSON in the cache, made anew if it is lost.

Nothing of it is needed: a file that cannot be read counts as empty, whatever it is, and one that
another process holds for long is written all the same.
"""

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from et_agent.storage import read_regular, try_locked, write_atomically

__all__ = ["change_kept", "read_kept"]

_MOST_BYTES: Final = 16 << 20
_PATIENCE: Final = 2.0
"""Seconds that another process is waited for."""


def read_kept(path: Path) -> dict[str, Any]:
    """What a file keeps; empty where there is none, or where it cannot be read."""
    try:
        found = json.loads(read_regular(path, most=_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def change_kept(path: Path, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    """Replace what a file keeps by what `change` makes of it; changes of processes follow one another.

    Raises:
        OSError: It cannot be written.
    """
    with contextlib.ExitStack() as stack:
        last = time.monotonic() + _PATIENCE
        while not stack.enter_context(try_locked(path.parent / f".{path.name}.lock")):
            if time.monotonic() > last:
                break
            time.sleep(0.01)
        write_atomically(path, json.dumps(change(read_kept(path)), indent=1) + "\n")
