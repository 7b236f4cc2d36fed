"""The final print: answer, distribution, fields, figures, cost, notes, tree."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from et_agent.cli.brief import (
    answer_cell,
    answers_table,
    because,
    brief_rows,
    foundation,
    noted,
    table_of_answers,
    worth_noting,
)
from et_agent.cli.claims import SUPPORT, claims_table
from et_agent.cli.explaining import explanation
from et_agent.cli.headline import headline, is_sure
from et_agent.cli.terminal import (
    bar,
    has_unicode,
    one_line,
    output_console,
    print_block,
)
from et_agent.cli.tree_view import draw_tree, leaf_states, shorten
from et_agent.results import AnswerShare, AskResult, CalibrationReport
from et_agent.wording import counted

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

__all__ = ["basis", "decoder_name", "print_details", "print_result"]

_MOST_ROWS: Final = 12
_MOST_FIELDS: Final = 24
_ANSWER: Final = 32
"""Columns of an answer in a terminal."""
_CAVEAT: Final = "share: by path weight, not the probability of being correct"


def print_result(result: AskResult, *, tree: bool, explain: bool = False, title: str = "") -> None:
    """Print a result on standard output.

    Args:
        result: What to print.
        tree: Draw the tree.
        explain: Give all figures, and tell what moved the confidence.
        title: A heading with the question, for one of several.
    """
    from rich.padding import Padding
    from rich.rule import Rule
    from rich.text import Text

    console = output_console()
    if title:
        console.print(Rule(Text(title, style="bold"), align="left", style="dim"))
        console.print(Text(one_line(result.question), style="italic"))
    print_block(console, _answer(result))
    if result.kind == "long":
        if result.claims:
            print_block(console, Padding(claims_table(result.claims), (0, 0, 0, 1)))
            console.print(Text(f" {SUPPORT}", style="dim"))
    elif explain:
        print_block(console, Padding(_distribution(result, console), (0, 0, 0, 1)))
        console.print(Text(f" {_CAVEAT}", style="dim"))
    else:
        print_block(console, Padding(answers_table(result, console), (0, 0, 0, 1)))
    console.print()
    if result.fields:
        print_block(console, Padding(_fields(result), (0, 0, 0, 1)))
        console.print()
    rows = _figure_rows(result) if explain else brief_rows(result)
    notes = result.notes if explain else worth_noting(result)
    print_block(console, Padding(_figures(rows, notes), (0, 0, 0, 1)))
    print_details(result, tree=tree, explain=explain)
    if console.is_terminal and not (explain or tree):
        console.print(Text(" --explain shows more, --tree draws the paths", style="dim"))
    if title:
        console.print()


def print_details(result: AskResult, *, tree: bool, explain: bool) -> None:
    """Print what moved the confidence, and the tree, where they are wanted."""
    from rich.padding import Padding
    from rich.text import Text

    console = output_console()
    if explain:
        console.print()
        print_block(console, Padding(explanation(result, _bounds(result)), (0, 0, 0, 1)))
    if tree and result.tree is not None and result.tree.nodes:
        console.print()
        # The last column stays free: some terminals wrap there.
        lines = draw_tree(
            result.tree, console.width - 1, ascii_only=not has_unicode(console.encoding)
        )
        console.print(Text("\n").join(lines), soft_wrap=True)


def decoder_name(result: AskResult) -> str:
    """The decoder's name as on the command line."""
    from et_agent.decoding.naming import DECODERS

    name = str(result.decoder["name"])
    known = {made.__name__: plain for plain, made in DECODERS.items()}
    return known.get(name, name)


def basis(calibration: CalibrationReport) -> str:
    """What a confidence rests on and how far it may be off, in a few words."""
    low, high = calibration.interval
    return f"{foundation(calibration)}, {100 * low:.0f} to {high:.0%}"


def _answer(result: AskResult) -> "RenderableType":
    from rich.panel import Panel
    from rich.text import Text

    text = headline(result, told=result.complete)
    if result.complete:
        sure = is_sure(result)
        return Panel.fit(
            text,
            title="answer" if sure else "not sure",
            title_align="left",
            padding=(0, 2),
            border_style="green" if sure else "yellow",
        )
    title = Text("INCOMPLETE: answer so far", style="bold yellow")
    return Panel(
        text,
        title=title,
        title_align="left",
        padding=(0, 2),
        border_style="yellow",
        expand=False,
        width=max(34, min(text.cell_len + 6, 78)),
    )


def _distribution(result: AskResult, console: "Console") -> "RenderableType":
    from rich.text import Text

    table = table_of_answers("p(a|x)", _ANSWER, console)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("", width=20, no_wrap=True)
    table.add_column("leaves", justify="right", no_wrap=True)
    table.add_column("by count", justify="right", no_wrap=True)
    shares = result.distribution
    shown = shares if len(shares) <= _MOST_ROWS else shares[: _MOST_ROWS - 1]
    for share in shown:
        lead = share.answer is not None and share.answer == result.answer
        table.add_row(*_row(share, console), style="bold" if lead else "")
    if hidden := shares[len(shown) :]:
        table.add_row(
            Text(f"{len(hidden)} more", style="dim"),
            f"{sum(s.share for s in hidden):.1%}",
            "",
            str(sum(s.leaves for s in hidden)),
            f"{sum(s.share_by_count for s in hidden):.1%}",
        )
    return table


def _row(share: AnswerShare, console: "Console") -> "tuple[Text, str, Text, str, str]":
    from rich.text import Text

    if share.answer is None:
        answer, colour = Text("no answer", style="yellow"), "yellow"
    else:
        answer, colour = answer_cell(one_line(share.answer), _ANSWER, console), "green"
    return (
        answer,
        f"{share.share:.1%}",
        Text(bar(share.share, 20, ascii_only=not has_unicode(console.encoding)), style=colour),
        str(share.leaves),
        f"{share.share_by_count:.1%}",
    )


def _fields(result: AskResult) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("field", overflow="ellipsis", no_wrap=True, max_width=20)
    table.add_column("value", overflow="ellipsis", no_wrap=True, max_width=20)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("confidence", justify="right", no_wrap=True)
    table.add_column("or", overflow="ellipsis", no_wrap=True, max_width=20)
    shown = list(result.fields.items())[:_MOST_FIELDS]
    for path, field in shown:
        other = next(iter(field.alternatives), None)
        table.add_row(
            Text(shorten(one_line(path), 20)),
            Text(_value(field.value), style="green"),
            f"{field.share:.1%}",
            "" if field.confidence is None else f"{field.confidence:.1%}",
            Text("" if other is None else f"{_value(other.value)} {other.share:.0%}", style="dim"),
        )
    if hidden := len(result.fields) - len(shown):
        table.add_row(Text(f"{hidden} more: --json", style="dim"))
    return table


def _value(value: object) -> str:
    return shorten(one_line(json.dumps(value, ensure_ascii=False)), 20)


def _figures(rows: Iterable[tuple[str, str]], notes: Iterable[str]) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in (*rows, *(("note", noted(note)) for note in notes)):
        table.add_row(name, Text(value, style="yellow" if name == "note" else ""))
    return table


def _figure_rows(result: AskResult) -> list[tuple[str, str]]:
    usage = result.usage
    rows = []
    if result.confidence is not None:
        rows.append(("confidence", _confidence(result.confidence, result.calibration)))
    if result.kind != "long":
        rows += [
            (
                "predictive entropy",
                f"{result.predictive_entropy:.3f} nats, "
                f"normalised {result.predictive_entropy_normalised:.3f}",
            ),
            (
                "effective samples",
                f"{result.ess:.1f} of {counted(usage.leaves, 'leaf', 'leaves')} (ESS)",
            ),
            ("margin", f"{result.margin:.1%} between the first and the second answer"),
        ]
    return [
        *rows,
        ("cut off", _cut_off(result)),
        ("tokens", _tokens(result)),
        (
            "time",
            f"{usage.seconds:.1f} s, {usage.tokens_per_second:,.0f} tokens/s, "
            f"{counted(usage.steps, 'step')}",
        ),
        ("decoder", _decoder(result)),
        ("model", one_line(result.model.name)),
        ("kind", one_line(f"{result.kind}: {result.kind_reason}")),
    ]


def _confidence(confidence: float, calibration: CalibrationReport | None) -> str:
    if calibration is None:
        return f"{confidence:.1%}"
    return because(f"{confidence:.1%}, {basis(calibration)}", calibration)


def _bounds(result: AskResult) -> str:
    calibration = result.calibration
    if calibration is None:
        return "the result does not say what the confidence rests on"
    low, high = calibration.interval
    told = f"P(correct) is between {low:.1%} and {high:.1%} with a probability of 90%"
    if calibration.largest is None:
        return told
    leaves = counted(int(result.decoder.get("leaves") or 1), "leaf", "leaves")
    told = f"{told}; {leaves} can reach {calibration.largest:.1%} at most"
    if calibration.largest_low is None or calibration.largest - calibration.largest_low < 0.001:
        return told
    return f"{told}, and {calibration.largest_low:.1%} at the lower end"


def _cut_off(result: AskResult) -> str:
    share = f"{result.cut_off_share:.1%} of the weight"
    states = "" if result.tree is None else leaf_states(result.tree.leaves)
    return f"{share} ({states})" if states else share


def _tokens(result: AskResult) -> str:
    usage = result.usage
    text = f"{usage.tokens_decoded:,} decoded"
    if usage.leaves > 1 and usage.tokens_as_chains:
        saved = 1 - usage.tokens_decoded / usage.tokens_as_chains
        text += f"; {usage.leaves} separate chains: {usage.tokens_as_chains:,} ({saved:.0%} saved)"
    if result.claims:
        text += f"; {usage.probe_tokens:,} read to check the claims"
    return text


def _decoder(result: AskResult) -> str:
    settings = result.decoder
    parts = [decoder_name(result)]
    if "schedule" in settings:
        parts.append(f"schedule {settings['schedule']}")
    parts.append(f"temperature {settings['temperature']:g}")
    parts.append(f"seed {result.seed}")
    return ", ".join(parts)
