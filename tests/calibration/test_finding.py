"""Which calibrator holds: the user's own first, and every shipped one for what it says."""

import re
from importlib import resources
from pathlib import Path

import pytest

from et_agent import EntropyTree
from et_agent.answers import AnswerKind, instruction
from et_agent.calibration import Calibrator
from et_agent.calibration.finding import (
    find_calibrator,
    known_calibrators,
    may_need_attention,
    save_calibrator,
    why_none,
)
from et_agent.calibration.fingerprint import Fingerprint
from et_agent.decoding.naming import described
from et_agent.decoding.schedules.keywords import TreeKeywords
from et_agent.weights.catalog import CATALOG

FOLDER = Path(str(resources.files("et_agent.calibration") / "shipped"))
SHIPPED = sorted(FOLDER.glob("*.json"))


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))


def what_users_ask(path: Path) -> Fingerprint:
    """The default tree of a catalog model, both named by the file."""
    name, _, kind = path.stem.rpartition("-")
    return Fingerprint.of(
        model=CATALOG[name].sha256,
        decoder=described(EntropyTree()),
        instructions={kind: instruction(AnswerKind(kind))},
        chat="model",
    )


def test_some_are_shipped() -> None:
    assert SHIPPED


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_calibrator_holds_for_the_default_tree_of_its_model(path: Path) -> None:
    found = find_calibrator(what_users_ask(path))
    assert found is not None
    assert found.document() == Calibrator.load(path).document()
    assert sum(one.questions for one in found.data) >= 100
    card = path.with_suffix(".md").read_text("utf-8")
    assert re.search(r"Fitted on \d{4}-\d\d-\d\d", card)
    assert "ECE" in card


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_attention_is_read_for_the_shipped_calibrators_that_use_it(path: Path) -> None:
    calibrator, asked = Calibrator.load(path), what_users_ask(path)
    assert calibrator.reads_attention == ("rauq" in path.read_text("utf-8"))
    assert may_need_attention([asked]) == calibrator.reads_attention
    other = asked.model_copy(update={"model": "0" * 64})
    assert not may_need_attention([other])
    assert may_need_attention([other, asked]) == calibrator.reads_attention


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_calibrator_holds_for_trees_that_stop_where_it_has_seen_whole_ones(
    path: Path,
) -> None:
    asked, known = what_users_ask(path), Calibrator.load(path).fingerprint
    assert known is not None
    assert known.leaves == (4, 16)
    rules: tuple[tuple[TreeKeywords, bool], ...] = (
        ({"batch": 2, "stop_below": 0.34}, True),
        ({"batch": 4, "stop_above": 0.8, "stop_below": 0.34}, True),
        ({"stop_above": 0.8}, True),
        ({"batch": 2, "stop_above": 0.8}, False),
    )
    for stops, holds in rules:
        found = find_calibrator(
            Fingerprint.of(
                model=asked.model,
                decoder=described(EntropyTree(**stops)),
                instructions=asked.instructions,
                chat=asked.chat,
            )
        )
        assert (found is not None) == holds
    twice = asked.model_copy(update={"leaves": (2, 16)})
    assert why_none(twice) == "2 to 16 leaves instead of 4 to 16"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_ones_own_comes_before_the_shipped_one(path: Path) -> None:
    own = save_calibrator(Calibrator.load(path))
    assert known_calibrators()[0][0] == own


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_calibrator_holds_for_nothing_else(path: Path) -> None:
    asked = what_users_ask(path)
    for other in (
        asked.model_copy(update={"model": "0" * 64}),
        asked.model_copy(update={"leaves": (64, 64)}),
        asked.model_copy(update={"instructions": {"text": "Answer briefly."}}),
        asked.model_copy(update={"decoder": {**asked.decoder, "temperature": 1.0}}),
    ):
        assert find_calibrator(other) is None
    assert why_none(asked.model_copy(update={"model": "0" * 64})) == "there is none for this model"
    assert why_none(asked.model_copy(update={"leaves": (64, 64)})) == "64 leaves instead of 4 to 16"
    text = why_none(asked.model_copy(update={"instructions": {"text": "Answer briefly."}}))
    assert text.startswith("answers of kind text instead of ")
