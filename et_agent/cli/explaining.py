"""What moved a confidence: where it begins, and what it comes to with each feature."""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import RenderableType

    from et_agent.results import AskResult

__all__ = ["explanation"]

_SHOWN: Final = 0.005
"""Log-odds that two digits show."""
_PLAIN: Final[Mapping[str, str]] = {
    "share": "which part of the paths agrees",
    "votes": "how many independent paths agree",
    "mass": "how likely its own words are",
    "token_probability": "how likely the paths' words are",
    "answerable": "if the model finds it answerable",
    "kind_not_text": "worked out or chosen",
}
"""What the features of the general map say, shorter than `Feature.meaning` and without logarithms."""
_LESS_SURE: Final = "the rows above are uncertain"
_AVERAGED: Final = "the mean of what labels allow"
_GUESSED: Final = "an option is no worse than a guess"


def explanation(result: "AskResult", bounds: str) -> "RenderableType":
    """A table of what the confidence comes to, feature by feature, the strongest first.

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
    table.add_column("confidence", no_wrap=True)
    table.add_column("log-odds", justify="right", no_wrap=True)
    table.add_column("moved by", no_wrap=True)
    table.add_column("which says", style="dim")
    base = result.confidence_base
    reached = math.nan if base is None else _log_odds(base)
    if base is not None:
        start = "before this one is looked at"
        table.add_row(f"from    {base:5.1%}", f"{reached:+.2f}", "an average answer", start)
    for name, moved, says in _steps(result):
        reached += moved
        style, way = ("green", "up") if moved > 0 else ("red", "down")
        if base is not None:
            way = f"{way + ' to':<7} {_probability(reached):5.1%}"
        table.add_row(Text(way, style), Text(f"{moved:+.2f}", style), name, says)
    if base is not None:
        end = f"is      {result.confidence:5.1%}"
        table.add_row(end, f"{_log_odds(result.confidence):+.2f}", "together", style="bold")
    return Group(told, table)


def _steps(result: "AskResult") -> Iterator[tuple[str, float, str]]:
    """What moved it, by how much in log-odds, and what that says."""
    from et_agent.calibration.features import GUESS

    for part in result.confidence_parts:
        yield part.feature, part.log_odds, _PLAIN.get(part.feature, part.meaning)
    if result.confidence is None or result.confidence_base is None:
        return
    total = _log_odds(result.confidence)
    moved = math.fsum(part.log_odds for part in result.confidence_parts)
    left = total - moved - _log_odds(result.confidence_base)
    if left >= _SHOWN and result.confidence == result.features.get(GUESS):
        yield GUESS, left, _GUESSED
    elif abs(left) >= _SHOWN:
        yield "doubt", left, _LESS_SURE if left * total < 0 else _AVERAGED


def _log_odds(probability: float) -> float:
    least = 1e-9
    held = min(max(probability, least), 1 - least)
    return math.log(held / (1 - held))


def _probability(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds))
