"""Starts the `et-agent` command, or says what to install where its extra is missing."""

import sys
from importlib.util import find_spec

from et_agent.extras import install_hint

__all__ = ["main"]


def main() -> int:
    """Run the command line and give the exit code."""
    missing = [name for name in ("typer", "rich") if find_spec(name) is None]
    if missing:
        needed = " and ".join(missing)
        print(f"et-agent: the command line needs {needed}: {install_hint('cli')}", file=sys.stderr)
        return 2
    from et_agent.cli.main import main as run

    return run()
