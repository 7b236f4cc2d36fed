"""Constrained decoding: forbidden tokens are gone before entropies, shares and draws."""

import math
import re
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from et_agent import EntropyTree, Greedy, MultiChain, ScriptedModel
from et_agent.decoding.base import Decoder, RunInputs
from et_agent.decoding.constraint import AfterTrigger, Constraint, Trigger
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.tree import Tree
from et_agent.engines.scripted import END, TURN, VOCABULARY
from et_agent.errors import DecodeError
from et_agent.grammar import GrammarConstraint

TEXTS = {"a1": 0.2, "a2": 0.1, "ax": 0.1, "b1": 0.1, "no": 0.5}
GRAMMAR = "start: /[ab][0-9]/"


def decoded(
    model: ScriptedModel, decoder: Decoder, constraint: Constraint | None, seed: int = 0
) -> Tree:
    inputs = RunInputs(prompt_length=1, stop_tokens=frozenset({END}), seed=seed)
    scheduler = scheduler_of(model)
    request = scheduler.prepare([TURN], decoder, inputs, constraint=constraint)
    scheduler.queue(request)
    return request.result(20).tree


def shares(model: ScriptedModel, tree: Tree) -> dict[str, float]:
    found: dict[str, float] = {}
    for branch in tree.branches:
        text = b"".join(map(model.token_bytes, tree.path(branch.id))).decode()
        found[text] = found.get(text, 0.0) + tree.weight(branch.id)
    return found


def test_weights_are_those_of_the_constrained_distribution() -> None:
    # Token by token: "n" is gone, so a and b share by 4 to 1; after a, 1 and 2 by 2 to 1.
    truth = {"a1": 0.8 * 2 / 3, "a2": 0.8 / 3, "b1": 0.2}
    with ScriptedModel.from_texts(TEXTS) as model:
        constraint = GrammarConstraint(model, GRAMMAR)
        tree = decoded(
            model, EntropyTree(schedule="stratified", leaves=256, temperature=1), constraint
        )
        found = shares(model, tree)
        assert set(found) == set(truth)
        for text, share in truth.items():
            assert found[text] == pytest.approx(share, abs=2 / 256)
        first, second = tree.branches[0].entropies[:2]
        assert first == pytest.approx(-0.8 * math.log(0.8) - 0.2 * math.log(0.2), abs=1e-5)
        assert second == pytest.approx(math.log(3) - 2 / 3 * math.log(2), abs=1e-5)
        assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    "decoder",
    [
        EntropyTree(leaves=12, roots=4, temperature=1, tau=0.1, value="mass_per_token"),
        EntropyTree(leaves=12, roots=4, temperature=2, schedule="online", tau=0.1, gap=1),
        EntropyTree(leaves=12, temperature=1, schedule="breadth_first", tau=0.1),
        EntropyTree(leaves=12, roots=4, temperature=1, tau=0.1, exchangeable=True),
        MultiChain(leaves=12, temperature=1),
        Greedy(),
    ],
)
def test_trees_fork_among_what_is_allowed_only(decoder: Decoder) -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        constraint = GrammarConstraint(model, GRAMMAR)
        for seed in range(10):
            found = shares(model, decoded(model, decoder, constraint, seed))
            assert set(found) <= {"a1", "a2", "b1"}
            assert sum(found.values()) == pytest.approx(1)


def test_statistics_are_of_the_tokens_that_are_left() -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        tree = decoded(model, Greedy(), GrammarConstraint(model, 'start: "a1"'))
        for one in tree.branches[0].statistics:
            assert one.entropy == 0
            assert one.confidence == pytest.approx(0)
            assert one.certainty == pytest.approx(0)
            assert one.lead == pytest.approx(1)


def test_a_question_whose_grammar_allows_nothing_fails_alone() -> None:
    def no_digits(_prompt: str, _tokens: Sequence[int]) -> NDArray[np.float32]:
        logits = np.zeros(VOCABULARY, dtype=np.float32)
        logits[ord("0") : ord("9") + 1] = -np.inf
        return logits

    with ScriptedModel(no_digits) as model:
        held = model.submit(lambda: None)
        held.result()
        scheduler = scheduler_of(model)
        inputs = RunInputs(prompt_length=1, stop_tokens=frozenset({END}))
        bad = scheduler.prepare(
            [TURN], Greedy(), inputs, constraint=GrammarConstraint(model, "start: /[0-9]/")
        )
        good = scheduler.prepare(
            [TURN], Greedy(max_tokens=5), RunInputs(prompt_length=1, stop_tokens=frozenset())
        )
        scheduler.queue(bad, good)
        with pytest.raises(DecodeError, match="allows no token that the model could say"):
            bad.result(20)
        assert good.result(20).tree.branches[0].end == 5


def test_without_a_constraint_nothing_changes() -> None:
    class Free:
        def allowed(self, tokens: Sequence[int]) -> None:
            return None

    with ScriptedModel.from_texts(TEXTS) as model:
        decoder = EntropyTree(leaves=8, roots=4, temperature=1)
        free = shares(model, decoded(model, decoder, Free()))
        assert free == shares(model, decoded(model, decoder, None))


MARKER = re.compile(rb"<c>")


def test_a_grammar_holds_from_the_trigger_on() -> None:
    texts = {"free <c>12": 0.3, "free <c>x": 0.3, "<d> 5": 0.2, "<c>9": 0.2}
    with ScriptedModel.from_texts(texts) as model:
        grammar = GrammarConstraint(model, "start: /[0-9][0-9]?/")
        constraint = AfterTrigger(model, [Trigger(MARKER, grammar)])
        tree = decoded(
            model, EntropyTree(schedule="stratified", leaves=64, temperature=1), constraint
        )
        found = shares(model, tree)
        assert set(found) == {"free <c>12", "<d> 5", "<c>9"}
        assert found["free <c>12"] == pytest.approx(0.6, abs=2 / 64)


def test_the_trigger_that_ends_first_counts() -> None:
    with ScriptedModel.from_texts({"x": 1.0}) as model:
        one, other = (GrammarConstraint(model, f"start: /{digit}*/") for digit in "12")
        triggers = [Trigger(re.compile(rb"b"), one), Trigger(re.compile(rb"a"), other)]
        constraint = AfterTrigger(model, triggers)
        for text, digit in ((b"b", "1"), (b"a", "2"), (b"a2", "2"), (b"xb1", "1")):
            mask = constraint.allowed(list(text))
            assert mask is not None
            assert np.flatnonzero(mask).tolist() == [ord(digit), END]
        assert constraint.allowed(list(b"xyz")) is None
        assert constraint.allowed([]) is None


def test_a_token_that_ends_the_trigger_and_says_more() -> None:
    class Pieces(ScriptedModel):
        """Three of its tokens are longer."""

        def token_bytes(self, token: int) -> bytes:
            pieces = {1: b"c>", 2: b"c>1", 3: b"c>x"}
            return pieces.get(token, super().token_bytes(token))

    with Pieces.from_texts({"x": 1.0}) as model:
        grammar = GrammarConstraint(model, "start: /123?/")
        constraint = AfterTrigger(model, [Trigger(MARKER, grammar)])
        for token, after in ((1, [ord("1")]), (2, [ord("2")])):
            mask = constraint.allowed([ord("<"), token])
            assert mask is not None
            assert np.flatnonzero(mask).tolist() == after
        mask = constraint.allowed([ord("<"), 2, ord("2")])
        assert mask is not None
        assert np.flatnonzero(mask).tolist() == [ord("3"), END]
        assert constraint.allowed([ord("<"), 3]) is None
        assert constraint.allowed([ord("<"), 3, ord("9")]) is None
