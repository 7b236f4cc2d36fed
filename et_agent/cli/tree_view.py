"""The tree in a terminal: a line for each stretch of text, forks and leaves at the right edge."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from et_agent.cli.terminal import one_line
from et_agent.results import Leaf, Node, TreeReport
from et_agent.wording import noun

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["draw_tree", "shorten"]

_LONGEST_ANSWER: Final = 20
_LEAST_TEXT: Final = 10
_LEAST_EDGE: Final = 24  # holds a fork's words
_MOST_WIDTH: Final = 160
_STATES: Final = {"stop": "", "length": "cut off", "cancelled": "unfinished"}


@dataclass(frozen=True, slots=True)
class _Guides:
    """The characters that draw the tree."""

    side: str
    last: str
    line: str
    newline: str
    dots: str


_FINE: Final = _Guides(side="├", last="└", line="│", newline="⏎", dots="…")
_PLAIN: Final = _Guides(side="|", last="`", line="|", newline="\\n", dots="...")


@dataclass(frozen=True, slots=True)
class _Line:
    """A node with what stands before it."""

    node: Node
    depth: int
    lasts: tuple[bool, ...]
    fork: float | None
    sides: int
    chains: bool
    leaves: tuple[Leaf, ...]


def shorten(text: str, width: int, *, dots: str = "…", tail: float = 0.0) -> str:
    """Cut text to `width` columns; `tail` is the share of it that is kept from the end."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    if width <= len(dots) + 2:
        return set_cell_size(text, max(width, 0))
    if not tail:
        return set_cell_size(text, width - len(dots)).rstrip() + dots
    room = width - len(dots) - 2
    back = int(room * tail)
    front = _to_word(text, room - back)
    end = _to_word(text[::-1], back)[::-1]
    return f"{front} {dots} {end}"


def _to_word(text: str, width: int) -> str:
    """Cut text to `width` columns and back to its last whole word, unless that costs much of it."""
    from rich.cells import set_cell_size

    cut = set_cell_size(text, width)
    if text[len(cut) : len(cut) + 1].isspace():
        return cut.strip()
    whole = cut.rpartition(" ")[0]
    return (whole if len(whole) > len(cut) // 2 else cut).strip()


def draw_tree(tree: TreeReport, width: int, *, ascii_only: bool = False) -> "list[Text]":
    """Draw a tree in lines of at most `width` columns; trunks are shortened to fit.

    A side of a fork shows its share there and its first words. At the right edge stands what ends
    the stretch: a fork with its token entropy, where that is known, or a leaf with answer, path weight
    and tokens. Chains that were drawn independently part without a fork.
    """
    from rich.text import Text

    guides = _PLAIN if ascii_only else _FINE
    width = min(width, _MOST_WIDTH)
    lines = list(_lines(tree))
    forks = sum(line.sides > 1 and not line.chains for line in lines)
    drawn_apart = any(line.chains for line in lines)
    counted = any(leaf.count > 1 for leaf in tree.leaves)
    answers = [_answer(leaf, guides) for leaf in tree.leaves]
    column = min(max(map(len, [*answers, "answer"])), _LONGEST_ANSWER)
    edge = _Edge(guides, column, counted)
    left = width - edge.width - 2
    step = 2 if 2 * max(line.depth for line in lines) <= left // 2 else 1

    found = sum(leaf.count for leaf in tree.leaves)
    title = f"{found} {noun(found, 'leaf', 'leaves')}, "
    if drawn_apart and not forks:
        title += "independent chains"
    else:
        title += f"{forks} {noun(forks, 'fork')}"
    head = Text.assemble(("Tree", "bold"), f"  {shorten(title, left - 6, dots=guides.dots)}")
    head.append(" " * max(2, width - head.cell_len - edge.width) + edge.header(), "dim")
    drawn = [head]
    for line in lines:
        text = _left(line, left, step, guides)
        text.append(" " * max(2, width - text.cell_len - edge.width))
        ends = [edge.leaf(leaf) for leaf in line.leaves]
        if line.sides > 1:
            ends.append(
                edge.chains(line.sides) if line.chains else edge.fork(line.fork, line.sides)
            )
        drawn.append(text + ends[0] if ends else text)
        drawn += [Text(" " * (width - edge.width)) + more for more in ends[1:]]
    for text in drawn:
        text.rstrip()
    return drawn


def _lines(tree: TreeReport) -> Iterator[_Line]:
    """The nodes from the top down, the heavier side of a fork first."""
    children: dict[int | None, list[int]] = {}
    for index, node in enumerate(tree.nodes):
        children.setdefault(node.parent, []).append(index)
    for below in children.values():
        below.sort(key=lambda index: -tree.nodes[index].weight)
    leaves: dict[int, list[Leaf]] = {}
    for leaf in tree.leaves:
        leaves.setdefault(leaf.node, []).append(leaf)
    waiting: list[tuple[int, tuple[bool, ...]]] = [
        (index, ()) for index in reversed(children.get(None, []))
    ]
    while waiting:
        index, lasts = waiting.pop()
        below = children.get(index, [])
        entropies = tree.nodes[below[0]].entropies if len(below) > 1 else ()
        yield _Line(
            node=tree.nodes[index],
            depth=len(lasts),
            lasts=lasts,
            fork=entropies[0] if entropies else None,
            sides=len(below),
            chains=len(below) > 1 and not tree.nodes[index].tokens and _are_chains(tree, below),
            leaves=tuple(leaves.get(index, ())),
        )
        waiting += [(child, (*lasts, place == 0)) for place, child in enumerate(reversed(below))]


def _are_chains(tree: TreeReport, nodes: Sequence[int]) -> bool:
    return all(tree.nodes[index].fork == "independent" for index in nodes)


def _left(line: _Line, width: int, step: int, guides: _Guides) -> "Text":
    """Guides, share and text of a node in at most `width` columns."""
    from rich.text import Text

    lead = ""
    for depth, last in enumerate(line.lasts):
        here = depth == line.depth - 1
        mark = (guides.last if last else guides.side) if here else (" " if last else guides.line)
        lead += mark.ljust(step)
    share = f"{line.node.branch_share:>4.0%} " if line.node.parent is not None else ""
    if len(lead) + len(share) + _LEAST_TEXT > width:  # too deep: the outermost guides go
        lead = guides.dots + lead[len(lead) - max(0, width - len(share) - _LEAST_TEXT) :]
    text = one_line(line.node.text, newline=f" {guides.newline} ").strip()
    text = text.removesuffix(guides.newline).rstrip() if line.leaves else text
    room = width - len(lead) - len(share)
    text = shorten(
        text or ("(end)" if line.node.tokens else "(start)"),
        room,
        dots=guides.dots,
        tail=0.0 if line.leaves else 0.4,
    )
    first, blank, rest = text.partition(" ")
    drawn = Text()
    drawn.append(lead, "dim")
    drawn.append(share, "cyan")
    drawn.append(first, "bold" if line.depth else "")
    drawn.append(blank + rest, "" if line.leaves else "dim")
    return drawn


def _answer(leaf: Leaf, guides: _Guides) -> str:
    """What a leaf says, with a mark when it did not end by itself."""
    state = _STATES[leaf.finish]
    answer = "" if leaf.answer is None else one_line(leaf.answer)
    if not state:
        return shorten(answer or "no answer", _LONGEST_ANSWER, dots=guides.dots)
    if not answer:
        return state
    return f"{shorten(answer, _LONGEST_ANSWER - len(state) - 3, dots=guides.dots)} ({state})"


class _Edge:
    """The columns at the right edge."""

    def __init__(self, guides: _Guides, column: int, counted: bool) -> None:
        self._guides, self._counted = guides, counted
        self._column = max(column, _LEAST_EDGE - 15)
        self.width = self._column + 8 + 7 + (8 if counted else 0)

    def header(self) -> str:
        """Names of the columns."""
        return self._row("answer", "weight", "tokens", "leaves" if self._counted else "")

    def _row(self, answer: str, weight: str, tokens: str, count: str) -> str:
        from rich.cells import set_cell_size

        row = f"{set_cell_size(answer, self._column)}{weight:>8}{tokens:>7}"
        return f"{row}{count:>8}" if self._counted else row

    def leaf(self, leaf: Leaf) -> "Text":
        """A leaf's columns."""
        from rich.text import Text

        text = _answer(leaf, self._guides)
        row = self._row(
            text, f"{leaf.weight:.1%}", str(leaf.tokens), f"x{leaf.count}" if leaf.count > 1 else ""
        )
        style = "green" if leaf.finish == "stop" and leaf.answer is not None else "yellow"
        drawn = Text(row)
        drawn.stylize(style, 0, len(text))
        return drawn

    def fork(self, entropy: float | None, sides: int) -> "Text":
        """A fork's columns."""
        from rich.text import Text

        known = "" if entropy is None else f" {entropy:.2f} nats"
        return Text(f"fork{known}, {sides} sides", style="magenta")

    def chains(self, count: int) -> "Text":
        """The columns where chains begin that were drawn independently."""
        from rich.text import Text

        return Text(f"{count} independent chains", style="magenta")


def leaf_states(leaves: Sequence[Leaf]) -> str:
    """How many leaves did not end by themselves, in words; empty when all did."""
    parts = []
    for finish, words in _STATES.items():
        count = sum(leaf.count for leaf in leaves if leaf.finish == finish)
        if words and count:
            parts.append(f"{count} {words}")
    return ", ".join(parts)
