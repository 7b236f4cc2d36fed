"""Which calibrator holds: the user's own first, and every shipped one for what it says."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from et_agent import Direct, EntropyTree
from et_agent.answers import AnswerKind, instruction
from et_agent.answers.kinds import DIRECT_INSTRUCTION
from et_agent.calibration import Calibrator
from et_agent.calibration.finding import (
    calibrators_folder,
    find_calibrator,
    known_calibrators,
    may_need_attention,
    save_calibrator,
    unusable_calibrators,
    why_none,
)
from et_agent.calibration.fingerprint import Fingerprint
from et_agent.decoding.naming import described
from et_agent.decoding.schedules.keywords import TreeKeywords
from et_agent.weights.catalog import CATALOG

FOLDER = Path(str(resources.files("et_agent.calibration") / "shipped"))
SHIPPED = sorted(FOLDER.glob("*.json"))
OF_TREES = [path for path in SHIPPED if not path.stem.endswith("-choice")]


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))


def what_users_ask(path: Path) -> Fingerprint:
    """The default of an answer kind, and a catalog model, both named by the file."""
    name, _, kind = path.stem.rpartition("-")
    direct = kind == "choice"
    return Fingerprint.of(
        model=CATALOG[name].sha256,
        decoder=described(Direct() if direct else EntropyTree()),
        instructions={kind: DIRECT_INSTRUCTION if direct else instruction(AnswerKind(kind))},
        chat="model",
        same="tests",
    )


def test_some_are_shipped() -> None:
    assert SHIPPED


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_calibrator_holds_for_the_default_of_its_model_and_kind(path: Path) -> None:
    found = find_calibrator(what_users_ask(path))
    assert found is not None
    assert found.calibrator.document() == Calibrator.load(path).document()
    assert sum(one.questions for one in found.calibrator.data) >= 100
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


@pytest.mark.parametrize("path", OF_TREES, ids=lambda path: path.stem)
def test_a_shipped_calibrator_holds_for_trees_that_stop_where_it_has_seen_whole_ones(
    path: Path,
) -> None:
    asked, known = what_users_ask(path), Calibrator.load(path).fingerprint
    most = asked.leaves[1]
    assert known is not None
    assert known.leaves == (3, most)
    rules: tuple[tuple[TreeKeywords, bool], ...] = (
        ({"batch": 2, "stop_below": 0.34, "leaves": most}, True),
        ({"batch": 4, "stop_above": 0.8, "stop_below": 0.34, "leaves": most}, True),
        ({"stop_above": 0.8, "leaves": most}, True),
        ({"batch": 2, "stop_above": 0.8, "leaves": most}, False),
        ({"stop_risk": 0.01, "leaves": most}, True),
        ({"stop_risk": 0.01, "leaves": 32}, False),
    )
    for stops, holds in rules:
        found = find_calibrator(
            Fingerprint.of(
                model=asked.model,
                decoder=described(EntropyTree(**stops)),
                instructions=asked.instructions,
                chat=asked.chat,
                passages=asked.passages,
                same=asked.same,
            )
        )
        assert (found is not None) == holds
    once = asked.model_copy(update={"leaves": (1, most)})
    assert why_none(once) == f"1 to {most} leaves instead of 3 to {most}"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_ones_own_comes_before_the_shipped_one(path: Path) -> None:
    own = save_calibrator(Calibrator.load(path))
    assert known_calibrators()[0][0] == own


@pytest.mark.parametrize("path", OF_TREES, ids=lambda path: path.stem)
def test_a_shipped_calibrator_holds_for_nothing_else(path: Path) -> None:
    asked = what_users_ask(path)
    for other in (
        asked.model_copy(update={"model": "0" * 64}),
        asked.model_copy(update={"leaves": (64, 64)}),
        asked.model_copy(update={"instructions": {"text": "Answer briefly."}}),
        asked.model_copy(update={"decoder": {**asked.decoder, "temperature": 1.0}}),
    ):
        assert find_calibrator(other) is None
    assert why_none(asked.model_copy(update={"model": "0" * 64})) == "no calibrator for this model"
    most = asked.leaves[1]
    too_many = asked.model_copy(update={"leaves": (64, 64)})
    assert why_none(too_many) == f"64 leaves instead of 3 to {most}"
    text = asked.model_copy(update={"instructions": {"text": "Answer briefly."}})
    others = "another instruction than the calibrator's for answers of kind text"
    assert why_none(text) == others, "not that of another kind's calibrator"
    begun = text.model_copy(update={"begun": True})
    assert why_none(begun) == f"a given beginning of the reply; {others}"
    call = asked.model_copy(update={"instructions": {"tool_call": ""}})
    assert why_none(call) == "no calibrator for answers of kind tool_call"


def test_ones_own_for_another_kind_is_named() -> None:
    path = next(path for path in OF_TREES if "number" in path.stem)
    asked = what_users_ask(path)
    save_calibrator(Calibrator.load(path))
    (kind,) = asked.instructions
    none = "no calibrator for answers of kind date"
    yours = f"{none}; yours is for {kind}: ask with kind='{kind}'"
    for prompt in (instruction("date"), instruction(kind)):  # by the question, and by the replies
        dated = asked.model_copy(update={"instructions": {"date": prompt}, "same": "meaning"})
        assert why_none(dated) == yours
    begun = dated.model_copy(update={"begun": True})
    assert why_none(begun) == none, "it would not hold either"
    briefly = asked.model_copy(update={"instructions": {"date": "Answer briefly."}})
    assert why_none(briefly) == none, "the prompt would stay"


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 30)


def loop(path: Path) -> None:
    path.symlink_to(path)


def with_figure(figure: str) -> Callable[[Path], object]:
    """A calibrator of which one figure is replaced."""
    text = re.sub(r'("mean": \[\s*)[-.0-9e]+', rf"\g<1>{figure}", OF_TREES[0].read_text("utf-8"))
    return lambda path: path.write_text(text, "utf-8")


DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "dangling link": (lambda path: path.symlink_to("absent"), "No such file"),
    "link loop": (loop, "symbolic links"),
    "pipe": (lambda path: os.mkfifo(path), "not a regular file"),
    "folder": (Path.mkdir, "not a regular file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "huge": (huge, "larger than"),
    "empty": (Path.touch, "is not JSON"),
    "deep": (lambda path: path.write_text("[" * 100_000), "nested too deeply"),
    "no UTF-8": (lambda path: path.write_bytes(b'{"a": "\xff"}'), "is not JSON"),
    "something else": (lambda path: path.write_text("[1]"), "not an et-agent calibrator"),
    "later schema": (lambda path: path.write_text('{"schema_version": 2}'), "later et-agent"),
    "NaN": (with_figure("NaN"), "damaged .*not what was written"),
    "large number": (with_figure("1" + "0" * 400), "damaged .*not what was written"),
}


@pytest.mark.posix
@pytest.mark.parametrize(("damage", "reason"), DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("name", ["0", "~"])
def test_a_file_that_is_no_calibrator_is_left_out(
    damage: Callable[[Path], object], reason: str, name: str
) -> None:
    """Before the user's own and after it; neither that nor the shipped ones are touched by it."""
    own = save_calibrator(Calibrator.load(OF_TREES[0]))
    before = known_calibrators()
    asked = what_users_ask(OF_TREES[0])
    other = asked.model_copy(update={"leaves": (64, 64)})
    attention = [may_need_attention([what_users_ask(path)]) for path in SHIPPED]
    path = own.with_name(f"{name}.json")
    damage(path)
    assert [one for one, _ in known_calibrators()] == [one for one, _ in before]
    found = find_calibrator(asked)
    assert found is not None
    assert found.calibrator.document() == Calibrator.load(own).document()
    assert why_none(other) == "64 leaves instead of 3 to 16"
    assert [may_need_attention([what_users_ask(path)]) for path in SHIPPED] == attention
    (note,) = unusable_calibrators()
    assert re.search(f"left out: {re.escape(str(path))} .*{reason}", note)


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
def test_names_of_any_bytes_can_be_told() -> None:
    calibrators_folder().mkdir()
    Path(os.fsdecode(os.fsencode(calibrators_folder()) + b"/\xff.json")).touch()
    (note,) = unusable_calibrators()
    assert "\\xff.json is not JSON" in note
    assert note.encode()


@pytest.mark.posix
@pytest.mark.parametrize("make", [Path.touch, loop, lambda path: os.mkfifo(path)])
def test_a_folder_that_is_none_is_told_and_the_shipped_ones_hold(
    make: Callable[[Path], object],
) -> None:
    make(calibrators_folder())
    assert len(known_calibrators()) == len(SHIPPED)
    (note,) = unusable_calibrators()
    assert f"left out: {calibrators_folder()} cannot be read" in note


@pytest.mark.posix
@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_told() -> None:
    own = save_calibrator(Calibrator.load(OF_TREES[0]))
    own.chmod(0)
    assert f"{own} cannot be read: Permission denied" in " ".join(unusable_calibrators())
    own.parent.chmod(0)
    assert f"{own.parent} cannot be read" in " ".join(unusable_calibrators())
    own.parent.chmod(0o700)


def test_a_calibrator_that_is_replaced_or_mended_is_read_anew() -> None:
    own = save_calibrator(Calibrator.load(OF_TREES[0]))
    assert known_calibrators()[0][0] == own
    good = own.read_bytes()
    own.write_bytes(good[:100])
    assert known_calibrators()[0][0] != own
    assert unusable_calibrators()
    own.write_bytes(good)
    assert known_calibrators()[0][0] == own
    assert not unusable_calibrators()


def test_nothing_but_json_files_is_looked_at() -> None:
    calibrators_folder().mkdir()
    (calibrators_folder() / "notes.txt").write_text("mine")
    shutil.copy(OF_TREES[0], calibrators_folder() / "copy.json.bak")
    assert len(known_calibrators()) == len(SHIPPED)
    assert not unusable_calibrators()
