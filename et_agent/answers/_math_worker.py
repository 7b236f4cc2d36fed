"""The process that lets math-verify loose on what a model wrote. Run by path, never imported.

It reads one JSON object per line, `{"id": 1, "seconds": 2.0, "expressions": [...]}`, and answers
`{"id": 1, "verdict": ...}`: for one expression whether it can be parsed, for two whether they are
equal. Nothing is evaluated as Python and nothing is unpickled. It imports nothing of et_agent, so
that it starts in the time that sympy needs.

The parent kills it at the time limit. Should the parent be gone, the alarm ends it: the
signal keeps its default action, which works in the middle of a big-integer operation, where no
Python code runs. Windows knows neither alarms nor limits of memory; there the parent has to do.
"""

import json
import logging
import signal
import sys
from functools import lru_cache
from typing import Any

try:
    import resource
except ImportError:
    resource = None  # type: ignore[assignment]

_GRACE_SECONDS = 1.0
"""The parent's own limit comes first, if there is a parent."""

_MAX_LINE = 8192
_SURE_SIZE = 1e-3
_RELATIVE = 1e-6


def main() -> None:
    """Serve requests until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    _limit_memory(int(sys.argv[1]))
    from math_verify import LatexExtractionConfig, parse, verify

    logging.disable(logging.CRITICAL)
    config = [LatexExtractionConfig()]

    # Only the LaTeX grammar: math-verify's plain expressions go through parse_expr, an eval.
    @lru_cache(maxsize=256)
    def parsed(expression: str) -> tuple[Any, ...]:
        formula = f"${expression}$"
        return tuple(parse(formula, config, parsing_timeout=None, fallback_mode="no_fallback"))

    def equal(left: str, right: str) -> bool:
        # verify treats gold and prediction differently (equations, intervals): ask both ways round.
        sides = list(parsed(left)), list(parsed(right))
        return any(
            verify(gold, target, allow_set_relation_comp=True, timeout_seconds=None)
            for gold, target in (sides, sides[::-1])
        ) and _alike(*sides)

    # The first formula builds the grammar's tables; that belongs to the start-up.
    equal(r"\frac{x}{2}", r"(1,2]")
    _reply({"id": 0, "verdict": True})
    while line := sys.stdin.readline(_MAX_LINE):
        request = json.loads(line)
        _set_alarm(request["seconds"] + _GRACE_SECONDS)
        try:
            expressions = request["expressions"]
            verdict = equal(*expressions) if len(expressions) == 2 else bool(parsed(*expressions))
        except Exception:  # whatever sympy makes of a hostile string, the verdict is "cannot say"
            verdict = None
        finally:
            _set_alarm(0)
        _reply({"id": request["id"], "verdict": verdict})


def _alike(left: list[Any], right: list[Any]) -> bool:
    """Whether two numbers below the six decimals that verify looks at are of the same size."""
    numbers = [[one for one in side if getattr(one, "is_number", False)] for side in (left, right)]
    if not all(numbers):
        return True
    first, second = numbers[0][0], numbers[1][0]
    size = max(abs(one.evalf(30)) for one in (first, second))
    return bool(size >= _SURE_SIZE or abs((first - second).evalf(30)) <= size * _RELATIVE)


def _set_alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit_memory(mebibytes: int) -> None:
    try:
        limit = mebibytes * 2**20
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    except (ValueError, OSError, AttributeError):
        # macOS knows no such limit; there the time limit has to do.
        return


def _reply(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
