"""Make or mend the virtual environment with uv, from the hash-pinned lock.

`make` runs this with any Python 3.11+ before anything is installed, so it uses the standard
library alone. All that it and uv say goes to stderr; stdout is left to the tool that runs after.
The state, written last, tells what the environment was made from: while that holds, nothing is
run. Without it a set-up was cut short, and the environment is made anew from uv's cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from llama_build import LLAMA, ROOT, Build, choose_build, missing_compiler

from et_agent.weights.pip_settings import pip_settings

LOCK = "requirements.lock"
INPUTS = (
    LOCK,
    "pyproject.toml",
    "integrations/langchain/pyproject.toml",
    "integrations/server/pyproject.toml",
)
KERNELS = "et_agent/kernels/source"
INTEGRATIONS = (
    *("--editable", "integrations/langchain[agents]"),
    *("--editable", "integrations/server[mcp,tracing]"),
)
SETS = {
    "runtime": ("--editable", ".[cli,hub]"),
    "dev": ("--editable", ".[all]", "--group", "dev", *INTEGRATIONS),
    "docs": ("--editable", ".[all]", "--group", "docs"),
}
ONLY_LLAMA = (LLAMA, "--no-deps")
# The first that keeps builds of other settings for one package apart.
MIN_UV = (0, 9)
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
HEARTBEAT_SECONDS = 30.0
STEPS = 4


class SetupError(Exception):
    """Raised when set-up cannot go on; the message names the fix."""


def say(text: str) -> None:
    """Print a line for the person at the screen."""
    print(text, file=sys.stderr, flush=True)


def step(number: int, text: str) -> None:
    """Say which of the steps begins."""
    say(f"[{number}/{STEPS}] {text}")


def clock(since: float) -> str:
    """Write the time since then as m:ss."""
    seconds = int(time.monotonic() - since)
    return f"{seconds // 60}:{seconds % 60:02d}"


def base_python() -> str:
    """The interpreter that runs this, or the one under it when that is of an environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def inputs(root: Path) -> str:
    """Hash what the environment and the kernels are made from."""
    files = [*(root / name for name in INPUTS), *sorted((root / KERNELS).glob("*"))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def pinned(lock: str, name: str, version: str = "") -> str:
    """Cut one package, its hashes included, out of a lock."""
    begins = f"{re.escape(name)}=={re.escape(version)}"
    return re.search(rf"^{begins}(?:.*\\\n)*.*\n", lock, re.MULTILINE)[0]  # type: ignore[index]


def uv_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Hand pip's settings on to uv, which does not read them; uv's own variables win."""
    pip = pip_settings(environ)
    extra = " ".join(pip.get("extra-index-url", "").split())
    found = {
        "UV_DEFAULT_INDEX": "" if "UV_INDEX_URL" in environ else pip.get("index-url"),
        "UV_INDEX": extra,
        # pip takes the best of all indexes, and the hashes decide anyway.
        "UV_INDEX_STRATEGY": extra and "unsafe-best-match",
        "UV_FIND_LINKS": ",".join(pip.get("find-links", "").split()),
        "UV_NO_INDEX": pip.get("no-index"),
        "UV_INSECURE_HOST": " ".join(pip.get("trusted-host", "").split()),
        "UV_HTTP_TIMEOUT": pip.get("timeout", pip.get("default-timeout")),
        "SSL_CERT_FILE": pip.get("cert"),
        "SSL_CLIENT_CERT": pip.get("client-cert"),
        "ALL_PROXY": pip.get("proxy"),
        "CMAKE_BUILD_PARALLEL_LEVEL": str(CORES),
    }
    return {**{name: value for name, value in found.items() if value}, **environ}


def run(
    command: Sequence[str],
    variables: Mapping[str, str] | None = None,
    output: IO[str] | None = None,
) -> None:
    """Run a command that talks on stderr, or into `output`; show that time goes by.

    At a terminal that is left to the command, unless it has another output.

    Raises:
        SetupError: when it fails; it has said why.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output or sys.stderr,
        stderr=output or sys.stderr,
        cwd=ROOT,
        env={**uv_environ(os.environ), **(variables or {})},
        start_new_session=True,
    )
    started = time.monotonic()
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(HEARTBEAT_SECONDS)
                break
            if output or not sys.stderr.isatty():
                say(f"  … {clock(started)}{built(output) if output else ''}")
    except BaseException:
        stop(process)
        raise
    if code:
        raise SetupError(
            f"{Path(command[0]).name} failed, as it says above. A package index that cannot be reached "
            "is a matter of the network, the proxy, or pip's and uv's settings.\nThen run make again: "
            "it goes on from uv's cache."
        )


def built(output: IO[str]) -> str:
    """How far a build is, by the last `[110/178]` of ninja that uv passed on."""
    output.seek(0)
    found = re.findall(r"^DEBUG \[(\d+)/(\d+)\]", output.read(), re.MULTILINE)
    return ", built {} of {} files".format(*found[-1]) if found else ""


def install_packages(command: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
    """Run an installation by uv, and say in one line how many packages it brought.

    Raises:
        SetupError: when it fails; all that uv said stands above it.
    """
    started = time.monotonic()
    # "a": reading moves no place at which the command writes on.
    with tempfile.TemporaryFile("a+", encoding="utf-8", errors="replace") as output:
        try:
            run([*command, "--color", "never", "--verbose"], variables, output)
        except SetupError:
            output.seek(0)
            traced = re.compile(r"^(?:DEBUG|TRACE) .*\n", re.MULTILINE)
            say(traced.sub("", output.read()).rstrip())
            raise
        output.seek(0)
        found = re.search(r"^Installed (\d+ packages?) ", output.read(), re.MULTILINE)
    say(f"  {found[1] if found else 'nothing new'}, {clock(started)}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        # Not SIGINT, which what a shell starts in the background ignores.
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep other set-ups in the same folder waiting; no lock file is left there."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up to end")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Environment:
    """The virtual environment at `path`; its state file also marks it as ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.python = path / "bin" / "python"
        self.state_file = path / "bootstrap.json"

    def whereabouts(self) -> dict[str, str]:
        """What the environment depends on outside of it."""
        python = os.path.realpath(self.python)
        return {"path": str(self.path), "root": str(ROOT), "python": python}

    def state(self) -> dict[str, Any]:
        """Read the state; empty when there is none, or it is of another place or interpreter."""
        try:
            state = json.loads(self.state_file.read_text("utf-8"))
            here = {**state, **self.whereabouts()} == state and self.python.exists()
        except (OSError, ValueError, TypeError):
            return {}
        asked_for = not os.environ.get("PYTHON") or base_python() == state.get("python")
        return state if here and asked_for else {}

    def write_state(self, build: Build, sets: Sequence[str]) -> None:
        """Write the state in one step; without sets it keeps no more than the build."""
        state = {"inputs": inputs(ROOT), "sets": sets, "build": asdict(build)}
        partial = self.state_file.with_suffix(".partial")
        partial.write_text(json.dumps(self.whereabouts() | state, indent=1), "utf-8")
        partial.replace(self.state_file)

    def is_current(self, wanted: str) -> bool:
        """Tell whether that set is there, as locked and in the build that is asked for."""
        state = self.state()
        return (
            wanted in state.get("sets", ())
            and state["inputs"] == inputs(ROOT)
            and Build(**state["build"]).serves(os.environ.get("CMAKE_ARGS", ""))
            and (self.path / "bin" / "et-agent").exists()
        )

    def remove(self) -> None:
        """Remove the environment, if it is one that this script made."""
        if not self.path.exists() or not any(self.path.iterdir()):
            return
        if not self.state_file.exists():
            raise SetupError(
                f"{self.path} was not made by this script, so it stays as it is.\n"
                "Remove it, or choose another folder: make ask VENV=.venv-et …"
            )
        # The mark goes last: what a cut-short removal leaves is still known as ours.
        for entry in sorted(self.path.iterdir(), key=lambda entry: entry == self.state_file):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def create(self) -> None:
        """Make the environment, and put uv into it where the system has none that will do."""
        self.remove()
        self.path.mkdir(parents=True, exist_ok=True)
        self.state_file.write_text("{}", "utf-8")
        if uv := self.find_uv():
            place = ("--quiet", "--allow-existing", str(self.path))
            return run([uv, "venv", "--python", base_python(), *place])
        run([base_python(), "-m", "venv", str(self.path)])
        part = self.path / "uv.lock"
        part.write_text(pinned((ROOT / LOCK).read_text("utf-8"), "uv"), "utf-8")
        command = [str(self.python), "-m", "pip", "install", "--disable-pip-version-check", "-q"]
        return run([*command, "--only-binary=:all:", "--require-hashes", "-r", str(part)])

    def find_uv(self) -> str:
        """Name a uv that is new enough, the system's or the environment's; empty if none is."""
        for uv in ("uv", str(self.path / "bin" / "uv")):
            with suppress(OSError):
                said = subprocess.run(
                    [uv, "--version"], capture_output=True, text=True, check=False
                )
                if tuple(map(int, re.findall(r"\d+", said.stdout)[:2])) >= MIN_UV:
                    return uv
        return ""

    def installing(self, build: Build, *what: str) -> list[str]:
        """Command of uv; the lock pins each package and verifies its files, also for builds."""
        command = [self.find_uv(), "pip", "install", "--python", str(self.python)]
        command += ["--verify-hashes", "--constraints", LOCK, "--build-constraints", LOCK]
        return [*command, "--config-settings-package", build.setting(), *what]

    def install(self, build: Build, *what: str) -> None:
        """Install with uv as the lock says."""
        install_packages(self.installing(build, *what), build.environ(os.environ))

    def install_ready_llama(self, index: str) -> None:
        """Install the locked version of llama.cpp as a wheel of the user's index, or folder of wheels.

        The lock has the hash of the source alone, so that the index is trusted as it is.

        Raises:
            SetupError: when there is no such wheel; it names what was asked for.
        """
        version = pinned((ROOT / LOCK).read_text("utf-8"), LLAMA).split()[0]
        where = ("--no-index", "--find-links") if Path(index).is_dir() else ("--default-index",)
        command = [self.find_uv(), "pip", "install", "--python", str(self.python), "--no-deps"]
        try:
            install_packages([*command, "--only-binary", LLAMA, *where, index, version])
        except SetupError:
            raise SetupError(
                f"LLAMA_INDEX={index} has no wheel of {version} for this machine, or cannot be "
                "reached: uv says above which.\nName another index, or leave it out and have a "
                "compiler build it."
            ) from None

    def has_cached_llama(self, build: Build) -> bool:
        """Install llama.cpp if uv has kept that build, whatever the index says of its age."""
        command = self.installing(build, *ONLY_LLAMA, "--offline", "-qq")
        try:  # without compilers, or uv would build what it has kept no more than the source of
            run(command, {**build.environ(os.environ), "CC": "false", "CXX": "false"})
        except SetupError:
            return False
        return True

    def uninstall_llama(self) -> None:
        """Remove llama.cpp, so that the next installation brings the build that is asked for."""
        run([self.find_uv(), "pip", "uninstall", "-q", "--python", str(self.python), LLAMA])

    def loads_llama(self) -> bool:
        """Tell whether llama.cpp loads here; a cached build of another machine may not."""
        command = [str(self.python), "-c", "import llama_cpp"]
        return not subprocess.run(command, capture_output=True, check=False).returncode

    def build_kernels(self) -> None:
        """Compile et-agent's kernels; where they cannot be, llama.cpp's own serve."""
        with suppress(SetupError):
            run([str(self.python), "-m", "et_agent.kernels"])


def set_up(environment: Environment, wanted: str) -> None:
    """Bring the environment to a set, "runtime", "dev" or "docs"; do nothing if it is there."""
    if environment.is_current(wanted):
        return
    with only_one(environment.path.parent):
        if environment.is_current(wanted):
            return
        started = time.monotonic()
        state = environment.state()
        present = Build(**state["build"]) if state else None
        build = choose_build(os.environ, present, say)
        step(1, f"the environment {environment.path}, with {base_python()}")
        if not state.get("sets"):
            environment.create()
        environment.write_state(build, ())
        bring_up(environment, build, wanted, rebuild=present not in (None, build))
        step(4, "et-agent's kernels for this CPU; without them, llama.cpp's own serve")
        environment.build_kernels()
        # What was installed before stays, unless the environment was made anew.
        kept = state.get("sets", ()) if state.get("inputs") == inputs(ROOT) else ()
        environment.write_state(build, sorted({*kept, wanted, "runtime"}))
        say(f"ready in {clock(started)}")


def bring_up(environment: Environment, build: Build, wanted: str, *, rebuild: bool) -> None:
    """Install a set, with llama.cpp in the build that is asked for."""
    if rebuild:  # uv would keep what is there
        environment.uninstall_llama()
    index = os.environ.get("LLAMA_INDEX", "")
    cached = not index and environment.has_cached_llama(build)
    if index:
        step(2, f"llama.cpp: a ready-made wheel of {index}, whose hash the lock does not have")
        environment.install_ready_llama(index)
    elif cached:
        step(2, "llama.cpp: built before, out of uv's cache")
    else:
        if problem := missing_compiler(os.environ):
            raise SetupError(problem)
        minutes = max(1, round(10 / CORES))
        step(2, f"llama.cpp: built from source, once, about {minutes} min on an idle machine")
        environment.install(build, *ONLY_LLAMA)
    step(3, f"the packages of {LOCK}, for {wanted}")
    environment.install(build, *SETS[wanted])
    if cached and not environment.loads_llama():  # it may be of another machine
        if problem := missing_compiler(os.environ):
            raise SetupError(problem)
        environment.install(build, *ONLY_LLAMA, "--reinstall-package", LLAMA, "--no-cache")
    if not environment.loads_llama():
        raise SetupError(
            f"llama.cpp is installed but does not load: `{environment.python} -c 'import llama_cpp'` "
            "tells why."
        )


def published(environ: Mapping[str, str]) -> dict[str, str]:
    """Settings of uv without this machine's folders of packages.

    They hold a part of what is published, for one Python, and a lock would have the hashes of that
    part alone.
    """
    indexes = uv_environ(environ).get("UV_INDEX", "").split()
    shared = " ".join(one for one in indexes if not one.startswith("file:"))
    return {"UV_INDEX": shared, "UV_FIND_LINKS": ""}


def make_lock(environment: Environment, options: Sequence[str]) -> None:
    """Resolve all dependencies for all platforms into the lock."""
    if not (uv := environment.find_uv()):
        raise SetupError("The lock is made by uv: run `make setup` first, or install uv.")
    lock = ROOT / LOCK
    with tempfile.TemporaryDirectory() as place:
        new = Path(place) / LOCK
        # uv keeps the versions that it finds there; hashes it is to ask for again.
        new.write_text(re.sub(r" \\\n +--hash=\S+", "", lock.read_text("utf-8")), "utf-8")
        command = [uv, "pip", "compile", "pyproject.toml", "-o", str(new), "--all-extras", *options]
        for group in ("dev", "docs", "build"):
            command += ["--group", group]
        command += ["--universal", "--python-version", "3.11"]
        run([*command, "--generate-hashes", "--no-header", "--quiet"], published(os.environ))
        lock.write_text(new.read_text("utf-8"), "utf-8")


def main(command: str, *options: str) -> int:
    """Run one command, a set or "lock" or "clean", and return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    environment = Environment((ROOT / os.environ.get("VENV", ".venv")).resolve())
    try:
        if command == "lock":
            make_lock(environment, options)
        elif command == "clean":
            with only_one(environment.path.parent):
                environment.remove()
        else:
            set_up(environment, command)
    except SetupError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next run goes on from uv's cache")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
