"""Answers on a small screen: one question's, a line for each of several, and a summary of these."""

import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from et_agent.asking.notes import is_about_size
from et_agent.cli.headline import headline, in_full, is_sure
from et_agent.cli.spelling import with_options
from et_agent.cli.terminal import bar, has_unicode, one_line, output_console, visible, write_line
from et_agent.cli.tree_view import shorten
from et_agent.results import AskResult, CalibrationReport
from et_agent.wording import counted, noun

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

__all__ = [
    "Tally",
    "answer_cell",
    "answers_table",
    "because",
    "brief_rows",
    "foundation",
    "noted",
    "print_line",
    "table_of_answers",
    "worth_noting",
]

_MOST_ANSWERS: Final = 4
_ANSWER: Final = 40
"""Columns of an answer in a terminal."""


def _in_words(confidence: float, result: AskResult) -> str:
    """A confidence and its interval as what they promise: how many of 100 such answers are right."""
    count = round(100 * confidence)
    are = noun(count, "is", "are")
    many = {0: "fewer than 1 is", 100: "more than 99 are"}.get(count, f"{count} {are}")
    what, right = ("claims", "true") if result.kind == "long" else ("answers", "right")
    told = f"{count}%: of 100 such {what}, {many} {right}"
    if (found := result.calibration) is None:
        return told
    low, high = (f"{100 * end:.0f}" for end in found.interval)
    return told if low == high else f"{told} (likely {low} to {high})"


def foundation(calibration: CalibrationReport) -> str:
    """What a confidence rests on."""
    if calibration.source == "general":
        return "general map"
    return f"{calibration.source} calibrator, {counted(calibration.labels, 'label')}"


def noted(note: str) -> str:
    """A note of a result with options in place of the library's names."""
    from et_agent.cli.decoders import decoder_options, option

    names = {one.field: option(one.field) for one in decoder_options()} | {"kind": "--kind"}
    return visible(with_options(note, names))


def because(told: str, calibration: CalibrationReport) -> str:
    """What is told of a confidence, with why it rests on nothing better."""
    why = noted("; ".join(calibration.notes))
    return f"{told}: {why}" if why else told


def brief_rows(result: AskResult) -> list[tuple[str, str]]:
    """What a person needs beside the answers: how sure, what that rests on, and what it cost."""
    rows = []
    if result.confidence is not None:
        rows.append(("confidence", _in_words(result.confidence, result)))
    if (found := result.calibration) is not None:
        rows.append(("rests on", because(foundation(found), found)))
    usage = result.usage
    cost = f"{counted(usage.tokens_decoded, 'token')}, {usage.seconds:.1f} s"
    return [*rows, ("cost", f"{cost}, {counted(usage.leaves, 'path')}")]


def worth_noting(result: AskResult) -> list[str]:
    """Notes that say what to mind or to do; not how many paths were worth their tokens."""
    return [note for note in result.notes if not is_about_size(note)]


def table_of_answers(header: str, width: int, console: "Console") -> "Table":
    """A table that begins with a column of answers, of at most so many columns in a terminal."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    if console.is_terminal:
        table.add_column(header, overflow="ellipsis", no_wrap=True, max_width=width)
    else:  # a file has room for the whole answer
        table.add_column(header, overflow="fold")
    return table


def answer_cell(said: str, width: int, console: "Console") -> "Text":
    """An answer in that column."""
    from rich.text import Text

    return Text(shorten(said, width) if console.is_terminal else said)


def answers_table(result: AskResult, console: "Console") -> "RenderableType":
    """The answers with the share of each, the heaviest first."""
    from rich.text import Text

    table = table_of_answers("answers", _ANSWER, console)
    table.add_column("share of the paths", no_wrap=True)
    shares = result.distribution
    shown = shares if len(shares) <= _MOST_ANSWERS else shares[: _MOST_ANSWERS - 1]
    ascii_only = not has_unicode(console.encoding)
    for one in shown:
        said = "no answer" if one.answer is None else one_line(in_full(one.answer, result))
        drawn = Text(f"{one.share:>4.0%} ")
        drawn.append(
            bar(one.share, 20, ascii_only=ascii_only), "yellow" if one.answer is None else "green"
        )
        leads = one.answer is not None and one.answer == result.answer
        table.add_row(
            answer_cell(said, _ANSWER, console),
            drawn,
            style="bold" if leads else "",
        )
    if hidden := shares[len(shown) :]:
        table.add_row(
            Text(f"{len(hidden)} more", style="dim"), f"{sum(one.share for one in hidden):>4.0%}"
        )
    return table


def print_line(result: AskResult, number: int, total: int) -> None:
    """Print one of several answers as a line: its number, the confidence, the answer, the question."""
    place = f"#{number}".rjust(len(f"#{total}"))
    sure = "-" if result.confidence is None else f"{result.confidence:.0%} sure"
    said = one_line(headline(result, told=True).plain)
    if not result.complete:
        said = f"INCOMPLETE: {said}"
    question = one_line(result.question)
    console = output_console()
    if not console.is_terminal:
        write_line(f"{place}  {sure:>9}  {said}  | {question}")
        return
    from rich.cells import set_cell_size
    from rich.text import Text

    # The last column stays free: some terminals wrap there.
    room = console.width - len(place) - 16
    answers = min(_ANSWER, room // 2)
    sound = result.complete and result.answer is not None and is_sure(result)
    text = Text(f"{place}  {sure:>9}  ", no_wrap=True)
    text.append(set_cell_size(shorten(said, answers), answers), "green" if sound else "yellow")
    text.append("  " + shorten(question, room - answers), "dim")
    console.print(text)


class Tally:
    """Counts what became of several questions."""

    def __init__(self, total: int) -> None:
        self._total, self._began = total, time.perf_counter()
        self._counts: Counter[str] = Counter()
        self._confidences: list[float] = []
        self._tokens = 0

    def add(self, result: AskResult) -> None:
        """Count a result."""
        self._tokens += result.usage.tokens_decoded
        if result.confidence is not None:
            self._confidences.append(result.confidence)
        if not result.complete:
            self._counts["stopped"] += 1
        elif result.answer is None:
            self._counts["without an answer"] += 1
        else:
            self._counts["answered" if is_sure(result) else "not sure"] += 1

    def add_failure(self) -> None:
        """Count a question that could not be answered."""
        self._counts["failed"] += 1

    def print(self) -> None:
        """Print all of it: a line, or two where a terminal has no room for one."""
        from rich.text import Text

        console = output_console()
        if console.is_terminal:
            counts, *figures = self._parts()
            told = "; ".join([counts, *figures])
            # The last column stays free: some terminals wrap there.
            two = len(told) >= console.width
            console.print(Text(f"{counts}\n  {'; '.join(figures)}" if two else told))
        else:
            write_line(self.told())

    def told(self) -> str:
        """All of it in one line."""
        return "; ".join(self._parts())

    def _parts(self) -> list[str]:
        what = ("answered", "not sure", "without an answer", "stopped", "failed")
        counts = [f"{self._counts[one]} {one}" for one in what if self._counts[one]]
        became = ", ".join(counts) or "none answered"
        parts = [f"{counted(self._total, 'question')}: {became}"]
        if known := self._confidences:
            parts.append(f"mean confidence {sum(known) / len(known):.0%}")
        seconds = time.perf_counter() - self._began
        return [*parts, f"{counted(self._tokens, 'token')}, {seconds:.1f} s"]
