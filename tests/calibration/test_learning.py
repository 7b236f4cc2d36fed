"""Labels given while working move the user's own calibrator, each once and none lost."""

import itertools
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from et_agent import AskResult, MultiChain, ScriptedModel, ask
from et_agent.calibration import FEATURES as ALL_FEATURES
from et_agent.calibration import Calibrator, Example, Fingerprint, learn
from et_agent.calibration.calibrator import CalibratorFile, DataUsed
from et_agent.calibration.finding import (
    LARGEST,
    calibrators_folder,
    find_calibrator,
    save_calibrator,
    unusable_calibrators,
)
from et_agent.calibration.learning import MOST_LABELS
from et_agent.calibration.maps import Isotonic
from et_agent.errors import CalibrationError, CalibratorMismatchError
from tests.calibration.test_finding import SHIPPED, what_users_ask

QUESTION = "How many legs has a cat?"
CHAINS = MultiChain(leaves=8)
FEATURES = {"share": 0.5, "votes": 1.5, "mass": -0.5, "token_probability": 0.7}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))


def asked(seed: int = 0, texts: Mapping[str, float] | None = None, **options: Any) -> AskResult:
    texts = texts or {"So \\boxed{4}": 0.8, "So \\boxed{5}": 0.2}
    with ScriptedModel.from_texts(texts) as model:
        return ask(model, QUESTION, decoder=CHAINS, kind="number", seed=seed, **options)


def chains(leaves: int) -> dict[str, Any]:
    return {"name": "MultiChain", "leaves": leaves}


def example(number: int, **fingerprint: Any) -> Example:
    values: dict[str, Any] = {
        "model": "ab" * 32,
        "decoder": chains(8),
        "instructions": {"number": "Think."},
        "chat": "model",
    }
    return Example(
        fingerprint=Fingerprint.of(**{**values, **fingerprint}),
        features=FEATURES,
        kind="number",
        identity=f"{number:016x}",
    )


def test_the_first_label_begins_a_calibrator_that_ask_finds() -> None:
    before = asked()
    assert before.calibration is not None
    assert before.calibration.source == "general"
    learnt = learn(before, False)
    assert (learnt.is_new, learnt.calibrator.labels) == (True, 1)
    assert Calibrator.load(learnt.path).document() == learnt.calibrator.document()
    after = asked()
    assert after.calibration is not None
    assert (after.calibration.source, after.calibration.labels) == ("own", 1)
    assert before.confidence is not None
    assert after.confidence is not None
    assert after.confidence < before.confidence


@pytest.mark.parametrize("right", [True, False])
def test_labels_that_are_all_the_same_move_it_all_the_way_and_not_to_certainty(
    right: bool,
) -> None:
    found = [asked().confidence]
    for number in range(40):
        learnt = learn(asked(seed=number), right)
        found.append(learnt.calibrator.confidence(asked().features, "number").value)
    known = [one for one in found if one is not None]
    assert len(known) == 41
    assert 0.0 < min(known) < max(known) < 1.0
    assert (known[-1] > known[0]) == right
    (used,) = learnt.calibrator.data
    assert (used.questions, used.right) == (40, 40 * right)


def test_a_label_counts_once_and_cannot_be_contradicted() -> None:
    learn(asked(), True)
    again = learn(asked(), True)
    assert (again.is_new, again.calibrator.labels) == (False, 1)
    with pytest.raises(CalibrationError, match=r"labelled right before and wrong now: .* remove /"):
        learn(asked(), False)
    assert learn(asked(seed=1), False).calibrator.labels == 2, "another seed is another result"


def test_conversations_that_end_alike_are_told_apart() -> None:
    def said(name: str, share: float) -> AskResult:
        texts = {"So \\boxed{4}": share, "So \\boxed{5}": 1 - share}
        before = [
            {"role": "user", "content": f"I am {name}."},
            {"role": "assistant", "content": "Hello."},
        ]
        with ScriptedModel.from_texts(texts) as model:
            question = [*before, {"role": "user", "content": QUESTION}]
            return ask(model, question, decoder=CHAINS, kind="number")  # type: ignore[arg-type]

    learn(said("Ann", 0.9), True)
    assert learn(said("Bob", 0.7), False).calibrator.labels == 2
    assert not learn(said("Bob", 0.7), False).is_new


def test_it_begins_from_the_shipped_one_that_applies() -> None:
    shipped = Calibrator.load(SHIPPED[0])
    requested = what_users_ask(SHIPPED[0])
    one = example(1).model_copy(update={"fingerprint": requested})
    learnt = learn(one, True)
    assert learnt.calibrator.fingerprint == requested.with_alike_leaves()
    assert learnt.calibrator.labels == shipped.labels + 1
    held = find_calibrator(requested)
    assert held is not None
    assert held.source == "own"
    untouched = Calibrator.load(SHIPPED[0])
    assert untouched.document() == shipped.document()


def test_settings_have_calibrators_of_their_own() -> None:
    first = learn(example(1), True)
    second = learn(example(1, decoder=chains(2)), False)
    stopped = learn(asked(stop=["Q:"]), True)
    assert len({first.path, second.path, stopped.path, learn(asked(), False).path}) == 4
    assert all(path.parent == calibrators_folder() for path in (first.path, second.path))
    assert learn(example(2), True).path == first.path
    assert {one.calibrator.labels for one in (first, second, stopped)} == {1}


@pytest.mark.parametrize(("leaves", "together"), [(2, False), (3, True), (32, True), (33, False)])
def test_labels_of_alike_trees_count_together(leaves: int, together: bool) -> None:
    first = learn(example(1), True)
    second = learn(example(2, decoder=chains(leaves)), False)
    assert (first.path == second.path) == together
    assert second.calibrator.labels == 1 + together
    held = find_calibrator(example(3, decoder=chains(16)).fingerprint)
    assert held is not None
    assert held.calibrator.labels == 1 + together


def test_an_own_one_for_fewer_leaves_learns_too_and_keeps_its_file() -> None:
    fitted = Calibrator.general(fingerprint=example(1).fingerprint)
    fitted.data = (DataUsed(name="mine", questions=90, right=40),)
    path = save_calibrator(fitted)
    learnt = learn(example(1, decoder=chains(16)), True)
    assert (learnt.path, learnt.calibrator.labels) == (path, 91)
    assert not learn(example(1, decoder=chains(16)), True).is_new
    for leaves in (8, 16):
        held = find_calibrator(example(2, decoder=chains(leaves)).fingerprint)
        assert held is not None
        assert held.calibrator.labels == 91


def test_a_shipped_one_is_the_start_of_trees_with_more_leaves_than_it_covers() -> None:
    file = next(path for path in SHIPPED if path.name == "qwen2.5-coder-0.5b-number.json")
    shipped = Calibrator.load(file)
    asked_for = what_users_ask(file)
    larger = asked_for.model_copy(update={"leaves": (32, 32)})
    assert find_calibrator(larger) is None
    learnt = learn(example(1).model_copy(update={"fingerprint": larger}), True)
    assert learnt.calibrator.labels == shipped.labels + 1
    held = find_calibrator(asked_for)
    assert held is not None
    assert (held.source, held.calibrator.labels) == ("own", shipped.labels + 1)


def test_a_few_labels_behind_a_shipped_one_do_not_outweigh_a_fit_to_many() -> None:
    file = next(path for path in SHIPPED if path.name == "qwen2.5-coder-0.5b-number.json")
    asked_for = what_users_ask(file)
    learnt = learn(example(1).model_copy(update={"fingerprint": asked_for}), True)
    kinds = {**asked_for.instructions, "text": "Say it."}
    fitted = Calibrator.general(
        fingerprint=asked_for.model_copy(update={"instructions": kinds}),
    )
    fitted.data = (DataUsed(name="mine", questions=90, right=40),)
    assert save_calibrator(fitted) != learnt.path, "it covers more"
    assert learnt.calibrator.labels > 90
    held = find_calibrator(asked_for)
    assert held is not None
    assert held.calibrator.labels == 90


def test_a_file_with_a_name_of_before_is_gone_on_with() -> None:
    path = learn(example(1), True).path
    former = path.rename(path.with_name("abababababab-number.json"))
    again = learn(example(2), True)
    assert (again.path, again.calibrator.labels) == (former, 2)
    assert save_calibrator(again.calibrator) == former
    assert list(calibrators_folder().iterdir()) == [former]


def test_of_several_that_apply_the_one_with_most_labels_holds() -> None:
    many = learn(example(1), True).path
    for number in range(2, 5):
        learn(example(number), True)
    few = Calibrator.general(
        fingerprint=example(0).fingerprint.joined(
            example(0, instructions={"choice": "Pick."}).fingerprint
        )
    )
    save_calibrator(few.update(example(9), False))
    held = find_calibrator(example(0).fingerprint)
    assert held is not None
    assert held.calibrator.document() == Calibrator.load(many).document()


@pytest.mark.fault("flipped bytes")
def test_a_damaged_file_is_left_alone() -> None:
    path = learn(example(1), True).path
    path.write_bytes(path.read_bytes()[:-20])
    damaged = path.read_bytes()
    beside = learn(example(2), True)
    assert beside.path == path.with_name(f"{path.stem}-2.json")
    assert beside.calibrator.labels == 1
    assert path.read_bytes() == damaged
    (note,) = unusable_calibrators()
    assert f"left out: {path} is not JSON" in note
    assert learn(example(3), True).path == beside.path


PROGRAM = """
import sys
from et_agent.calibration import Example, learn
for line in sys.stdin:
    learn(Example.model_validate_json(line), True)
"""


@pytest.mark.fault("two processes on one file")
def test_two_processes_lose_nothing() -> None:
    working = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for at, process in enumerate(working):
        assert process.stdin is not None
        lines = (example(100 * at + number).model_dump_json() for number in range(15))
        process.stdin.write("\n".join(lines))
        process.stdin.close()
    assert [process.wait(60) for process in working] == [0, 0]
    (path,) = calibrators_folder().iterdir()
    found = Calibrator.load(path)
    assert (found.labels, len(found.learnt_)) == (30, 30)


def test_what_nothing_can_be_learnt_from() -> None:
    nothing = asked(texts={"I do not know": 1.0})
    with pytest.raises(CalibrationError, match="the result has no answer"):
        learn(nothing, False)
    with pytest.raises(CalibrationError, match="right is a str: use True or False"):
        learn(asked(), "no")  # type: ignore[arg-type]


def test_labels_move_a_map_that_was_fitted_as_a_whole() -> None:
    document = CalibratorFile(
        created="2026-01-01",
        fingerprint=Example.of(asked()).fingerprint,
        data=(DataUsed(name="mine", questions=50, right=35),),
        method="isotonic",
        losses={},
        held_out={},
        mapping=Isotonic(feature="share", knots=(0.0,), values=(0.7,)),
    )
    path = save_calibrator(Calibrator.from_json(document.model_dump_json()))
    given = [asked().confidence]
    for number in range(10):
        assert learn(asked(seed=number), False).path == path
        given.append(asked().confidence)
    assert given[0] == pytest.approx(0.7)
    assert all(after < before for before, after in itertools.pairwise(given))  # type: ignore[operator]
    assert given[-1] == pytest.approx(35 / 60, abs=0.05)
    assert Calibrator.load(path).labels == 60


def test_an_update_is_for_the_same_settings() -> None:
    calibrator = Calibrator.general(fingerprint=example(1).fingerprint)
    before = calibrator.document()
    with pytest.raises(CalibratorMismatchError, match="model f4e1a209c132 instead of abababab"):
        calibrator.update(asked(), True)
    with pytest.raises(CalibrationError, match="no answer"):
        calibrator.update(asked(texts={"Who knows": 1.0}), True)
    assert calibrator.document() == before
    assert calibrator.update(example(1), True).labels == 1


def test_a_calibrator_learns_so_many_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("et_agent.calibration.learning.MOST_LABELS", 2)
    for number in range(2):
        learn(example(number), True)
    with pytest.raises(CalibrationError, match=r"has learnt 2 labels, .* leave it out"):
        learn(example(2), True)
    assert not learn(example(1), True).is_new


def test_a_calibrator_with_all_labels_can_be_read() -> None:
    sizes = []
    for number in range(3):
        features = dict.fromkeys(ALL_FEATURES, -1.2345678901234567)
        learnt = learn(example(number).model_copy(update={"features": features}), True)
        sizes.append(learnt.path.stat().st_size)
    assert sizes[-1] + MOST_LABELS * (sizes[2] - sizes[1]) < LARGEST


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "calibrators").write_text("a file")
    with pytest.raises(CalibrationError, match=r"cannot be kept in .*ET_AGENT_CACHE"):
        learn(example(1), True)


def test_what_was_counted_is_kept_with_the_calibrator() -> None:
    learnt = learn(example(7), False)
    (label,) = json.loads(learnt.path.read_text())["learnt"]
    assert (label["identity"], label["right"]) == (f"{7:016x}", False)
    assert label["features"] == FEATURES
    assert QUESTION not in learn(asked(), True).path.read_text()
