"""Make or mend the virtual environment with uv, from the hash-pinned lock.

`make` runs this with any Python 3.11+ before anything is installed, so it uses the standard
library alone. It says on stderr what it does and leaves stdout to the tool that runs after it.
The state, written last, tells what the environment was made from: while that holds, nothing is
run. Without it a set-up was cut short and the environment is made anew, from uv's cache.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, NoReturn

from llama_build import LLAMA, Build, choose_build, missing_compiler

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from et_agent.weights.pip_settings import pip_settings  # noqa: E402

LOCK = "requirements.lock"
INTEGRATION = "integrations/langchain"
INPUTS = (LOCK, "pyproject.toml", f"{INTEGRATION}/pyproject.toml")
SETS = {
    "runtime": ("--editable", ".[cli,hub]"),
    "dev": ("--editable", ".[all]", "--group", "dev", "--editable", f"{INTEGRATION}[agents]"),
}
# The first that keeps builds of other settings for one package apart.
MIN_UV = (0, 9)
# What uv says and a person may like to see; the rest is in the log.
TELLING = re.compile(r"\s*(?:Resolved|Downloading|Building|Built|Prepared|Installed)\b")
HINTS = (
    (r"No space left on device|quota exceeded", "The disk is full: free some space."),
    (
        r"Hash mismatch|DO NOT MATCH THE HASHES",
        "A downloaded file is not the one that the lock names: it was damaged or replaced.",
    ),
    (
        r"Killed signal|Cannot allocate memory|out of memory|signal: 9",
        "The compiler ran out of memory: CMAKE_BUILD_PARALLEL_LEVEL=1 needs the least.",
    ),
    (
        r"Could not connect|Failed to fetch|error sending request|dns error|timed out"
        r"|NewConnectionError|NameResolutionError|ProxyError|SSLError",
        "The package index cannot be reached: check the network and the proxy settings.",
    ),
)


class SetupError(Exception):
    """Raised when set-up cannot go on; the message names the fix."""


def base_python() -> str:
    """The interpreter that runs this, or the one under it when that is of an environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def core_count() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def inputs(root: Path) -> str:
    """Hash what the environment is made from."""
    return hashlib.sha256(b"\0".join((root / name).read_bytes() for name in INPUTS)).hexdigest()


def pinned(lock: str, name: str) -> str:
    """Cut one package, its hashes included, out of a lock.

    Raises:
        SetupError: when the lock does not have the package.
    """
    block = re.search(rf"^{re.escape(name)}==(?:.*\\\n)*.*\n", lock, re.MULTILINE)
    if block is None:
        raise SetupError(f"{name} is not in the lock: make it anew with `make lock`.")
    return block.group()


def clock(seconds: float) -> str:
    """Write seconds as m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


@dataclass
class Display:
    """Lines that stay and, on a terminal, one line with the elapsed time that is drawn over."""

    stream: IO[str]
    live: bool
    started: float = field(default_factory=time.monotonic)
    doing: str = "preparing"
    told: float = 0.0

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.stream.write(f"\r\x1b[2K{text}\n" if self.live else f"{text}\n")
        self.stream.flush()

    def feed(self, line: str) -> None:
        """Take a line of a tool's output."""
        if not TELLING.match(line):
            return
        self.doing = line.strip()
        if f"Building {LLAMA}" in line:
            minutes = max(1, round(8 / core_count()))
            self.say(f"  building llama.cpp from source, once: about {minutes} min")
        elif not self.live:
            self.say(f"  {self.doing}")

    def tick(self) -> None:
        """Show the elapsed time: at once on a terminal, else each half minute."""
        elapsed = time.monotonic() - self.started
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write(f"\r\x1b[2K{f'  {clock(elapsed)}  {self.doing}'[:width]}")
            self.stream.flush()
        elif elapsed - self.told >= 30:
            self.told = elapsed
            self.say(f"  {clock(elapsed)}  {self.doing}")


def describe_failure(output: str, log: Path) -> str:
    """Compose the end of the output, the cause if it is known, and where the rest is."""
    tail = [line[:160] for line in output.splitlines() if line.strip()][-20:]
    hints = (hint for cause, hint in HINTS if re.search(cause, output, re.IGNORECASE))
    return "\n".join([*tail, "", next(hints, ""), f"The log is {log}; then run make again."])


def uv_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Hand pip's settings on to uv, which does not read them; uv's own variables win."""
    pip = pip_settings(environ)
    extra = pip.get("extra-index-url", "").split()
    named = {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & environ.keys()
    found = {
        "UV_DEFAULT_INDEX": "" if named else pip.get("index-url", ""),
        "UV_INDEX": " ".join(extra),
        # pip takes the best of all indexes, and the hashes decide anyway.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if extra else "",
        "UV_FIND_LINKS": ",".join(pip.get("find-links", "").split()),
        "UV_NO_INDEX": pip.get("no-index", ""),
        "UV_INSECURE_HOST": " ".join(pip.get("trusted-host", "").split()),
        "UV_HTTP_TIMEOUT": pip.get("timeout", pip.get("default-timeout", "")),
        "SSL_CERT_FILE": pip.get("cert", ""),
        "SSL_CLIENT_CERT": pip.get("client-cert", ""),
        "ALL_PROXY": pip.get("proxy", ""),
        "CMAKE_BUILD_PARALLEL_LEVEL": str(core_count()),
    }
    return {**{name: value for name, value in found.items() if value}, **environ}


@dataclass
class Environment:
    """The virtual environment at `path`, its state and its log."""

    path: Path
    display: Display
    lock_descriptor: int = -1

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.path / "bin" / "python"

    @property
    def log(self) -> Path:
        """The full output of the last set-up; it also marks the environment as ours."""
        return self.path / "bootstrap.log"

    @property
    def state_file(self) -> Path:
        """Where the state lies."""
        return self.path / "bootstrap.json"

    def state(self) -> dict[str, Any]:
        """Read the state; empty when there is none, or it is of another place or interpreter."""
        try:
            state = json.loads(self.state_file.read_text("utf-8"))
            matches = state["path"] == str(self.path) and state["root"] == str(ROOT)
            matches &= state["python"] == os.path.realpath(self.python)
            if base_python() == state["python"]:
                matches &= state["version"] == platform.python_version()
            elif os.environ.get("PYTHON"):
                matches = False
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return state if matches and self.python.exists() else {}

    def write_state(self, build: Build, sets: Sequence[str], version: str) -> None:
        """Write the state in one step; without sets it keeps no more than the build."""
        state = {
            "path": str(self.path),
            "root": str(ROOT),
            "python": os.path.realpath(self.python),
            "version": version,
            "inputs": inputs(ROOT),
            "sets": sets,
            "build": asdict(build),
        }
        partial = self.state_file.with_suffix(".partial")
        partial.write_text(json.dumps(state, indent=1), "utf-8")
        partial.replace(self.state_file)

    def is_current(self, wanted: str) -> bool:
        """Tell whether the environment has that set, as locked and in the build that is asked for."""
        state = self.state()
        return (
            wanted in state.get("sets", ())
            and state["inputs"] == inputs(ROOT)
            and Build(**state["build"]).serves(os.environ.get("CMAKE_ARGS", ""))
            and (self.path / "bin" / "et-agent").exists()
        )

    def remove(self) -> None:
        """Remove the environment.

        Raises:
            SetupError: when it is a folder that this script did not make.
        """
        if not self.path.exists() or not any(self.path.iterdir()):
            return
        if not self.log.exists():
            raise SetupError(
                f"{self.path} was not made by this script, so it stays as it is.\n"
                f"Remove it, or choose another folder: make ask VENV=.venv-et …"
            )
        # The mark goes last: what a cut-short removal leaves is still known as ours.
        for entry in sorted(self.path.iterdir(), key=lambda entry: entry == self.log):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        self.path.rmdir()

    def create(self) -> None:
        """Make the environment, and put uv into it where the system has none that will do."""
        self.remove()
        self.path.mkdir(parents=True, exist_ok=True)
        self.log.write_text("", "utf-8")
        if uv := self.find_uv():
            command = [uv, "venv", "--quiet", "--allow-existing", "--python", base_python()]
            self.run([*command, str(self.path)])
            return
        if find_spec("ensurepip") is None or find_spec("venv") is None:
            raise SetupError(
                f"{base_python()} cannot make virtual environments: venv or ensurepip is missing.\n"
                "Install it (Debian, Ubuntu: sudo apt install python3-venv), or uv, or name another "
                "Python with PYTHON=…"
            )
        self.run([base_python(), "-m", "venv", str(self.path)])
        lock = self.path / "uv.lock"
        lock.write_text(pinned((ROOT / LOCK).read_text("utf-8"), "uv"), "utf-8")
        command = [str(self.python), "-m", "pip", "install", "--disable-pip-version-check"]
        self.run([*command, "--only-binary=:all:", "--require-hashes", "-r", str(lock)])

    def find_uv(self) -> str:
        """Name a uv that is new enough, the system's or the environment's; empty if none is."""
        for uv in ("uv", str(self.path / "bin" / "uv")):
            with suppress(OSError):
                said = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False)
                if tuple(map(int, re.findall(r"\d+", said.stdout)[:2])) >= MIN_UV:
                    return uv
        return ""

    def run(self, command: list[str], variables: Mapping[str, str] | None = None) -> None:
        """Run a command with its output in the log.

        Raises:
            SetupError: when it fails; carries the output's last lines and a hint.
        """
        with self.log.open("a+", encoding="utf-8", errors="replace") as log:
            log.write(f"$ {shlex.join(command)}\n")
            log.flush()
            start = log.tell()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**uv_environ(os.environ), **(variables or {})},
                start_new_session=True,
                # Should this script be killed, the lock holds until the command has ended too.
                pass_fds=(self.lock_descriptor,) if self.lock_descriptor >= 0 else (),
            )
            try:
                self._watch(process, start)
            except BaseException:
                stop(process)
                raise
            log.seek(start)
            if process.returncode:
                raise SetupError(describe_failure(log.read(), self.log))

    def _watch(self, process: subprocess.Popen[bytes], start: int) -> None:
        """Show what the process writes to the log until it ends."""
        with self.log.open(encoding="utf-8", errors="replace") as output:
            output.seek(start)
            while True:
                ended = process.poll() is not None
                for line in output:
                    self.display.feed(line)
                self.display.tick()
                if ended:
                    return
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)

    def install(self, build: Build, *what: str) -> None:
        """Install with uv; the lock pins each package and verifies its files, also for builds."""
        command = [self.find_uv(), "pip", "install", "--python", str(self.python)]
        command += ["--verify-hashes", "--constraints", LOCK, "--build-constraints", LOCK]
        command += ["--config-settings-package", build.setting()]
        self.run([*command, *what], build.environ(os.environ))

    def loads_llama(self) -> bool:
        """Tell whether llama.cpp loads here; a cached build of another machine may not."""
        try:
            self.run([str(self.python), "-c", "import llama_cpp"])
        except SetupError:
            return False
        return True


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started."""
    for number, patience in ((signal.SIGINT, 10), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
        except (ProcessLookupError, PermissionError):
            return
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def only_one(environment: Environment) -> Iterator[None]:
    """Keep other set-ups in the same folder waiting; no lock file is left there."""
    parent = environment.path.parent
    parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            environment.display.say("waiting for another set-up to end")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        environment.lock_descriptor = descriptor
        yield
    finally:
        environment.lock_descriptor = -1
        os.close(descriptor)


def set_up(environment: Environment, wanted: str) -> None:
    """Bring the environment to a set, "runtime" or "dev"; do nothing if it is there."""
    if environment.is_current(wanted):
        return
    with only_one(environment):
        if environment.is_current(wanted):
            return
        say = environment.display.say
        say(f"setting up {environment.path} with Python {platform.python_version()}")
        state = environment.state()
        present = Build(**state["build"]) if state else None
        build = choose_build(os.environ, present, say)
        version = state.get("version", platform.python_version())
        if not state.get("sets"):
            environment.create()
        environment.write_state(build, (), version)
        bring_up(environment, build, wanted, rebuild=build != present)
        sets = tuple(SETS) if wanted == "dev" else (wanted,)
        environment.write_state(build, sets, version)
        elapsed = clock(time.monotonic() - environment.display.started)
        say(f"ready in {elapsed}; the log is {environment.log}")


def bring_up(environment: Environment, build: Build, wanted: str, *, rebuild: bool) -> None:
    """Install a set, with llama.cpp in the build that is asked for."""
    llama = (LLAMA, "--no-deps")
    if problem := missing_compiler(os.environ):
        try:  # a build in uv's cache needs none
            environment.install(build, *llama, "--offline")
        except SetupError as error:
            raise SetupError(problem) from error
    again = ("--reinstall-package", LLAMA)
    environment.install(build, *SETS[wanted], *(again if rebuild else ()))
    if environment.loads_llama():
        return
    # The build came from uv's cache, and of another machine.
    if problem:
        raise SetupError(problem)
    environment.install(build, *llama, *again, "--no-cache")
    if not environment.loads_llama():
        raise SetupError(f"llama.cpp was built but does not load: see {environment.log}.")


def make_lock(environment: Environment, options: list[str]) -> None:
    """Resolve all dependencies for all platforms into the lock."""
    if not environment.find_uv():
        raise SetupError("The lock is made by uv: run `make setup` first, or install uv.")
    command = [environment.find_uv(), "pip", "compile", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-header", "--all-extras", "--group", "dev"]
    command += ["--group", "build", *options, "pyproject.toml", "-o", LOCK]
    environ = uv_environ(os.environ)
    subprocess.run(command, cwd=ROOT, env=environ, check=True, stdout=subprocess.DEVNULL)


def clean(environment: Environment) -> None:
    """Remove the environment and the tools' caches."""
    with only_one(environment):
        environment.remove()
    for name in (".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"):
        shutil.rmtree(ROOT / name, ignore_errors=True)


def interrupt(*_: object) -> NoReturn:
    """Treat a request to end like Ctrl-C, so that uv and the compilers end too."""
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code."""
    parser = argparse.ArgumentParser(prog="bootstrap.py", description=__doc__)
    parser.add_argument("command", choices=(*SETS, "lock", "clean"))
    parsed, options = parser.parse_known_args(arguments)
    signal.signal(signal.SIGTERM, interrupt)
    live = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    display = Display(sys.stderr, live)
    environment = Environment((ROOT / os.environ.get("VENV", ".venv")).resolve(), display)
    try:
        if parsed.command == "lock":
            make_lock(environment, options)
        elif parsed.command == "clean":
            clean(environment)
        else:
            set_up(environment, parsed.command)
    except SetupError as error:
        display.say(f"error: set-up failed\n{error}" if "\n\n" in str(error) else f"error: {error}")
        return 1
    except subprocess.CalledProcessError as error:
        display.say(f"error: {shlex.join(map(str, error.cmd))} failed with {error.returncode}")
        return 1
    except KeyboardInterrupt:
        display.say("interrupted; the next run starts the set-up again")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
