"""llama.cpp's log, sent to `logging`; and what it said while something was tried."""

import contextlib
import ctypes
import logging
from collections.abc import Iterator
from typing import Any, Final

from et_agent.engines.llama_cpp.binding import llama_cpp

__all__ = ["last_words"]

_log = logging.getLogger("et_agent.llama_cpp")
_listening: Final[list[list[str]]] = []


def _route_logs() -> Any:
    """Send llama.cpp's log lines to `logging`, whole lines at a time."""
    levels = {3: logging.WARNING, 4: logging.ERROR}
    pending: dict[str, Any] = {"text": "", "level": logging.DEBUG}

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
    def on_log(level: int, text: bytes, _user_data: Any) -> None:
        with contextlib.suppress(Exception):
            if level != 5:  # GGML_LOG_LEVEL_CONT goes on with the line before
                pending["level"] = levels.get(level, logging.DEBUG)
            pending["text"] += text.decode("utf-8", "replace")
            *lines, pending["text"] = pending["text"].split("\n")
            for line in lines:
                if line.strip(" ."):
                    _log.log(pending["level"], "%s", line.rstrip())
                    if pending["level"] >= logging.WARNING:
                        for heard in _listening:
                            heard.append(line)

    llama_cpp.llama_log_set(on_log, ctypes.c_void_p(0))
    return on_log


_LOG_CALLBACK: Final = _route_logs()


@contextlib.contextmanager
def last_words() -> Iterator[list[str]]:
    """Collect llama.cpp's warnings and errors, also those of other models of this process."""
    heard: list[str] = []
    _listening.append(heard)
    try:
        yield heard
    finally:
        # By identity: another list may hold the same lines.
        _listening[:] = [one for one in _listening if one is not heard]
