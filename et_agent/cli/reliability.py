"""Reliability diagrams in the terminal."""

from collections.abc import Sequence
from typing import Final

from et_agent.cli.terminal import bar, output_console, write_line

__all__ = ["print_reliability"]

_WIDTH: Final = 30


def print_reliability(bins: Sequence[tuple[float, float, int]]) -> None:
    """Print confidence against accuracy.

    Args:
        bins: (mean confidence, accuracy, questions) of each bin.
    """
    ascii_only = not output_console().encoding.lower().startswith("utf")
    write_line("  confidence  accuracy")
    for confidence, accuracy, count in bins:
        drawn = bar(accuracy, _WIDTH, ascii_only=ascii_only)
        write_line(f"  {confidence:>9.1%}  {accuracy:>8.1%}  {drawn:<{_WIDTH}}  of {count}")
