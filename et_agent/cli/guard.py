"""What an exit code means, and how an error is told: one message, no traceback.

0    done
1    a bug, or a check of `doctor` that failed
2    something that the user can mend: an EtAgentError or a wrong option
3    `gate ask` gave no answer
130  interrupted by Ctrl-C
141  nobody reads standard output any more
"""

import errno
import functools
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Final, NoReturn, ParamSpec

import typer

from et_agent.cli.spelling import with_options
from et_agent.cli.terminal import say
from et_agent.errors import EtAgentError, InputError

__all__ = [
    "BUG",
    "INTERRUPTED",
    "PIPE_CLOSED",
    "USER_ERROR",
    "be_verbose",
    "command",
    "fail",
    "is_verbose",
    "reset",
    "tell_bug",
]

P = ParamSpec("P")

BUG: Final = 1
USER_ERROR: Final = 2
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141

_OUTPUT_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})

_log = logging.getLogger("et_agent")
_state: dict[str, logging.Handler] = {}


def be_verbose() -> None:
    """Show the log, llama.cpp's lines included, and tracebacks of bugs on standard error."""
    if "handler" in _state:
        return
    handler = _state["handler"] = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname).1s %(name)s: %(message)s"))
    _log.addHandler(handler)
    _log.setLevel(logging.DEBUG)


def is_verbose() -> bool:
    """Whether the log is shown."""
    return "handler" in _state


def reset() -> None:
    """Forget `be_verbose`, for a program that calls `main` more than once."""
    if handler := _state.pop("handler", None):
        _log.removeHandler(handler)
        _log.setLevel(logging.NOTSET)


def fail(message: str, code: int = USER_ERROR) -> int:
    """Say what went wrong and give the exit code."""
    say(f"error: {message}")
    return code


def command(body: Callable[P, int]) -> Callable[P, NoReturn]:
    """Make a command of a function that gives an exit code: its errors become messages."""

    @functools.wraps(body)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> NoReturn:
        raise typer.Exit(_guard(lambda: body(*args, **kwargs), lambda: _options(body)))

    return guarded


def _options(body: Callable[..., int]) -> Mapping[str, str]:
    from et_agent.cli.parameters import options_of  # only where something went wrong

    return options_of(body)


def _guard(body: Callable[[], int], options: Callable[[], Mapping[str, str]]) -> int:
    try:
        code = body()
        sys.stdout.flush()
        return code
    except InputError as error:
        return fail(with_options(str(error), options()))
    except EtAgentError as error:
        return fail(str(error))
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return PIPE_CLOSED
    except OSError as error:
        if error.errno not in _OUTPUT_ERRORS:
            return tell_bug(error)
        _forget_stdout()
        return fail(f"cannot write the output: {error.strerror}")
    except Exception as error:
        return tell_bug(error)


def _forget_stdout() -> None:
    """Let the interpreter's last flush go nowhere instead of failing."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):
        pass


def tell_bug(error: Exception) -> int:
    """Say that this is a bug and how to see where; gives the exit code."""
    if is_verbose():
        import traceback

        say("".join(traceback.format_exception(error)).rstrip())
    code = fail(f"{type(error).__name__}: {error} (this is a bug in et-agent)", BUG)
    if not is_verbose():
        say("hint: `et-agent --verbose …` shows where it happened")
    return code
