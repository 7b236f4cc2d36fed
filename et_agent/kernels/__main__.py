"""Build the kernels as part of a set-up: what goes wrong is told in one line and stops nothing."""

import sys

from et_agent.errors import KernelError
from et_agent.kernels.building import build, is_off


def main() -> None:
    """Build, unless they are switched off; everything is said on stderr."""
    if is_off():
        return
    try:
        build(say=lambda line: print(f"  {line}", file=sys.stderr, flush=True))
    except KernelError as error:
        print(f"llama.cpp's own kernels are used: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
