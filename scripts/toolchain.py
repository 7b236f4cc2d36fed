"""What set-up needs of the machine: an interpreter with venv, compilers, cores."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping

# The variable that names the compiler, its language, who is tried without it, a test.
COMPILERS = (
    ("CC", "c", ("cc", "gcc", "clang"), "#include <stdio.h>\n"),
    ("CXX", "c++", ("c++", "g++", "clang++"), "#include <vector>\n"),
)
COMPILER_PACKAGES = {
    "macos": "xcode-select --install",
    "debian": "sudo apt install build-essential",
    "ubuntu": "sudo apt install build-essential",
    "fedora": "sudo dnf install gcc gcc-c++ make",
    "rhel": "sudo dnf install gcc gcc-c++ make",
    "arch": "sudo pacman -S base-devel",
    "alpine": "sudo apk add build-base linux-headers",
    "suse": "sudo zypper install gcc gcc-c++ make",
}


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


def missing_venv() -> str:
    """Say how to get venv and ensurepip."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    packages = dict.fromkeys(
        ("debian", "ubuntu"), f"sudo apt install python3-venv  (or python{version}-venv)"
    )
    command = install_command(packages, platform.system(), os_release())
    fix = f"Install it: {command}" if command else "Install it, or name another with PYTHON=…"
    return f"{base_python()} cannot make virtual environments: venv or ensurepip is missing.\n{fix}"


def os_release() -> Mapping[str, str]:
    """Read /etc/os-release; empty where there is none."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def works(compiler: str, language: str, source: str) -> bool:
    """Tell whether the compiler takes a source file that includes a system header."""
    command = [*shlex.split(compiler), "-x", language, "-fsyntax-only", "-"]
    try:
        return not subprocess.run(
            command, input=source, capture_output=True, text=True, check=False
        ).returncode
    except OSError:
        return False


def check_compilers(environ: Mapping[str, str]) -> None:
    """Find a C and a C++ compiler before minutes are spent on downloads.

    Raises:
        SetupError: naming what is missing and the command that installs it.
    """
    for variable, language, names, source in COMPILERS:
        tried = (environ[variable],) if environ.get(variable) else names
        if any(works(name, language, source) for name in tried):
            continue
        command = install_command(COMPILER_PACKAGES, platform.system(), os_release())
        fix = f"Install one: {command}" if command else "Install gcc and g++, or clang."
        raise SetupError(
            f"llama.cpp is built from source, and no {language.upper()} compiler works here "
            f"(tried {', '.join(tried)}).\n{fix}"
        )


def install_command(packages: Mapping[str, str], system: str, release: Mapping[str, str]) -> str:
    """Choose the command of this platform; keys are distribution names and "macos"."""
    if system == "Darwin":
        return packages.get("macos", "")
    names = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    return next((packages[name] for name in names if name in packages), "")
