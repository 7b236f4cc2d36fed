import math
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from et_agent.answers import AnswerKind
from et_agent.asking import ask
from et_agent.asking.reading import PathReader, TreeReading, path_text
from et_agent.asking.reporting import tree_report
from et_agent.decoding import EntropyTree, Finish, MultiChain, Run
from et_agent.engines.scripted import ScriptedModel
from et_agent.results import TreeReport
from et_agent.uncertainty import answer_distribution, cut_off_share, effective_sample_size
from et_agent.uncertainty.measuring import leaf_table
from tests.decoding.play import Toy, play, random_toy

MODEL = ScriptedModel.from_texts({"x": 1.0})

DECODERS: list[EntropyTree | MultiChain] = [
    EntropyTree(schedule="stratified", leaves=6, temperature=1),
    EntropyTree(schedule="online", leaves=8, roots=1, tau=0.1, gap=1, branching=3),
    EntropyTree(schedule="rounds", leaves=10, roots=2, tau=0.1, temperature=1),
    EntropyTree(schedule="breadth_first", leaves=10, tau=0.1, branching=3, temperature=1),
    EntropyTree(leaves=10, roots=8, tau=0.1, temperature=1, batch=1, stop_above=1),
    EntropyTree(leaves=9, roots=9, temperature=1, batch=4, stop_below=0.01),
    MultiChain(leaves=4, temperature=1),
    MultiChain(leaves=1),
]


def digits(toy: Toy) -> Toy:
    """The same toy with the tokens 1, 2, 3, … read as digits and 0 as its end."""
    shift = ord("0")

    def rows(path: tuple[int, ...]) -> list[float]:
        row = toy.rows(tuple(token - shift for token in path))
        return [0.0] * shift + list(row)

    return Toy(rows, frozenset({shift}), lambda path: str(path[-2:]))


def read(
    run: Run, question: str = "How many?", kind: AnswerKind = AnswerKind.NUMBER
) -> TreeReading:
    return PathReader(MODEL, question, kind).read_tree(run.tree)


def report_of(run: Run) -> TreeReport:
    return tree_report(MODEL, run.tree, read(run))


@settings(max_examples=50, deadline=None)
@given(
    decoder=st.sampled_from(DECODERS), toy=st.integers(0, 50), stop=st.none() | st.integers(1, 9)
)
def test_nodes_and_leaves_hold_every_token_and_all_the_weight(
    decoder: EntropyTree | MultiChain, toy: int, stop: int | None
) -> None:
    tells = 0

    def watch(run: Run) -> None:
        nonlocal tells
        tells += 1
        if tells == stop:
            run.cancel()

    run = play(decoder, digits(random_toy(toy)), toy, watch=watch)
    tree, report = run.tree, report_of(run)
    assert report.nodes[0].parent is None
    assert report.nodes[0].fork is None
    assert report.nodes[0].weight == pytest.approx(1.0)
    for number, node in enumerate(report.nodes[1:], 1):
        assert node.parent is not None
        assert node.parent < number
        parent = report.nodes[node.parent]
        assert node.start == parent.start + len(parent.tokens)
        assert node.fork is not None
        assert node.weight == pytest.approx(parent.weight * node.branch_share, abs=1e-9)
    assert sum(len(node.tokens) for node in report.nodes) == tree.tokens_decoded
    for node in report.nodes:
        assert len(node.tokens) == len(node.entropies) == len(node.log_probs)
    assert len(report.leaves) == len(tree.branches)
    assert math.fsum(leaf.weight for leaf in report.leaves) == pytest.approx(1.0, abs=1e-9)
    weights = [leaf.weight for leaf in report.leaves]
    assert weights == sorted(weights, reverse=True)
    texts = {path_text(MODEL, tree.path(branch.id)) for branch in tree.branches}
    for leaf in report.leaves:
        pieces: list[str] = []
        at: int | None = leaf.node
        while at is not None:
            pieces.append(report.nodes[at].text)
            at = report.nodes[at].parent
        assert "".join(reversed(pieces)) == leaf.text
        assert leaf.text in texts
        assert leaf.tokens == len(leaf.text)
        assert leaf.mean_log_prob is not None
        assert leaf.mean_log_prob <= 0


def test_a_tree_that_forks_at_its_first_token_begins_with_an_empty_node() -> None:
    report = report_of(play(MultiChain(leaves=3, temperature=1), digits(random_toy(3))))
    first = report.nodes[0]
    assert (first.tokens, first.branch_share, first.fork, first.weight) == ((), 1.0, None, 1.0)
    assert [node.branch_share for node in report.nodes[1:]] == pytest.approx([1 / 3] * 3)


def test_the_report_does_not_depend_on_the_order_of_decoding() -> None:
    for decoder in DECODERS:
        for seed in range(10):
            toy = digits(random_toy(seed))
            forward = report_of(play(decoder, toy, seed))
            assert report_of(play(decoder, toy, seed, pick=lambda b: b[-1])) == forward


def test_statistics_use_weights_and_count_codes() -> None:
    toy = digits(random_toy(4))
    run = play(EntropyTree(schedule="stratified", leaves=8, temperature=1, max_tokens=3), toy, 1)
    reading = read(run)
    leaves = leaf_table(run.tree, reading.classes.index_of_leaf, reading.answers, MODEL.token_bytes)
    distribution = answer_distribution(leaves.checked, labels=reading.classes.labels)
    assert sum(share.leaves for share in distribution) == 8
    assert sum(share.share for share in distribution) == pytest.approx(1.0)
    assert effective_sample_size(leaves.checked) == pytest.approx(8.0)
    for share in distribution:
        assert share.share == pytest.approx(share.share_by_count)
    cut = sum(run.tree.weight(b.id) for b in run.tree.branches if b.finish is not Finish.STOP)
    assert cut_off_share(leaves.finish != 0, leaves.checked) == pytest.approx(cut)


def test_auto_is_decided_from_the_question_and_the_leaves() -> None:
    run = play(MultiChain(leaves=2), digits(random_toy(1)))
    reading = read(run, "How many legs has a cat?", AnswerKind.AUTO)
    assert reading.kind.kind is AnswerKind.NUMBER
    assert reading.kind.reason != "asked for"


def test_bytes_that_are_no_whole_character_are_marked() -> None:
    assert path_text(MODEL, [0xC3, 0xA9, 256]) == "é"
    assert path_text(MODEL, [0xC3]) == "�"


@pytest.mark.parametrize("decoder", DECODERS)
def test_alternatives_stand_beside_every_token(decoder: EntropyTree | MultiChain) -> None:
    texts = {"so €72": 0.4, "so €24": 0.3, "twice 9é": 0.2, "no": 0.1}
    with closing(ScriptedModel.from_texts(texts)) as model:
        asked = ask(model, "How many?", decoder=decoder, alternatives=3, calibrator=None)
        plain = ask(model, "How many?", decoder=decoder, calibrator=None)
        names = {model.token_bytes(token).decode("utf-8", "replace") for token in range(256)}
    tree = asked.tree
    assert tree is not None
    for node in tree.nodes:
        assert node.pieces is not None
        assert "".join(node.pieces) == node.text
        assert len(node.pieces) == len(node.alternatives or ()) == len(node.tokens)
        for log_prob, choices in zip(node.log_probs, node.alternatives or (), strict=True):
            assert log_prob is not None
            chances = [one.probability for one in choices]
            assert chances == sorted(chances, reverse=True)
            assert 0 < len(chances) <= 3
            assert math.fsum(chances) <= 1 + 1e-6
            assert chances[0] >= math.exp(log_prob) - 1e-9
            assert {one.text for one in choices} <= names | {""}
    bare = {"pieces": None, "alternatives": None}
    assert plain.tree == tree.model_copy(
        update={"nodes": tuple(node.model_copy(update=bare) for node in tree.nodes)}
    )
