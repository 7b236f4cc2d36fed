"""How to install an extra into the current environment."""

import shlex
import sys
from importlib.util import find_spec

__all__ = ["install_command", "install_hint"]


def install_hint(extra: str) -> str:
    """Return the command that installs an extra."""
    return install_command(f"et-agent[{extra}]")


def install_command(requirement: str) -> str:
    """Return the command that installs a package. A plain `pip` may belong to another Python."""
    python = shlex.quote(sys.executable)
    pip = f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"
    return f"{pip} '{requirement}'"
