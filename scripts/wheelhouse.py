"""Fetch all that the container is built from, so that the build itself needs no network.

`make wheelhouse` resolves what the image has, within the lock, for the Python and the platform of the
image, and lets pip download each file into wheels/, verified by its hash. llama.cpp comes as source.
"""

from __future__ import annotations

import argparse
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bootstrap import LOCK, Environment, SetupError, base_python, pinned, run, say
from llama_build import ROOT

IMAGE = (
    f"et-agent[cli,hub] @ {ROOT.as_uri()}",
    f"et-agent-server[mcp] @ {(ROOT / 'integrations' / 'server').as_uri()}",
)
OWN = ("et-agent", "et-agent-server")
GLIBC = range(17, 37)
"""Versions 2.x that wheels may ask for: Debian 12, the base of the image, has 2.36."""


def pip_of(environment: Environment) -> list[str]:
    """A pip that runs, which uv has no counterpart for.

    Raises:
        SetupError: There is none.
    """
    for python in (str(environment.python), base_python()):
        command = [python, "-m", "pip"]
        if not subprocess.run([*command, "--version"], capture_output=True, check=False).returncode:
            return command
    raise SetupError(f"The files are fetched by pip: install it, {base_python()} -m ensurepip")


def resolve(uv: str, python: str, machine: str, listed: Path) -> None:
    """Write what the image has, and what builds it, with the lock's versions and hashes."""
    wanted = listed.with_suffix(".in")
    wanted.write_text("\n".join(IMAGE) + "\n", "utf-8")
    command = [uv, "pip", "compile", str(wanted), "--group", "pyproject.toml:build", "--quiet"]
    command += ["--constraints", LOCK, "--build-constraints", LOCK]
    command += ["--python-version", python, "--python-platform", f"{machine}-unknown-linux-gnu"]
    command += [option for name in OWN for option in ("--no-emit-package", name)]
    run([*command, "--no-header", "--no-annotate", "-o", str(listed)])
    lock = (ROOT / LOCK).read_text("utf-8")
    names = re.findall(r"^([\w.-]+)==([^\s;]+)", listed.read_text("utf-8"), re.MULTILINE)
    # Markers go: pip would ask them of the Python that runs it.
    cut = [re.sub(r" ;.*", " \\\\", pinned(lock, *one), count=1) for one in names]
    listed.write_text("".join(cut), "utf-8")


def fetch(pip: Sequence[str], python: str, machine: str, listed: Path, out: Path) -> None:
    """Download the files that are listed, wheels for that platform where there are any."""
    command = [*pip, "download", "--disable-pip-version-check", "--quiet", "--no-deps"]
    command += ["--require-hashes", "--requirement", str(listed), "--dest", str(out)]
    command += ["--implementation", "cp", "--python-version", python]
    for minor in reversed(GLIBC):
        command += ["--platform", f"manylinux_2_{minor}_{machine}"]
    run([*command, "--platform", f"manylinux2014_{machine}", "--platform", f"linux_{machine}"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make wheelhouse", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "wheels", help="folder, made anew")
    parser.add_argument("--python", default="3.12", help="version of the image's Python")
    parser.add_argument("--machine", default=platform.machine(), help="x86_64 or aarch64")
    options = parser.parse_args(arguments)
    environment = Environment(Path(sys.prefix))
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(options.machine, options.machine)
    try:
        if not (uv := environment.find_uv()):
            raise SetupError("Versions are resolved by uv: run `make setup` first, or install uv.")
        pip = pip_of(environment)
        with tempfile.TemporaryDirectory() as place:
            listed = Path(place) / "requirements.txt"
            resolve(uv, options.python, machine, listed)
            shutil.rmtree(options.out, ignore_errors=True)
            options.out.mkdir(parents=True)
            fetch(pip, options.python, machine, listed, options.out.resolve())
    except SetupError as error:
        say(f"error: {error}")
        return 1
    files = list(options.out.iterdir())
    size = sum(file.stat().st_size for file in files)
    say(f"{len(files)} files, {size / 1e6:,.0f} MB, in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
