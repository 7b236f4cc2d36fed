"""A tree as SVG or PNG for papers. Needs matplotlib, which the extra `eval` brings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from et_agent.arguments import checks_arguments
from et_agent.errors import SettingsError
from et_agent.extras import install_hint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from et_agent.results import AskResult, Leaf, Node

__all__ = ["PICTURE_FORMATS", "draw_tree_picture"]

PICTURE_FORMATS: Final = ("svg", "png", "pdf")
"""Endings of the files that can be drawn."""
# Okabe & Ito's palette, which colour-blind readers can tell apart; grey for the answers after it.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_OTHER: Final = "#777777"
_HOTTEST: Final = 2.5  # nats at which the colour of entropy is full
_WIDEST: Final = 14.0  # points
_LONGEST_ANSWER: Final = 24


@dataclass
class _Place:
    """A segment of the tree where it is drawn: columns are tokens, rows are leaves."""

    node: "Node"
    begin: int
    end: int
    row: float = 0.0
    leaves: list["Leaf"] = field(default_factory=list)
    below: list["_Place"] = field(default_factory=list)


@checks_arguments
def draw_tree_picture(result: "AskResult", path: Path) -> Path:
    """Draw a result's tree and its p(a|x); the ending of the file says as what.

    A segment is as long as its tokens are many and as wide as its weight; forks are coloured by
    entropy, leaves by answer.

    Args:
        result: A result with a tree.
        path: The file: `.svg`, `.png` or `.pdf`.

    Raises:
        SettingsError: The result carries no tree, the ending is another one, or matplotlib is not
            installed.
    """
    if path.suffix.lstrip(".").lower() not in PICTURE_FORMATS:
        known = ", ".join(f".{one}" for one in PICTURE_FORMATS)
        raise SettingsError(f"{path.name} is no picture that can be drawn: end it with {known}")
    if result.tree is None or not result.tree.nodes:
        raise SettingsError("the result carries no tree to draw")
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SettingsError(f"pictures need matplotlib: {install_hint('eval')}") from error
    places = _places(result.tree.nodes, result.tree.leaves)
    answers = [one.answer for one in result.distribution if one.answer is not None]
    height = 1.2 + 0.2 * max(len(result.tree.leaves), 2 * len(result.distribution[:12]), 8)
    # Answers may hold dollars, which would begin a formula.
    with mpl.rc_context({"text.parse_math": False, "svg.fonttype": "none"}):
        figure = Figure(figsize=(9.0, height), layout="constrained")
        FigureCanvasAgg(figure)
        tree, bars = figure.subplots(1, 2, width_ratios=(3, 1))
        _draw_paths(tree, places, answers)
        _draw_shares(bars, result)
        figure.savefig(path, dpi=200, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path


def _places(nodes: Sequence["Node"], leaves: Sequence["Leaf"]) -> list[_Place]:
    places = [_Place(one, one.start, one.start + len(one.entropies)) for one in nodes]
    for place in places:
        if place.node.parent is not None:
            places[place.node.parent].below.append(place)
    for leaf in leaves:
        places[leaf.node].leaves.append(leaf)
    rows = 0
    waiting = [places[0]]
    while waiting:  # leaves get rows from the top down, the heavier side first
        place = waiting.pop()
        if place.leaves:
            place.row = rows + (len(place.leaves) - 1) / 2
            rows += len(place.leaves)
        waiting += sorted(place.below, key=lambda one: one.node.weight)
    for place in reversed(places):  # parents stand before children
        if place.below:
            own = [place.row] if place.leaves else []
            every = [*own, *(one.row for one in place.below)]
            place.row = sum(every) / len(every)
    return places


def _draw_paths(axes: "Axes", places: Sequence[_Place], answers: Sequence[str | None]) -> None:
    grey: dict[str, Any] = {"color": "#9aa5b5", "solid_capstyle": "butt", "zorder": 1}
    forks: list[tuple[int, float, float]] = []
    for place in places:
        width = max(0.6, _WIDEST * place.node.weight)
        axes.plot([place.begin, place.end], [place.row] * 2, linewidth=width, **grey)
        for below in place.below:
            axes.plot([place.end] * 2, [place.row, below.row], linewidth=0.8, **grey)
        if len(place.below) > 1:
            entropies = place.below[0].node.entropies
            first = entropies[0] if entropies else None
            forks.append((place.end, place.row, 0.0 if first is None else first))
        for at, leaf in enumerate(place.leaves):
            row = place.row + at - (len(place.leaves) - 1) / 2
            axes.scatter(
                [place.end], [row], s=34, marker="s", zorder=3, color=_colour(answers, leaf.answer)
            )
    if forks:
        columns, rows, known = zip(*forks, strict=True)
        shown: Any = axes.scatter(
            columns, rows, c=known, cmap="cividis_r", vmin=0, vmax=_HOTTEST, s=36, zorder=2
        )
        figure = axes.get_figure(root=True)
        assert figure is not None
        figure.colorbar(shown, ax=axes, label="entropy of the fork (nats)", shrink=0.8)
    axes.invert_yaxis()
    axes.set(xlabel="tokens", yticks=[], title="Paths; width: path weight")
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_shares(axes: "Axes", result: "AskResult") -> None:
    shown = result.distribution[:12]
    answers = [one.answer for one in result.distribution if one.answer is not None]
    rows = range(len(shown))
    bars = axes.barh(
        rows, [one.share for one in shown], color=[_colour(answers, one.answer) for one in shown]
    )
    axes.bar_label(bars, [f"{one.share:.0%}" for one in shown], padding=3, fontsize=8)
    axes.set_yticks(rows, [_named(one.answer) for one in shown], fontsize=8)
    axes.set_ylim(max(len(shown), 5) - 0.5, -0.5)
    title = "p(a|x)"
    if result.confidence is not None:
        title += f"; P(correct) {result.confidence:.0%}"
    axes.set(xlabel="share", xlim=(0, 1.1), title=title)
    axes.spines[["top", "right"]].set_visible(False)


def _colour(answers: Sequence[str | None], answer: str | None) -> str:
    place = answers.index(answer) if answer in answers else len(_COLOURS)
    return _OTHER if answer is None or place >= len(_COLOURS) else _COLOURS[place]


def _named(answer: str | None) -> str:
    if answer is None:
        return "no answer"
    line = "".join(one if one.isprintable() else " " for one in answer)
    return line if len(line) <= _LONGEST_ANSWER else f"{line[: _LONGEST_ANSWER - 1]}…"
