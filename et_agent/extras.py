"""How to install an extra into the current environment."""

import shlex
import sys

__all__ = ["install_hint"]


def install_hint(extra: str) -> str:
    """Return the command that installs an extra. A plain `pip` may belong to another Python."""
    return f"{shlex.quote(sys.executable)} -m pip install 'et-agent[{extra}]'"
