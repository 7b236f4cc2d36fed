"""How to install what an extra brings, in the environment that runs now."""

import shlex
import sys

__all__ = ["install_hint"]


def install_hint(extra: str) -> str:
    """The command for one extra; a plain `pip` may belong to another Python."""
    return f"{shlex.quote(sys.executable)} -m pip install 'et-agent[{extra}]'"
