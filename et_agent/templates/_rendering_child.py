"""The process that renders chat templates, which are programs out of model files.

Jinja's sandbox keeps them from reaching anything; the limits here keep them from taking all time and
all memory. A request holds a template's source and, to render it, what it gets. See `isolated.py`.
"""

import functools
import json
import signal
import sys
from typing import Any, Final

from et_agent.templates.rendering import Template
from et_agent.templates.wire import from_wire, to_wire

try:
    import resource
except ImportError:  # Windows, where the parent's time limit has to do
    resource = None  # type: ignore[assignment]

LONGEST_TEXT: Final = 2**25
"""Characters of a rendered text."""


def main(memory_mib: int, cpu_seconds: float) -> None:
    """Serve requests until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory(memory_mib * 2**20)
    _say({"id": 0})
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        _limit_time(cpu_seconds)
        try:
            reply = _reply(request)
        except MemoryError:
            reply = {"limit": "more memory than"}
        except Exception as error:  # a template may raise anything
            reply = {"error": str(error) or type(error).__name__}
        _limit_time(0)
        _say({"id": request["id"], **reply})


def _reply(request: dict[str, Any]) -> dict[str, Any]:
    try:
        template = _template(request["source"])
    except MemoryError:
        raise
    except Exception as error:  # to compile it evaluates what is constant in it
        return {"invalid": str(error) or type(error).__name__}
    if "values" not in request:
        return {"names": sorted(template.names)}
    text = template.render(from_wire(request["values"]))
    return {"limit": "a longer text than"} if len(text) > LONGEST_TEXT else {"text": to_wire(text)}


@functools.lru_cache(64)
def _template(source: str) -> Template:
    return Template(source)


def _limit_time(seconds: float) -> None:
    # The signal keeps its default action, which works where no Python code runs.
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit_memory(size: int) -> None:
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard != resource.RLIM_INFINITY:
            size = min(size, hard)
        resource.setrlimit(resource.RLIMIT_AS, (size, hard))
    except (ValueError, OSError, AttributeError):
        return  # macOS knows no such limit; there the time limit has to do


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
