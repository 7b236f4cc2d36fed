import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from et_agent.cli.tree_view import draw_tree, shorten
from et_agent.results import Leaf, Node, TreeReport


def node(
    parent: int | None, text: str, *, share: float = 1.0, weight: float = 1.0, entropy: float = 0.1
) -> Node:
    return Node(
        parent=parent,
        start=0,
        text=text,
        tokens=tuple(text.encode()),
        weight=weight,
        branch_share=share,
        fork=None if parent is None else "distinct",
        entropies=(entropy,) * max(1, len(text)),
        log_probs=(0.0,) * max(1, len(text)),
        received=None,
        prompt_attention=None,
    )


def leaf(
    node: int,
    answer: str | None,
    weight: float,
    *,
    finish: str = "stop",
    count: int = 1,
    tokens: int = 40,
) -> Leaf:
    return Leaf(
        node=node,
        weight=weight,
        count=count,
        finish=finish,
        tokens=tokens,
        answer=answer,
        found_by=None,
        text="",
        mean_log_prob=-0.1,
    )


TREE = TreeReport(
    nodes=(
        node(
            None,
            "To find how many clips Natalia sold in all, we add the clips of April and of "
            "May.\n\nIn May she sold",
        ),
        node(
            0,
            " half of 48, which is 24, so in all it is 48 + 24 =",
            share=0.75,
            weight=0.75,
            entropy=1.32,
        ),
        node(1, " 72. \\boxed{72}", share=0.9, weight=0.675, entropy=0.41),
        node(1, " 71, I think, [red]or so[/red] \x1b[31m", share=0.1, weight=0.075, entropy=0.41),
        node(0, " twice 48", share=0.25, weight=0.25, entropy=1.32),
    ),
    leaves=(
        leaf(2, "72", 0.675, count=3, tokens=143),
        leaf(4, None, 0.25, finish="length", tokens=320),
        leaf(3, "71", 0.075, finish="cancelled", tokens=57),
    ),
)

DRAWN = r"""
Tree  5 leaves, 2 forks                   answer           weight tokens  leaves
To find how many clips … May she sold     fork 1.32 nats, 2 sides
├  75% half of 48, which … is 48 + 24 =   fork 0.41 nats, 2 sides
│ ├  90% 72. \boxed{72}                   72                67.5%    143      x3
│ └  10% 71, I think, [red]or so[/red]…   71 (unfinished)    7.5%     57
└  25% twice 48                           cut off           25.0%    320
"""


def lines(tree: TreeReport, width: int, *, ascii_only: bool = False) -> list[str]:
    return [text.plain for text in draw_tree(tree, width, ascii_only=ascii_only)]


def test_a_tree_at_80_columns() -> None:
    assert lines(TREE, 80) == DRAWN.strip("\n").splitlines()


def test_a_tree_in_ascii() -> None:
    drawn = "\n".join(lines(TREE, 79, ascii_only=True))
    assert drawn.isascii()
    assert "`  25% twice 48" in drawn


def test_a_tree_of_one_leaf() -> None:
    tree = TreeReport(nodes=(node(None, "It is 4."),), leaves=(leaf(0, "4", 1.0),))
    assert "It is 4." in lines(tree, 80)[1]
    assert "1 leaf, 0 forks" in lines(tree, 80)[0]


def chains(entropies: tuple[float | None, ...]) -> TreeReport:
    """Three that were drawn independently, the last with a fork of its own."""
    began = node(None, "").model_copy(update={"tokens": (), "entropies": (), "log_probs": ()})
    apart = [
        node(0, text, share=1 / 3, weight=1 / 3).model_copy(
            update={"fork": "independent", "entropies": entropies, "log_probs": entropies}
        )
        for text in ("It is 4.", "It is 5.", "Is it")
    ]
    leaves = [leaf(1, "4", 1 / 3), leaf(2, "5", 1 / 3), leaf(3, "6", 1 / 3)]
    return TreeReport(nodes=(began, *apart), leaves=tuple(leaves))


@pytest.mark.parametrize("entropies", [(None,), (0.5,)])
def test_independent_chains_are_no_forks(entropies: tuple[float | None, ...]) -> None:
    head, first, *rest = lines(chains(entropies), 80)
    assert head.startswith("Tree  3 leaves, independent chains ")
    assert first.split() == ["(start)", "3", "independent", "chains"]
    assert len(rest) == 3


@pytest.mark.parametrize(("entropy", "told"), [(None, "fork, 2"), (0.5, "fork 0.50 nats, 2")])
def test_a_fork_whose_entropy_is_not_known_is_one(entropy: float | None, told: str) -> None:
    tree = chains((0.5,))
    sides = [
        node(3, text, share=0.5, weight=1 / 6).model_copy(
            update={"entropies": (entropy,), "log_probs": (entropy,)}
        )
        for text in (" 6", " 7")
    ]
    forked = TreeReport(nodes=(*tree.nodes, *sides), leaves=(*tree.leaves[:2], leaf(4, "6", 1 / 3)))
    drawn = lines(forked, 80)
    assert "3 leaves, 1 fork " in drawn[0]
    assert any(f"{told} sides" in line for line in drawn)


@st.composite
def trees(draw: st.DrawFn) -> TreeReport:
    nodes = [node(None, draw(st.text(max_size=90)))]
    ends = [0]
    for _ in range(draw(st.integers(0, 40))):
        at = ends.pop(draw(st.integers(max(0, len(ends) - 2), len(ends) - 1)))
        for _ in range(2):
            nodes.append(node(at, draw(st.text(max_size=40)), share=0.5, weight=0.5))
            ends.append(len(nodes) - 1)
    answers = st.none() | st.text(min_size=1, max_size=30)
    finishes = st.sampled_from(["stop", "length", "cancelled"])
    leaves = [leaf(end, draw(answers), 0.1, finish=draw(finishes)) for end in ends]
    return TreeReport(nodes=tuple(nodes), leaves=tuple(leaves))


@settings(max_examples=40, deadline=None)
@given(trees(), st.integers(60, 120))
def test_lines_fit_whatever_the_tree(tree: TreeReport, width: int) -> None:
    drawn = lines(tree, width)
    assert len(drawn) == 1 + len(tree.nodes)
    assert max(map(cell_len, drawn)) <= width
    assert not any(ord(c) < 32 for line in drawn for c in line)


@given(st.text(), st.integers(0, 50), st.sampled_from([0.0, 0.4]))
def test_shorten_keeps_to_the_width(text: str, width: int, tail: float) -> None:
    text = "".join(c for c in text if c.isprintable())
    assert cell_len(shorten(text, width, tail=tail)) <= width
