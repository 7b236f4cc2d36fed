"""A chat template that is rendered in a process of its own, with limits on time and memory."""

import os
import threading
from collections.abc import Mapping
from typing import Any, Final

from et_agent.errors import UnsupportedModelError
from et_agent.limited_process import LimitedProcess, ProcessFailedError
from et_agent.templates.own_text import OwnText
from et_agent.templates.wire import from_wire, to_wire

__all__ = ["InvalidTemplateError", "IsolatedTemplate"]

_MEMORY_MIB: Final = 512
_CPU_SECONDS: Final = 3.0
_SECONDS: Final = 60.0
"""Of the clock, where the system counts no seconds of a processor or has none to spare."""
_STARTUP_SECONDS: Final = 120.0
_LARGEST_REPLY: Final = 2**28


class InvalidTemplateError(ValueError):
    """The source is no template."""


class IsolatedTemplate:
    """A chat template.

    Args:
        source: Jinja source.

    Raises:
        InvalidTemplateError: It is not valid.
        UnsupportedModelError: It takes too much time or memory.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self.names: Final = frozenset(_asked({"source": source})["names"])
        """Names that the template looks up."""

    def render(self, values: Mapping[str, Any]) -> OwnText:
        """The rendered text.

        Args:
            values: What the template gets, by name: plain JSON types. Texts are from outside unless
                they are `OwnText`.

        Raises:
            ValueError: The template raised something, or made a text that no model can read.
            UnsupportedModelError: It takes too much time or memory.
        """
        reply = _asked({"source": self._source, "values": to_wire(values)})
        text: OwnText = from_wire(reply["text"])
        text.encode("utf-8")  # half a surrogate pair, which a template can spell, is a ValueError
        return text


def _asked(request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        with _lock:
            _process.start()
            reply = _process.ask(request, _SECONDS)
    except ProcessFailedError as error:
        raise _too_much("more time or memory than", error) from error
    if "limit" in reply:
        raise _too_much(reply["limit"])
    if "invalid" in reply:
        raise InvalidTemplateError(reply["invalid"])
    if "error" in reply:
        raise ValueError(reply["error"])
    return reply


def _too_much(what: str, error: ProcessFailedError | None = None) -> UnsupportedModelError:
    why = "" if error is None else f" ({error})"
    return UnsupportedModelError(
        f"the model's chat template takes {what} it may have: {_CPU_SECONDS:g} s and {_MEMORY_MIB} MiB"
        f"{why}; use a plain prompt (--chat plain), or another model file"
    )


_lock = threading.Lock()
# One for all templates: to start one takes as long as to render a thousand prompts.
_process: Final = LimitedProcess(
    ["-m", f"{__package__}._rendering_child", str(_MEMORY_MIB), str(_CPU_SECONDS)],
    startup_seconds=_STARTUP_SECONDS,
    most_reply=_LARGEST_REPLY,
)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
