"""What moved a confidence, as a sum: an average question, each feature, and what comes of them."""

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import RenderableType

    from et_agent.results import AskResult

__all__ = ["explanation"]

_SHOWN: Final = 0.005
"""Log-odds that two digits show."""


def explanation(result: "AskResult", bounds: str) -> "RenderableType":
    """A table that adds up to the confidence.

    Args:
        result: The result.
        bounds: In words, how far the confidence may be off.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    if result.confidence is None:
        return Text(
            "no confidence to explain: there is no answer, the tree was stopped, or none was wanted",
            style="yellow",
        )
    told = Text(bounds, style="dim")
    if not result.confidence_parts:
        return Group(told, Text("it depends on the share of the answer alone", style="dim"))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("moved the confidence", no_wrap=True)
    table.add_column("by, log-odds", justify="right", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("", style="dim")
    total = _log_odds(result.confidence)
    moved = math.fsum(part.log_odds for part in result.confidence_parts)
    base = result.confidence_base
    if base is not None:
        table.add_row(
            "an average question", f"{_log_odds(base):+.2f}", "", f"P(correct) {base:.1%}"
        )
    for part in result.confidence_parts:
        style = "green" if part.log_odds > 0 else "red"
        by = Text(f"{part.log_odds:+.2f}", style=style)
        table.add_row(part.feature, by, f"{part.value:.3g}", part.meaning)
    if base is not None:
        left = total - moved - _log_odds(base)
        if abs(left) >= _SHOWN:
            what = "how far the map may be off, which draws it towards 50%"
            table.add_row("few labels", f"{left:+.2f}", "", what)
        row = ("together", f"{total:+.2f}", "", f"P(correct) {result.confidence:.1%}")
        table.add_row(*row, style="bold")
    return Group(told, table)


def _log_odds(probability: float) -> float:
    least = 1e-9
    held = min(max(probability, least), 1 - least)
    return math.log(held / (1 - held))
