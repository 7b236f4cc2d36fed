"""Claims of a long answer on the screen: the answer in colours, and a table of what each rests on."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from et_agent.cli.terminal import one_line, visible
from et_agent.results import AskResult, ClaimReport

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["SUPPORT", "claims_table", "coloured", "mark_doubtful"]

SUPPORT: Final = "support, against: other leaves that say so, or otherwise, by path weight"
"""What stands below the table."""
_SURE: Final = 0.75
_LIKELY: Final = 0.5


def coloured(answer: str, claims: Sequence[ClaimReport] = ()) -> "Text":
    """An answer, each sentence of a long one in the colour of its most doubtful claim.

    Args:
        answer: The answer.
        claims: Its claims; none for an answer that is no long one.
    """
    from rich.text import Text

    if not claims:
        return Text(visible(answer, keep="\n"), style="bold green")
    least: dict[tuple[int, int], float | None] = {}
    for claim in claims:
        known = [one for one in (claim.confidence, least.get(claim.span)) if one is not None]
        least[claim.span] = min(known, default=None)
    text, at = Text(), 0
    for (start, end), confidence in least.items():
        text.append(visible(answer[at:start], keep="\n"))
        text.append(visible(answer[start:end], keep="\n"), _style(confidence))
        at = end
    text.append(visible(answer[at:], keep="\n"))
    return text


def mark_doubtful(shown: "Text", result: "AskResult", below: float) -> "Text":
    """A long answer with [?] behind each sentence that makes a claim of less confidence.

    Args:
        shown: The answer as `coloured` gives it, perhaps with something before it.
        result: Its result.
        below: The least confidence of a claim that is not doubtful.
    """
    answer = result.answer or ""
    before = len(shown.plain) - len(visible(answer, keep="\n"))
    doubtful = {
        one.span[1]
        for one in result.claims
        if one.confidence is not None and one.confidence < below
    }
    ends = [before + len(visible(answer[:end], keep="\n")) for end in sorted(doubtful)]
    parts = shown.divide(ends)
    marked = parts[0].blank_copy()
    for number, part in enumerate(parts):
        marked.append_text(part)
        if number < len(ends):
            marked.append(" [?]", "yellow")
    return marked


def claims_table(claims: Sequence[ClaimReport], doubtful: Collection[int] = ()) -> "Table":
    """What each claim rests on.

    Args:
        claims: The claims.
        doubtful: Numbers of those to point out.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("claim", overflow="fold", ratio=1)
    for name in ("confidence", "support", "against"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, claim in enumerate(claims):
        shown = Text(one_line(claim.text), style=_style(claim.confidence))
        if number in doubtful:
            shown.append(" [doubtful]", "dim")
        table.add_row(shown, *map(_share, (claim.confidence, claim.support, claim.contradicted)))
    return table


def _style(confidence: float | None) -> str:
    if confidence is None:
        return ""
    if confidence >= _SURE:
        return "green"
    return "yellow" if confidence >= _LIKELY else "red"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
