"""How to install what is missing: an extra of this environment, an integration, a compiler."""

import platform
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final

__all__ = ["compiler_hint", "install_command", "install_hint", "integration_hint"]

_CHECKOUT: Final = Path(__file__).parents[1]

_COMPILERS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "debian": ("Debian, Ubuntu", "sudo apt install build-essential"),
        "fedora": ("Fedora, Red Hat", "sudo dnf install gcc-c++ make"),
        "arch": ("Arch", "sudo pacman -S --needed base-devel"),
        "alpine": ("Alpine", "sudo apk add build-base linux-headers"),
        "suse": ("openSUSE", "sudo zypper install gcc-c++ make"),
        "darwin": ("macOS", "xcode-select --install"),
        "win32": (
            "Windows",
            "winget install Microsoft.VisualStudio.2022.BuildTools --override "
            '"--wait --passive --add Microsoft.VisualStudio.Workload.VCTools --includeRecommended"',
        ),
    }
)
"""Name of a system, and the command that installs its C and C++ compilers; by `sys.platform`, or by
`ID` and `ID_LIKE` of os-release."""


def install_hint(extra: str) -> str:
    """Return the command that installs an extra."""
    return install_command(f"et-agent[{extra}]")


def install_command(requirement: str) -> str:
    """Return the command that installs a package. A plain `pip` may belong to another Python."""
    python = shlex.quote(sys.executable)
    pip = f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"
    return f"{pip} '{requirement}'"


def integration_hint(folder: str, extra: str = "") -> str:
    """Return the command that installs an integration: that of the checkout which runs this, if any."""
    more = f"[{extra}]" if extra else ""
    source = _CHECKOUT / "integrations" / folder
    if (source / "pyproject.toml").is_file():
        return install_command(f"{source}{more}")
    return install_command(f"et-agent-{folder}{more}")


def compiler_hint() -> str:
    """Return how to install C and C++ compilers: this system's command, or those of all if unknown."""
    for name in _systems():
        if name in _COMPILERS:
            return f"install one with `{_COMPILERS[name][1]}`"
    every = "; ".join(f"{title}: `{command}`" for title, command in _COMPILERS.values())
    return f"install gcc and g++, or clang ({every})"


def _systems() -> list[str]:
    """This system and those that it is like, nearest first."""
    found: Mapping[str, str] = {}
    if sys.platform not in _COMPILERS:
        with suppress(OSError):
            found = platform.freedesktop_os_release()
    return [sys.platform, found.get("ID", ""), *found.get("ID_LIKE", "").split()]
