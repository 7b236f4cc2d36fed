"""How to install an extra into the current environment."""

import shlex
import sys
from importlib.util import find_spec

__all__ = ["install_hint"]


def install_hint(extra: str) -> str:
    """Return the command that installs an extra. A plain `pip` may belong to another Python."""
    python = shlex.quote(sys.executable)
    pip = f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"
    return f"{pip} 'et-agent[{extra}]'"
