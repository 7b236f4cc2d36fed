"""A conversation on the screen, and one line per turn where nobody watches."""

from typing import TYPE_CHECKING, Final

from et_agent.cli.brief import noted, worth_noting
from et_agent.cli.claims import coloured, mark_doubtful
from et_agent.cli.formulas import plain_formulas
from et_agent.cli.headline import EVEN, headline, is_sure, not_sure
from et_agent.cli.report import basis
from et_agent.cli.terminal import (
    has_unicode,
    one_line,
    output_console,
    print_block,
    visible,
    write_line,
)
from et_agent.wording import counted

if TYPE_CHECKING:
    from et_agent.results import AskResult

__all__ = ["how_sure", "print_earlier", "print_reply", "reply_line"]

_EARLIER: Final = 4
"""Turns of a conversation that are shown when it goes on."""


def how_sure(result: "AskResult") -> str:
    """The confidence and what it rests on, in a few words."""
    if result.confidence is None:
        return "no confidence"
    calibration = result.calibration
    told = f"{result.confidence:.0%} sure"
    return told if calibration is None else f"{told} ({basis(calibration)})"


def print_reply(result: "AskResult", reply: str) -> None:
    """Print a reply: the answer, doubtful claims, how sure the model is, and its own words.

    Args:
        result: The reply's result.
        reply: The words of the path that gave it.
    """
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = output_console()
    text = headline(result)
    if result.claims:
        text = mark_doubtful(text, result, EVEN)
    console.print(text)
    if not result.complete:
        console.print(Text("stopped; this turn does not count", style="yellow"))
    figures = [how_sure(result), result.kind]
    paths = counted(result.usage.leaves, "path")
    figures.append(f"{paths}, {result.usage.seconds:.1f}\N{NO-BREAK SPACE}s")
    console.print(Padding(Text(" · ".join(figures), style="dim"), (0, 0, 0, 2)))
    doubtful = Table.grid(padding=(0, 1))
    doubtful.style = "yellow"
    for claim in result.claims:
        if claim.confidence is not None and claim.confidence < EVEN:
            doubtful.add_row("[?]", f"{claim.confidence:.0%}", Text(one_line(claim.text)))
    if doubtful.row_count:
        print_block(console, Padding(doubtful, (0, 0, 0, 2)))
    others = [one for one in result.distribution if one.answer not in (None, result.answer)]
    if others and not is_sure(result) and not result.claims:
        named = ", ".join(f"{one_line(one.answer or '')} ({one.share:.0%})" for one in others[:3])
        console.print(Text(f"  or: {named}", style="dim"))
    if not result.claims and reply and one_line(reply) != one_line(result.answer or ""):
        words = plain_formulas(reply) if has_unicode(console.encoding) else reply
        console.print(Padding(Text(visible(words, keep="\n"), style="dim"), (0, 0, 0, 2)))
    for note in worth_noting(result):
        console.print(Padding(Text(f"note: {noted(note)}", style="dim"), (0, 0, 0, 2)))
    console.print()


def reply_line(result: "AskResult") -> str:
    """A reply in one line: the answer and how sure the model is."""
    if result.answer is None:
        return "(the passages do not say)" if result.declined else "(no answer)"
    shown = mark_doubtful(coloured(result.answer, result.claims), result, EVEN)
    answer = one_line(shown.plain)
    if not is_sure(result):
        answer = f"({not_sure(result)}) {answer}"
    sure = "no confidence" if result.confidence is None else f"{result.confidence:.0%}"
    return f"{answer}  [{sure}]"


def print_earlier(name: str, turns: "list[tuple[str, AskResult]]") -> None:
    """Print the end of a conversation that goes on."""
    write_line(f"{name}: {counted(len(turns), 'turn')}")
    for question, result in turns[-_EARLIER:]:
        write_line(f"> {one_line(question)}")
        write_line(reply_line(result))
    write_line("")
