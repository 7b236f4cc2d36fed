"""The package imports where a system has no fork, no resource limits and few signals, as Windows."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

_ALL = """
import importlib, pkgutil
import et_agent
for found in pkgutil.walk_packages(et_agent.__path__, "et_agent."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
"""

# All modules twice: what others import comes first, as only et_agent's own modules have to do without.
_PRELUDE = """
import builtins, os, select, signal, sys
for name in [one for one in sys.modules if one.split(".")[0] == "et_agent"]:
    del sys.modules[name]
MISSING = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
real_import = builtins.__import__

def guarded(name, globals=None, locals=None, fromlist=(), level=0):
    asking = (globals or {}).get("__name__", "")
    if asking.split(".")[0] == "et_agent" and name.split(".")[0] in MISSING:
        raise ImportError(f"{asking} imports {name}")
    return real_import(name, globals, locals, fromlist, level)

builtins.__import__ = guarded
for module, names in {
    signal: "SIGKILL SIGALRM SIGHUP SIGPIPE SIGUSR1 SIGUSR2 SIGCHLD setitimer ITIMER_REAL alarm",
    os: "fork register_at_fork killpg setsid getuid geteuid sysconf mkfifo O_NONBLOCK "
        "sched_getaffinity getpgid wait3 WNOHANG",
    select: "poll epoll POLLIN POLLHUP",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
"""

_USE = """
from pathlib import Path
from et_agent.answers.worker import MathWorker
from et_agent.engines.llama_cpp.trial import stopped_from_outside
from et_agent.kernels.threads import cores
from et_agent.storage import read_regular
assert not stopped_from_outside(-9) and cores() >= 1
assert b"GGUF" in read_regular(Path(et_agent.weights.gguf.__file__), most=1 << 20)
worker = MathWorker()
assert worker.equal("x+1", "1+x") is True
signal.SIGKILL = 9  # the standard library itself kills with it here
worker.close()
print("used")
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.model  # llama.cpp is loaded, no model
def test_every_module_imports_and_works_without_what_windows_lacks() -> None:
    assert run(_ALL + _PRELUDE + _ALL + _USE).split() == ["used"]


def test_the_guard_sees_an_import_that_windows_lacks() -> None:
    code = _PRELUDE + (
        "exec(compile('import resource', 'x', 'exec'), {'__name__': 'et_agent.answers.x'})"
    )
    with pytest.raises(AssertionError, match=r"et_agent\.answers\.x imports resource"):
        run(code)
