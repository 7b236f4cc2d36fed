import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from et_agent.calibration import (
    FEATURES,
    Calibrator,
    DataUsed,
    Fingerprint,
    feature_row,
    features_of,
)
from et_agent.calibration.features import NOT_TEXT
from et_agent.calibration.fitting import CANDIDATES, isotonic_with
from et_agent.calibration.maps import Logistic, VennAbers
from et_agent.decoding import EntropyTree, MultiChain
from et_agent.decoding.naming import described
from et_agent.errors import CalibrationError, CalibratorMismatchError
from tests.calibration.conftest import COLUMNS, questions
from tests.evaluation.conftest import table

SHARE = COLUMNS.index("share")


def fingerprint(**changes: Any) -> Fingerprint:
    values: dict[str, Any] = {
        "model": "ab" * 32,
        "decoder": {"name": "EntropyTree", "roots": 8, "leaves": 16, "max_tokens": 320},
        "instructions": {"number": "Think."},
        "chat": "model",
    }
    return Fingerprint.of(**{**values, **changes})


@pytest.mark.parametrize("method", CANDIDATES)
def test_each_method_recovers_known_probabilities(method: str) -> None:
    rows, labels, _ = questions(800)
    fresh, _, truth = questions(500, seed=1)
    found = Calibrator(method).fit(rows, labels).predict_proba(fresh)
    assert found.shape == (500, 2)
    assert np.allclose(found.sum(axis=1), 1.0)
    error = np.abs(found[:, 1] - truth).mean()
    # Those that do not see the log-probability miss what it tells.
    assert error < (0.19 if method in ("pooled", "logistic-3", "platt", "isotonic") else 0.06)
    assert ((found > 0) & (found < 1)).all()


def test_the_choice_takes_the_second_feature_when_it_helps_and_not_when_it_does_not() -> None:
    rows, labels, _ = questions(400)
    assert Calibrator().fit(rows, labels).method_ == "logistic"
    rng = np.random.default_rng(2)
    alone = (rng.random(400) < 1.0 / (1.0 + np.exp(-rows[:, SHARE]))).astype(int)
    fitted = Calibrator().fit(rows, alone)
    assert fitted.method_ == "pooled"
    assert set(fitted.losses_) == set(CANDIDATES)
    told = Calibrator(features=["share", "log_prob"]).fit(rows, alone)
    assert told.mapping_.read == ("share", NOT_TEXT)


def test_the_map_of_three_features_learns_from_support_and_answer_logprob() -> None:
    rows, labels, truth = questions(600)
    hidden = rows[:, COLUMNS.index("log_prob")].copy()
    for name in ("support", "answer_logprob"):
        told = rows.copy()
        told[:, COLUMNS.index(name)] = hidden
        found = Calibrator("logistic-3").fit(told, labels).predict_proba(told)[:, 1]
        assert np.abs(found - truth).mean() < 0.06


def test_features_that_make_no_map_are_refused() -> None:
    rows, labels, _ = questions(60)
    with pytest.raises(CalibrationError, match="give the share among them"):
        Calibrator(features=["support"]).fit(rows, labels)


def test_few_questions_try_only_what_they_can_bear() -> None:
    rows, labels, _ = questions(60)
    fitted = Calibrator().fit(rows, labels)
    assert set(fitted.losses_) == {"pooled", "logistic-3", "platt"}
    rows[3, COLUMNS.index("answer_logprob")] = np.nan
    assert set(Calibrator().fit(rows, labels).losses_) == {"pooled", "platt"}


def test_trees_of_several_sizes_need_the_support() -> None:
    """The same share is worth more when more paths stand behind it."""
    rng = np.random.default_rng(5)
    rows, labels, groups, sizes = [], [], [], []
    for question in range(200):
        p = rng.beta(0.7, 1.2)  # how often a path gives the first of two answers
        for size in (4, 8, 16):
            votes = rng.binomial(size, p)
            leaves = table([0] * votes + list(range(1, size - votes + 1)))
            rows.append(feature_row(features_of(leaves), "number"))
            # Right when it is the answer that most paths give in the long run.
            labels.append(int(leaves.top == 0 and votes > 1 and p > 0.2))
            groups.append(question)
            sizes.append(size)
    fitted = Calibrator().fit(rows, labels, groups)
    assert fitted.method_ not in ("platt", "isotonic")
    assert fitted.losses_["logistic-3"] < fitted.losses_["platt"]
    large = np.array(sizes) == 16
    known, truth = fitted.predict_proba(rows)[large, 1], np.array(labels)[large]
    assert known.mean() == pytest.approx(truth.mean(), abs=0.04)


def test_the_support_is_a_number_of_paths() -> None:
    assert features_of(table([0, 0, 0, 1]))["support"] == pytest.approx(np.log(3))
    assert features_of(table([0, 0, 1], [0.6, 0.2, 0.2]))["support"] == pytest.approx(np.log(1.6))
    assert features_of(table([0, 1], [0.9, 0.1]))["support"] == 0.0
    twice = table([0, 1], [0.75, 0.25], count=[3, 1])
    assert features_of(twice)["support"] == pytest.approx(np.log(3))


@pytest.mark.parametrize("method", CANDIDATES)
def test_the_share_must_be_measured(method: str) -> None:
    rows, labels, _ = questions(300)
    rows[7, SHARE] = np.nan
    with pytest.raises(CalibrationError, match=r"NaN or infinite.*share"):
        Calibrator(method).fit(rows, labels)


def test_a_map_wants_the_features_that_it_is_made_of() -> None:
    rows, labels, _ = questions(300)
    with pytest.raises(CalibrationError, match="logistic-3 also needs answer_logprob"):
        Calibrator("logistic-3", features=["share", "support"]).fit(rows, labels)


def test_the_answer_logprob_is_the_mean_probability_of_the_winning_answer() -> None:
    log_probs = np.log([0.2, 0.8, 0.9])
    leaves = table([0, 0, 1], [0.6, 0.2, 0.2], answer_log_prob=log_probs.tolist())
    assert features_of(leaves)["answer_logprob"] == pytest.approx(np.log(0.35))
    unknown = table([0, 0, 1], answer_log_prob=[np.log(0.2), np.nan, -0.1])
    assert features_of(unknown)["answer_logprob"] == pytest.approx(np.log(0.2))
    assert features_of(table([0, 1], answer_log_prob=[np.nan, np.nan]))["answer_logprob"] is None


def test_platt_is_scikit_learns_logistic_regression() -> None:
    rows, labels, _ = questions(300)
    found = Calibrator("platt").fit(rows, labels).predict_proba(rows)
    share = (rows[:, [SHARE]] - rows[:, SHARE].mean()) / rows[:, SHARE].std()
    known = LogisticRegression(C=10.0).fit(share, labels).predict_proba(share)
    assert found == pytest.approx(known)


def test_isotonic_is_scikit_learns() -> None:
    rows, labels, _ = questions(300)
    fitted = Calibrator("isotonic").fit(rows, labels)
    found = fitted.mapping_.predict(rows)
    edge = 1 / 302
    known = IsotonicRegression(y_min=edge, y_max=1 - edge).fit_transform(rows[:, SHARE], labels)
    assert found == pytest.approx(known)


def test_venn_abers_bounds_are_isotonic_regressions_with_the_new_score() -> None:
    """Vovk, Petej and Fedorova 2015, with scikit-learn's regression over ties and gaps."""
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 12, 60).astype(float)
    labels = (rng.random(60) < scores / 12).astype(int)
    for place in (-1.0, 0.0, 3.5, 4.0, 11.0, 12.5):
        for label in (0, 1):
            known = IsotonicRegression().fit(np.append(scores, place), np.append(labels, label))
            (found,) = isotonic_with(scores, labels, np.array([place]), label)
            assert found == pytest.approx(float(known.predict([place])[0]))


def test_venn_abers_stays_between_its_bounds() -> None:
    rows, labels, _ = questions(250)
    fitted = Calibrator("venn-abers").fit(rows, labels).mapping_
    assert isinstance(fitted, VennAbers)
    fresh, _, _ = questions(200, seed=5)
    lower, upper = fitted.bounds(fresh)
    probability = fitted.predict(fresh)
    assert ((probability >= lower - 1e-12) & (probability <= upper + 1e-12)).all()
    assert (np.diff(probability[np.argsort(fitted.score.log_odds(fresh))]) >= -1e-9).all()


def test_venn_abers_on_a_hand_worked_case() -> None:
    """Scores 0 and 1 with labels 0 and 1; a new one between them joins either neighbour."""
    score = Logistic(
        features=("share",), means=(0.0,), scales=(1.0,), coefficients=(1.0,), intercept=0.0
    )
    found = VennAbers(
        score=score,
        knots=(0.0, 1.0),
        lower=(0.0, 0.0, 0.0, 0.5, 0.5),
        upper=(0.5, 0.5, 1.0, 1.0, 1.0),
    )
    rows = np.zeros((5, len(COLUMNS)))
    rows[:, SHARE] = [-1.0, 0.0, 0.5, 1.0, 2.0]
    lower, upper = found.bounds(rows)
    assert lower.tolist() == [0.0, 0.0, 0.0, 0.5, 0.5]
    assert upper.tolist() == [0.5, 0.5, 1.0, 1.0, 1.0]
    assert found.predict(rows) == pytest.approx([1 / 3, 1 / 3, 0.5, 2 / 3, 2 / 3])


def test_held_out_confidences_never_saw_their_group() -> None:
    """Rows of a group are copies, so that a leak would show as a perfect fit."""
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.normal(size=(80, len(COLUMNS))), 5, axis=0)
    labels = np.repeat(rng.integers(0, 2, 80), 5)
    groups = np.repeat(np.arange(80), 5)
    fitted = Calibrator("isotonic").fit(rows, labels, groups)
    known = ~np.isnan(fitted.held_out_)
    assert known.all()
    assert np.corrcoef(fitted.held_out_, labels)[0, 1] < 0.35


def test_saved_and_read_back(tmp_path: Path) -> None:
    rows, labels, _ = questions(300)
    for method in CANDIDATES:
        fitted = Calibrator(
            method,
            fingerprint=fingerprint(),
            data=[DataUsed(name="gsm8k:train", questions=300, right=int(labels.sum()))],
        ).fit(rows, labels)
        again = Calibrator.load(fitted.save(tmp_path / "calibrator.json"))
        assert again.predict_proba(rows).tolist() == fitted.predict_proba(rows).tolist()
        assert again.fingerprint == fitted.fingerprint
        assert again.document() == fitted.document()


def test_what_moved_the_confidence_adds_up() -> None:
    rows, labels, _ = questions(400)
    fitted = Calibrator("logistic").fit(rows, labels)
    features = features_of(table([0, 0, 0, 1], log_prob=[-4.0] * 4))
    found = fitted.confidence(features, "number")
    assert found.base is not None
    odds = np.log(found.base / (1 - found.base)) + sum(part.log_odds for part in found.parts)
    assert found.value == pytest.approx(1 / (1 + np.exp(-odds)))
    sizes = [abs(part.log_odds) for part in found.parts]
    assert sizes == sorted(sizes, reverse=True)
    expected = fitted.predict_proba(feature_row(features, "number")[None, :])[0, 1]
    assert found.value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "cd" * 32}, "model cdcdcdcdcdcd"),
        ({"decoder": {"name": "EntropyTree", "roots": 4, "leaves": 16}}, "roots 4 instead of 8"),
        ({"decoder": {"name": "EntropyTree", "roots": 8, "leaves": 40}}, "40 leaves"),
        ({"instructions": {"choice": "Think."}}, "kind choice instead of number"),
        (
            {"instructions": {"number": "Guess."}},
            "another instruction than the calibrator's for answers of kind number",
        ),
        ({"chat": "plain"}, "chat plain"),
    ],
)
def test_another_fingerprint_is_refused_with_the_fix(change: dict[str, Any], message: str) -> None:
    fitted = Calibrator(fingerprint=fingerprint())
    fitted.check(fingerprint())
    fitted.check(fingerprint(decoder={"name": "EntropyTree", "roots": 8, "leaves": 16}))
    with pytest.raises(CalibratorMismatchError, match=message) as refused:
        fitted.check(fingerprint(**change))
    assert "et-agent calibrate fit" in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "leaves"),
    [
        ({}, (16, 16)),
        ({"stop_above": 0.8}, (8, 16)),
        ({"stop_below": 0.3}, (8, 16)),
        ({"stop_above": 0.8, "batch": 1}, (2, 16)),
        ({"stop_above": 0.8, "batch": 3}, (3, 16)),
        ({"stop_below": 0.3, "batch": 1}, (4, 16)),
        ({"stop_below": 0.3, "batch": 3}, (6, 16)),
        ({"stop_below": 0.3, "batch": 9}, (8, 16)),
        ({"stop_above": 0.8, "stop_below": 0.3, "batch": 2}, (2, 16)),
        ({"leaves": 3, "roots": 8, "stop_below": 0.3, "batch": 2}, (3, 3)),
        ({"roots": 2, "stop_below": 0.3}, (4, 16)),
        ({"roots": 2, "stop_above": 0.8, "stop_below": 0.3}, (2, 16)),
    ],
)
def test_a_tree_that_may_stop_early_asks_for_all_leaves_from_there(
    settings: dict[str, Any], leaves: tuple[int, int]
) -> None:
    decoder = described(EntropyTree(**settings))
    assert fingerprint(decoder=decoder).leaves == leaves


def test_whole_trees_tell_of_those_that_stopped_but_not_the_other_way_round() -> None:
    def of(**settings: Any) -> Fingerprint:
        return fingerprint(decoder=described(EntropyTree(**settings)))

    whole = of().model_copy(update={"leaves": (2, 16)})  # as fitted on capped trees too
    stopped = of(batch=2, stop_above=0.6)
    assert whole.problems(stopped) == []
    assert stopped.problems(stopped) == []
    assert len(stopped.problems(of())) == 2
    assert "decoder stop_above None instead of 0.6" in stopped.problems(of())
    assert "decoder stop_above 0.9 instead of 0.6" in stopped.problems(of(batch=2, stop_above=0.9))
    assert of().problems(stopped) == ["2 to 16 leaves instead of 16"]
    for one, other in ((whole, stopped), (stopped, whole)):
        with pytest.raises(CalibrationError, match="these runs differ"):
            one.joined(other)


BEFORE: dict[str, Any] = {
    "name": "EntropyTree",
    "branching": 2,
    "delta": None,
    "exchangeable": False,
    "gap": 16,
    "importance": "auto",
    "importance_percentile": 25.0,
    "least_worth": 1.0,
    "percentile": None,
    "roots": 8,
    "schedule": "rounds",
    "settle": None,
    "tau": None,
    "temperature": 0.7,
    "value": "worth",
}
"""`EntropyTree()`, which was `rounds`, in the fingerprint of a calibrator of an earlier version."""


def test_a_fingerprint_of_before_is_that_of_the_same_tree_today() -> None:
    now = fingerprint(decoder=described(EntropyTree(schedule="rounds", leaves=4)))
    before = Fingerprint.model_validate({**now.model_dump(), "decoder": BEFORE})
    assert before == now
    assert before == fingerprint(decoder={**BEFORE, "leaves": 4, "max_tokens": 99})
    stopping = {**BEFORE, "leaves": 4, "wave": 2, "settle": 0.8}
    assert fingerprint(decoder=stopping) == fingerprint(
        decoder=described(EntropyTree(leaves=4, batch=2, stop_above=0.8))
    )


def test_what_only_another_decoder_has_is_not_told_of() -> None:
    ours = fingerprint(decoder=described(EntropyTree()))
    online = fingerprint(decoder=described(EntropyTree(schedule="online")))
    chains = fingerprint(decoder=described(MultiChain()))
    assert ours.problems(online) == ["decoder schedule online instead of overlapped"]
    assert ours.problems(chains) == ["decoder name MultiChain instead of EntropyTree"]
    own = fingerprint(decoder={"name": "Beam", "leaves": 16, "width": 3, "temperature": 0.7})
    assert "decoder width 3 instead of None" in ours.problems(own)
    assert own.problems(own) == []


def test_fingerprints_join() -> None:
    both = fingerprint().joined(
        fingerprint(
            decoder={"name": "EntropyTree", "roots": 8, "leaves": 12},
            instructions={"choice": "Pick."},
        )
    )
    assert both.leaves == (12, 16)
    assert set(both.instructions) == {"number", "choice"}
    with pytest.raises(CalibrationError, match="different instructions"):
        fingerprint().joined(fingerprint(instructions={"number": "Guess."}))
    with pytest.raises(CalibrationError, match="these runs differ"):
        fingerprint().joined(fingerprint(model="00"))


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        (10, 20, "Label 20 more at least"),
        (7, 51, "only 12% of such questions rightly, so about 25 more of the same sort"),
        (7, 51, "label easier questions too, or use a stronger model"),
        (45, 2, "only 4% of such questions wrongly, so about 188 more .* label harder questions"),
        (100, 0, "answered none of them wrongly: label harder questions"),
        (0, 58, "answered none of them rightly: label easier questions"),
    ],
)
def test_too_few_labels_say_what_is_lacking(right: int, wrong: int, says: str) -> None:
    rows, _, _ = questions(right + wrong)
    with pytest.raises(CalibrationError, match=f"{right} right and {wrong} wrong, .*{says}"):
        Calibrator("platt").fit(rows, [True] * right + [False] * wrong)


def test_bad_labels_and_features() -> None:
    rows, labels, _ = questions(100)
    with pytest.raises(CalibrationError, match="at least 50 are needed"):
        Calibrator("platt").fit(rows[:30], labels[:30])
    with pytest.raises(CalibrationError, match="no labelled question"):
        Calibrator().fit(rows[:0], labels[:0])
    with pytest.raises(CalibrationError, match="a label is 2: labels are true for a right answer"):
        Calibrator().fit(rows, labels * 2)
    with pytest.raises(CalibrationError, match="a label is 'no'"):
        Calibrator().fit(rows, np.where(labels, "yes", "no"))
    with pytest.raises(CalibrationError, match="100 rows but 99 labels"):
        Calibrator().fit(rows, labels[:-1])
    with pytest.raises(CalibrationError, match="100 labels but 2 groups"):
        Calibrator().fit(rows, labels, groups=[1, 2])
    with pytest.raises(CalibrationError, match="shape"):
        Calibrator().fit(rows[:, :3], labels)
    with pytest.raises(CalibrationError, match="no method"):
        Calibrator("magic").fit(rows, labels)
    with pytest.raises(CalibrationError, match="unknown features: mood"):
        Calibrator(features=["mood"]).fit(rows, labels)
    with pytest.raises(CalibrationError, match="not fitted"):
        Calibrator().predict_proba(rows)


def test_few_labels_without_the_share_and_odd_seeds_are_refused() -> None:
    rows, labels, _ = questions(60)
    with pytest.raises(CalibrationError, match="give the share among them"):
        Calibrator(features=["length"]).fit(rows[:3], [1, 0, 1])
    with pytest.raises(CalibrationError, match="seed is -1"):
        Calibrator(seed=-1).fit(rows, labels)


def test_a_calibrator_knows_how_many_questions_it_has_learnt_from() -> None:
    rows, labels, _ = questions(40)
    assert Calibrator().fit(rows, labels).labels == 40
    assert Calibrator.general().labels == 0


def test_what_was_not_measured_is_never_certain() -> None:
    rows, labels, _ = questions(200)
    rows[3, COLUMNS.index("rauq")] = np.nan
    with pytest.raises(CalibrationError, match="rauq"):
        Calibrator("logistic", features=["share", "rauq"]).fit(rows, labels)
    without = Calibrator("logistic").fit(rows, labels).mapping_
    assert isinstance(without, Logistic)
    assert not {"rauq", "length"} & set(without.features)
    rows[3, COLUMNS.index("rauq")] = 0.5
    fitted = Calibrator("logistic", features=["share", "certainty", "rauq"]).fit(rows, labels)
    rows[0, COLUMNS.index("rauq")] = np.nan
    with pytest.raises(CalibrationError, match="not measured: rauq"):
        fitted.predict_proba(rows)
    with pytest.raises(CalibrationError, match="no leaf gave an answer"):
        features_of(table([-1, -1]))
    features = features_of(table([0], rauq=[np.nan]))
    assert features["rauq"] is None
    with pytest.raises(CalibrationError, match="not measured: rauq"):
        fitted.confidence(features, "number")
    with pytest.raises(CalibrationError, match="not measured: certainty"):
        fitted.confidence({name: 0.0 for name in FEATURES if name != "certainty"}, "number")
    with pytest.raises(CalibrationError, match="no answer kind 'mood'"):
        fitted.confidence(features, "mood")


@pytest.mark.fault("flipped bytes")
def test_damaged_files(tmp_path: Path) -> None:
    rows, labels, _ = questions(200)
    path = Calibrator("isotonic").fit(rows, labels).save(tmp_path / "calibrator.json")
    good = json.loads(path.read_text())
    with pytest.raises(CalibrationError, match="not what was written"):
        Calibrator.from_json(json.dumps({**good, "created": "2020-01-01"}))
    del good["digest"]

    def written(text: str) -> Path:
        path.write_text(text)
        return path

    with pytest.raises(CalibrationError, match="later et-agent"):
        Calibrator.load(written(json.dumps({**good, "schema_version": 99})))
    with pytest.raises(CalibrationError, match="not JSON"):
        Calibrator.load(written("{"))
    with pytest.raises(CalibrationError, match="nested too deeply"):
        Calibrator.load(written("[" * 100_000))
    with pytest.raises(CalibrationError, match="not an et-agent calibrator"):
        Calibrator.load(written("[]"))
    broken = {**good, "mapping": {**good["mapping"], "values": [0.5]}}
    with pytest.raises(CalibrationError, match=r"damaged \(mapping"):
        Calibrator.load(written(json.dumps(broken)))
    with pytest.raises(CalibrationError, match="cannot be read"):
        Calibrator.load(tmp_path / "absent.json")


@pytest.mark.parametrize("method", CANDIDATES)
def test_several_confidences_at_once_are_those_of_each(method: str) -> None:
    rows, labels, _ = questions(300)
    calibrator = Calibrator(method).fit(rows, labels)
    trees: list[Any] = [dict(zip(FEATURES, row.tolist(), strict=False)) for row in rows[:5]]
    one_by_one = [calibrator.confidence(tree, "number") for tree in trees]
    together = calibrator.confidences(trees, "number")
    for one, other in zip(one_by_one, together, strict=True):
        assert one.value == pytest.approx(other.value)
        assert one.interval == pytest.approx(other.interval)
        assert [part.feature for part in one.parts] == [part.feature for part in other.parts]
    assert calibrator.confidences([], "number") == []
    needed = [{name: tree[name] for name in FEATURES if name in calibrator.reads} for tree in trees]
    assert calibrator.confidences(needed, "number") == together
    assert not any(calibrator.outside(tree, "number") for tree in trees)
