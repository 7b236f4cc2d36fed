from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from et_agent.calibration import Calibrator
from et_agent.calibration.foresight import Foresight, Standing
from et_agent.decoding import EntropyTree, Run
from et_agent.errors import SettingsError
from et_agent.evaluation.gating import run_confidences
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.stopping import answer_rule, gate_rule, outlook_of, stopped_early
from et_agent.uncertainty.leaf_table import LeafTable
from et_agent.uncertainty.measuring import leaf_table
from tests.decoding.play import play, uneven
from tests.evaluation.conftest import record, table

TOY = uneven()


def chains(*answers: int) -> QuestionRecord:
    return record("q/1", table(answers), [True] * (max(answers) + 1))


def leading(one: QuestionRecord) -> str | None:
    return None if one.leaves.top is None else one.answers[one.leaves.top]


def leaves_of(run: Run) -> LeafTable:
    classes = ["ABC".index(TOY.answer(tuple(run.tree.path(b.id)))) for b in run.tree.branches]
    return leaf_table(run.tree, classes, [None] * len(classes), lambda _: b"x")


@pytest.mark.parametrize(
    ("batch", "answers", "stops", "kept"),
    [
        (1, (0, 0, 1, 1), {"stop_above": 0.6}, 2),
        (1, (0, 1, 1, 2), {"stop_above": 0.6}, 3),
        (2, (0, 1, 1, 1, 2, 2), {"stop_above": 0.6}, 4),
        (2, (0, 1, 2, 3, 4, 4), {"stop_above": 0.6}, 6),
        (2, (0, 1, 2, 3, 4, 4), {"stop_below": 0.3}, 4),
        (2, (0, 1, 2, 2, 4, 4), {"stop_below": 0.34}, 6),
        (3, (0, 1, 2, 3, 4, 4, 4), {"stop_below": 0.34}, 6),
        (3, (0, 1, 1, 2, 2, 2, 2), {"stop_above": 2 / 3}, 3),
        (9, (0, 0, 0, 0), {"stop_above": 0.6}, 4),
        (2, (-1, -1, -1, -1, 0, 0), {"stop_above": 0.6, "stop_below": 0.3}, 4),
    ],
)
def test_chains_stop_in_the_order_of_their_making(
    batch: int, answers: tuple[int, ...], stops: dict[str, Any], kept: int
) -> None:
    whole = chains(*answers)
    found = stopped_early(whole, EntropyTree(batch=batch, **stops))
    assert len(found.leaves) == kept
    assert found.leaves.weight.tolist() == pytest.approx([1 / kept] * kept)
    assert found.tokens_decoded == 10 * kept
    assert found.answers == tuple(dict.fromkeys(str(one) for one in answers[:kept] if one >= 0))


def test_no_more_leaves_than_the_settings_allow() -> None:
    stops = EntropyTree(leaves=3, batch=1, stop_above=0.9)
    assert len(stopped_early(chains(0, 1, 1, 2, 2), stops).leaves) == 3
    tree = record("q/0", leaves_of(play(EntropyTree(leaves=8, roots=8), TOY, 0)), [True] * 3)
    assert stopped_early(tree, stops, 0.0).leaves.count.sum() <= 3


def test_every_code_may_be_the_first() -> None:
    whole = record("q/0", leaves_of(play(EntropyTree(leaves=8, roots=8), TOY, 2)), [True] * 3)
    settings = EntropyTree(leaves=2, batch=1, stop_above=0.9)
    begun = [stopped_early(whole, settings, (at + 0.5) / 8) for at in range(8)]
    assert len({one.answers for one in begun}) > 1
    fixed = [stopped_early(whole, settings).answers for _ in range(3)]
    assert fixed[0] == fixed[1] == fixed[2]


def test_settings_that_never_stop_are_refused() -> None:
    with pytest.raises(SettingsError, match="give it a batch"):
        stopped_early(chains(0, 1), EntropyTree(stop_above=0.6))


@pytest.mark.parametrize(
    "stops", [{"stop_above": 0.7}, {"stop_below": 0.5}, {"stop_above": 0.9, "stop_below": 0.4}]
)
@pytest.mark.parametrize("batch", [1, 2])
def test_whole_trees_played_through_stop_as_trees_in_batches_do(
    batch: int, stops: dict[str, Any]
) -> None:
    """Nearly, and on average: which side of its neighbour a code lay on is forgotten."""
    common: dict[str, Any] = {"leaves": 8, "roots": 8, "temperature": 1}
    settings = EntropyTree(**common, batch=batch, **stops)
    leaves: dict[str, list[float]] = {"decoded": [], "played": []}
    leads: dict[str, list[float]] = {"decoded": [], "played": []}
    ends = {"decoded": Counter[int](), "played": Counter[int]()}
    for seed in range(400):
        whole = leaves_of(play(EntropyTree(**common), TOY, seed))
        played = stopped_early(record(f"q/{seed}", whole, [True] * 3), settings).leaves
        batches = play(settings, TOY, seed, read_leaf=lambda path: TOY.answer(tuple(path)))
        for name, one in (("decoded", leaves_of(batches)), ("played", played)):
            size = int(one.count.sum())
            leaves[name].append(size)
            leads[name].append(float(one.shares.max()))
            ends[name][size] += 1
    for values, most in ((leaves, 0.6), (leads, 0.05)):
        assert abs(np.mean(values["decoded"]) - np.mean(values["played"])) < most
    assert set(ends["decoded"]) == set(ends["played"])
    assert len(ends["played"]) > 1


@given(
    st.lists(st.integers(-1, 3), min_size=2, max_size=12),
    st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99]),
    st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None)
def test_without_risk_no_decision_of_a_gate_is_another_one(
    answers: list[int], threshold: float, seed: int
) -> None:
    names = {one: at for at, one in enumerate(dict.fromkeys(a for a in answers if a >= 0))}
    unsure = np.random.default_rng(seed).exponential(0.5, (2, len(answers)))
    leaves = table(
        [names.get(one, -1) for one in answers],
        answer_log_prob=(-unsure[0]).tolist(),
        log_prob=(-10 * unsure[1]).tolist(),
    )
    whole = record("q/0", leaves, [True] * len(names))
    calibrator = Calibrator.general()
    stops = EntropyTree(leaves=12, stop_risk=0.0, batch=1)
    found = stopped_early(whole, stops, rule=gate_rule(Foresight.shipped(), calibrator, threshold))
    now, then = run_confidences([found, whole], calibrator)
    assert (now >= threshold) == (then >= threshold)
    if now >= threshold:
        assert leading(found) == leading(whole)


@pytest.mark.parametrize("answerable", [None, 0.05, 0.9])
def test_a_gate_sees_all_of_a_stored_tree_that_its_confidence_rests_on(
    answerable: float | None,
) -> None:
    whole, calibrator = replace(chains(0, 0, 1, 0), answerable=answerable), Calibrator.general()
    seen = outlook_of(whole, Standing.of(whole.leaves, 4), Foresight.shipped(), calibrator)
    assert seen.now == pytest.approx(run_confidences([whole], calibrator)[0])


def test_a_rule_has_to_be_given_for_a_risk() -> None:
    with pytest.raises(SettingsError, match="pass a rule"):
        stopped_early(chains(0, 1), EntropyTree(stop_risk=0.1))
    found = stopped_early(
        chains(*[0] * 12),
        EntropyTree(stop_risk=0.0, batch=1),
        rule=answer_rule(Foresight.shipped()),
    )
    assert len(found.leaves) == 7
