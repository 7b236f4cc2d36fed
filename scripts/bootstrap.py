"""Make or mend the virtual environment from the hash-pinned locks.

`make` runs this with any Python 3.11+ before anything is installed, so it uses the standard
library alone. It says on stderr what it does and leaves stdout to the tool that runs after it.

The stamp, written last, tells what the environment was made from. While it matches the locks,
nothing is run. Where it is missing, a set-up was cut short and the environment is made anew.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import cpu_flags
from cpu_flags import Build
from setup_report import LLAMA, Display, PipReport, clock, describe_failure
from toolchain import SetupError, base_python, check_compilers, core_count, missing_venv

ROOT = Path(__file__).resolve().parent.parent
RUNTIME_LOCK = ROOT / "requirements.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"
BUILD_LOCK = ROOT / "requirements-build.lock"
INTEGRATION = Path("integrations", "langchain")

# What the builds of llama-cpp-python and of this project ask for, some of it only where the
# system has none (cmake, ninja).
BUILD_REQUIREMENTS = (
    "cmake>=3.21",
    "editables>=0.5",
    "hatchling>=1.27",
    "ninja>=1.11",
    "scikit-build-core>=0.9.2",
)
UV = "uv==0.13.9"


def stamp_key(root: Path) -> dict[str, str]:
    """Hash what the environment is made from: both locks and the packaging parts of pyprojects."""
    parts = {
        "runtime": (root / RUNTIME_LOCK.name).read_bytes(),
        "dev": (root / DEV_LOCK.name).read_bytes() + packaging(root / INTEGRATION),
        "project": packaging(root),
    }
    return {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()}


def packaging(folder: Path) -> bytes:
    """What of a folder's pyproject an installation depends on."""
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    parts = {
        "build-system": project.get("build-system"),
        "project": project.get("project"),
        "hatch": project.get("tool", {}).get("hatch"),
    }
    return json.dumps(parts, sort_keys=True).encode()


def is_current(stamp: Mapping[str, str], key: Mapping[str, str], lock: str) -> bool:
    """Tell whether the environment has the given lock ("runtime" or "dev") and the project."""
    return stamp.get(lock) == key[lock] and stamp.get("project") == key["project"]


def has_asked_build(stamp: Mapping[str, str], environ: Mapping[str, str]) -> bool:
    """Tell whether llama.cpp is built as CMAKE_ARGS and this CPU ask for."""
    probe = cpu_flags.probe_version(amx=cpu_flags.has_amx())
    return Build.from_stamp(stamp).is_asked_for(environ.get("CMAKE_ARGS", ""), probe)


def pinned(lock: str, name: str) -> str:
    """Cut one package, its hashes included, out of a lock.

    Raises:
        SetupError: when the lock does not have the package.
    """
    block = re.search(rf"^{re.escape(name)}==(?:.*\\\n)*.*\n", lock, re.MULTILINE)
    if block is None:
        raise SetupError(f"{name} is not in the lock: make it anew with `make lock`.")
    return block.group()


def lines_of(process: subprocess.Popen[bytes]) -> Iterator[str | None]:
    """Yield the process's lines as they come, and None at least four times a second."""
    assert process.stdout is not None
    descriptor, rest = process.stdout.fileno(), b""
    while True:
        if not select.select([descriptor], [], [], 0.25)[0]:
            yield None
            continue
        data = os.read(descriptor, 1 << 16)
        *lines, rest = (rest + data).split(b"\n")
        yield from (line.decode("utf-8", "replace").rstrip("\r") for line in lines)
        yield None
        if not data:
            if rest:
                yield rest.decode("utf-8", "replace")
            return


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started; pip gets time to remove its build folder."""
    for number, patience in ((signal.SIGINT, 15), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
        except (ProcessLookupError, PermissionError):
            return
        except subprocess.TimeoutExpired:
            continue


@dataclass
class Environment:
    """The virtual environment at `path`, its stamp and its log."""

    path: Path
    display: Display
    lock_descriptor: int = -1
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.path / "bin" / "python"

    @property
    def log(self) -> Path:
        """The full output of the last set-up; it also marks the environment as ours."""
        return self.path / "bootstrap.log"

    @property
    def stamp_file(self) -> Path:
        """Where the stamp lies."""
        return self.path / "bootstrap.json"

    def stamp(self) -> dict[str, str]:
        """Read the stamp; empty when there is none, or what it names is no longer there."""
        try:
            stamp = json.loads(self.stamp_file.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(stamp, dict) or not (self.path / "bin" / "et-agent").exists():
            return {}
        return stamp if self._has_same_python(stamp) else {}

    def _has_same_python(self, stamp: Mapping[str, str]) -> bool:
        """Tell whether the interpreter is the one stamped, and the one asked for if one was."""
        here = (str(self.path), str(ROOT))
        if (stamp.get("path"), stamp.get("root")) != here or not self.python.exists():
            return False
        if os.path.realpath(self.python) != stamp.get("python"):
            return False
        if base_python() == stamp["python"]:
            return stamp.get("version") == platform.python_version()
        return not os.environ.get("PYTHON")

    def write_stamp(self, stamp: Mapping[str, str]) -> None:
        """Write the stamp in one step."""
        partial = self.stamp_file.with_suffix(".partial")
        partial.write_text(json.dumps(stamp, indent=1), "utf-8")
        partial.replace(self.stamp_file)

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
        self.stamp_file.unlink(missing_ok=True)
        for entry in self.path.iterdir():
            if entry == self.log:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        shutil.rmtree(self.path)

    def create(self) -> None:
        """Make the environment with the pip that the lock names."""
        if find_spec("ensurepip") is None or find_spec("venv") is None:
            raise SetupError(missing_venv())
        self.remove()
        self.path.mkdir(parents=True, exist_ok=True)
        self.log.write_text("", "utf-8")
        self.display.status("  making the virtual environment")
        self.run(
            [base_python(), "-m", "venv", str(self.path)], "Making the virtual environment failed."
        )
        # The pip that comes with Python may be too old for the options of install_locked.
        command = [str(self.python), "-m", "pip", "install", "--require-hashes"]
        self.run([*command, "-r", str(self.write_part("pip"))], "Updating pip failed.")

    def environ(self) -> dict[str, str]:
        """Add to the user's environment what pip and llama.cpp's build need."""
        return build_environment(os.environ) | self.variables

    def choose_build(self, build: Build) -> None:
        """Let what runs from now on build llama.cpp so, with pip's cache for such builds."""
        self.variables = build.environ(os.environ)
        if not (name := build.cache_name()):
            return
        command = [str(self.python), "-m", "pip", "cache", "dir"]
        found = subprocess.run(
            command, capture_output=True, text=True, check=False, env=self.environ()
        )
        # It fails where the user has switched the cache off, and then none is needed.
        if not found.returncode:
            self.variables["PIP_CACHE_DIR"] = str(Path(found.stdout.strip()) / name)

    def run(self, command: list[str], failure: str, report: PipReport | None = None) -> None:
        """Run a command with its output in the log.

        Raises:
            SetupError: when it fails; carries the log's last lines, a hint and `failure`.
        """
        start = self.log.stat().st_size
        with self.log.open("ab") as log:
            log.write(f"$ {shlex.join(command)}\n".encode())
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=self.environ(),
                start_new_session=True,
                # Should this script be killed, the lock holds until pip has ended too.
                pass_fds=(self.lock_descriptor,) if self.lock_descriptor >= 0 else (),
            )
            try:
                for line in lines_of(process):
                    if line is not None:
                        log.write(f"{line}\n".encode())
                    if report and line:
                        report.feed(line)
                    elif report and line is None:
                        report.tick()
                code = process.wait()
            except BaseException:
                stop(process)
                raise
        if code:
            output = self.log.read_bytes()[start:].decode("utf-8", "replace")
            raise SetupError(describe_failure(output, self.log, failure))

    def write_part(self, name: str) -> Path:
        """Write the part of the runtime lock that pins one package, and return its path."""
        path = self.path / f"{name}.lock"
        path.write_text(pinned(RUNTIME_LOCK.read_text("utf-8"), name), "utf-8")
        return path

    def install_locked(self, lock: Path, *options: str) -> None:
        """Install from a lock, by hash, what builds need included."""
        command = [str(self.python), "-m", "pip", "install", "-v", "--progress-bar", "raw"]
        command += ["--require-hashes", "--build-constraint", str(BUILD_LOCK)]
        self.run(
            [*command, *options, "-r", str(lock)],
            "Installing the packages failed.",
            PipReport(self.display),
        )

    def install_project(self, lock: str) -> None:
        """Install this project itself, editable; for development its integration too."""
        self.display.status("  installing et-agent")
        command = [str(self.python), "-m", "pip", "install", "--no-deps"]
        command += ["--build-constraint", str(BUILD_LOCK), "--editable", str(ROOT)]
        if lock == "dev":  # that lock has what the integration depends on
            command += ["--editable", str(ROOT / INTEGRATION)]
        self.run(command, "Installing et-agent itself failed.")

    def imports_llama(self) -> bool:
        """Tell whether llama.cpp loads here; a cached build of another machine may not."""
        command = [str(self.python), "-c", "import llama_cpp"]
        try:
            self.run(command, "llama.cpp does not load.")
        except SetupError:
            return False
        return True

    def has_llama(self) -> bool:
        """Tell whether llama-cpp-python is installed in the version that the lock names."""
        return any(self.path.glob(f"lib/*/site-packages/{llama_release()}.dist-info"))

    def has_wheel(self) -> bool:
        """Tell whether pip has kept a build of that version, of whatever Python."""
        command = [str(self.python), "-m", "pip", "cache", "list", LLAMA.replace("-", "_")]
        found = subprocess.run(
            command, capture_output=True, text=True, check=False, env=self.environ()
        )
        return f"{llama_release()}-" in found.stdout


def llama_release() -> str:
    """Write the locked llama-cpp-python as file names do: name-version."""
    name, version = pinned(RUNTIME_LOCK.read_text("utf-8"), LLAMA).split()[0].split("==")
    return f"{name.replace('-', '_')}-{version}"


def build_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Add to the user's environment what pip and the build need; CMAKE_ARGS stays theirs."""
    mine = {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_USER": "0",
        "PYTHONUNBUFFERED": "1",
    }
    parallel = {"CMAKE_BUILD_PARALLEL_LEVEL": str(core_count())}
    return {**parallel, **environ, **mine}


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


def set_up(environment: Environment, lock: str) -> None:
    """Bring the environment to the given lock, "runtime" or "dev"; do nothing if it is there."""
    key, stamp = stamp_key(ROOT), environment.stamp()
    if is_current(stamp, key, lock) and has_asked_build(stamp, os.environ):
        return
    with only_one(environment):
        stamp = environment.stamp()
        if is_current(stamp, key, lock) and has_asked_build(stamp, os.environ):
            return
        started = time.monotonic()
        say = environment.display.say
        say(f"setting up {environment.path} with Python {platform.python_version()}")
        if not stamp:
            environment.create()
        environment.stamp_file.unlink(missing_ok=True)
        try:
            build = bring_up(environment, stamp, key, lock)
        except SetupError:
            # pip changes nothing unless it could fetch and build all, so what was there still is.
            if stamp:
                environment.write_stamp(stamp)
            raise
        environment.write_stamp(
            {
                **{name: value for name, value in stamp.items() if value == key.get(name)},
                **{name: key[name] for name in {"project", "runtime", lock}},
                "path": str(environment.path),
                "root": str(ROOT),
                "python": os.path.realpath(environment.python),
                "version": stamp.get("version", platform.python_version()),
                **asdict(build),
            }
        )
        say(f"ready in {clock(time.monotonic() - started)}; the log is {environment.log}")


def wanted_build(environment: Environment, stamp: Mapping[str, str]) -> Build:
    """Decide how llama.cpp is to be built; a build that is there and will do decides."""
    present = Build.from_stamp(stamp)
    if environment.has_llama() and has_asked_build(stamp, os.environ):
        return present
    # A later build keeps the user's flags of the first.
    cmake_args = os.environ.get("CMAKE_ARGS") or present.cmake_args
    if not cpu_flags.has_amx():
        return Build(cmake_args)
    version = cpu_flags.probe_version(amx=True)
    if not cpu_flags.is_native(cmake_args):
        return Build(cmake_args, probe=version)
    probe = cpu_flags.compiler_probe(os.environ, cmake_args, environment.path)
    flags, reason = cpu_flags.choose_flags(probe)
    environment.display.say(f"  this CPU has AMX; {reason}")
    if flags and cpu_flags.cmake_setting(cmake_args, "CMAKE_CXX_FLAGS"):
        environment.display.say(
            "  CMAKE_CXX_FLAGS in CMAKE_ARGS keeps them out: name them there too"
        )
    return Build(cmake_args, " ".join(flags), version)


def bring_up(
    environment: Environment, stamp: Mapping[str, str], key: Mapping[str, str], lock: str
) -> Build:
    """Install the packages, llama.cpp in the build that is asked for, and the project."""
    built = environment.has_llama()
    build = wanted_build(environment, stamp)
    environment.choose_build(build)
    if stamp.get(lock) != key[lock]:
        if not built and not environment.has_wheel():
            check_compilers(os.environ)
        environment.install_locked(DEV_LOCK if lock == "dev" else RUNTIME_LOCK)
    llama = ("--force-reinstall", "--no-deps")
    if built and build.cache_name() != Build.from_stamp(stamp).cache_name():
        environment.install_locked(environment.write_part(LLAMA), *llama)
    if not environment.imports_llama():
        # The wheel came from pip's cache, and of another machine.
        check_compilers(os.environ)
        environment.install_locked(environment.write_part(LLAMA), "--no-cache-dir", *llama)
        if not environment.imports_llama():
            raise SetupError(f"llama.cpp was built but does not load: see {environment.log}.")
    environment.install_project(lock)
    return build


def make_locks(display: Display, options: list[str]) -> None:
    """Resolve the dependencies for all platforms into the three lock files."""
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "bin" / "python"
        subprocess.run([base_python(), "-m", "venv", folder], check=True, stdout=sys.stderr)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", UV], check=True, stdout=sys.stderr
        )
        common = [str(python), "-m", "uv", "pip", "compile", "--quiet", "--universal"]
        common += ["--python-version", "3.11", "--generate-hashes", "--no-header", *options]
        jobs = (
            (RUNTIME_LOCK, ["pyproject.toml"]),
            (DEV_LOCK, ["pyproject.toml", "--group", "dev", "-c", RUNTIME_LOCK.name]),
            (BUILD_LOCK, ["-"]),
        )
        for path, sources in jobs:
            display.say(f"resolving {path.name}")
            subprocess.run(
                [*common, *sources, "-o", path.name],
                input="\n".join(BUILD_REQUIREMENTS),
                text=True,
                check=True,
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
            )


def clean(environment: Environment) -> None:
    """Remove the environment and the tools' caches."""
    with only_one(environment):
        environment.remove()
    for name in (".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"):
        shutil.rmtree(ROOT / name, ignore_errors=True)


def interrupt(*_: object) -> NoReturn:
    """Treat a request to end like Ctrl-C, so that pip and the compilers end too."""
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code."""
    parser = argparse.ArgumentParser(prog="bootstrap.py", description=__doc__)
    parser.add_argument("command", choices=("runtime", "dev", "lock", "clean"))
    parsed, options = parser.parse_known_args(arguments)
    signal.signal(signal.SIGTERM, interrupt)
    live = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    display = Display(sys.stderr, live=live)
    venv = (ROOT / os.environ.get("VENV", ".venv")).resolve()
    environment = Environment(venv, display)
    try:
        if parsed.command == "lock":
            make_locks(display, options)
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
