"""A model's calibrators are learnt in a given time, and gone on with by the same call."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from et_agent import ScriptedModel
from et_agent.answers import AnswerKind
from et_agent.calibration import Calibrator
from et_agent.calibration.pooled import Pooled
from et_agent.decoding import MultiChain
from et_agent.errors import DataError, SettingsError, StoreError
from et_agent.evaluation import learning as module
from et_agent.evaluation.calibrating import calibrate, labelled_run
from et_agent.evaluation.items import Item
from et_agent.evaluation.learning import LearningProgress, ModelLearning
from et_agent.evaluation.learning_sets import LearningSet
from et_agent.evaluation.planning import begin_run
from et_agent.evaluation.store import RunInfo, RunStore
from tests.evaluation.conftest import half_knowing_model, sums

CHAINS = MultiChain(leaves=6)
NUMBER, TEXT = AnswerKind.NUMBER, AnswerKind.TEXT


def set_of(items: Sequence[Item], data: str = "sums") -> LearningSet:
    return LearningSet(data, items[0].kind, tuple(items))


def learning(
    model: ScriptedModel, store: RunStore, *sets: LearningSet, **settings: Any
) -> ModelLearning:
    return ModelLearning(
        model, sets, store, **{"decoder": CHAINS, "seconds": 60.0, "name": "chains", **settings}
    )


def worked(
    one: ModelLearning, after: Callable[[LearningProgress], object] = lambda _: None
) -> list[LearningProgress]:
    seen = []
    with contextlib.closing(one.work()) as steps:
        for progress in steps:
            seen.append(progress)
            after(progress)
    return seen


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with RunStore(tmp_path / "runs.sqlite") as opened:
        yield opened


def test_every_kind_has_a_calibrator_and_figures_of_its_own(store: RunStore) -> None:
    texts = [dataclasses.replace(item, id=f"t/{item.id}", kind=TEXT) for item in sums(12)]
    with half_knowing_model() as model:
        one = learning(model, store, set_of(sums(20)), set_of(texts, "words"))
        seen = worked(one)
        assert [sum(s.done for s in progress.standings) for progress in seen] == list(range(33))
        for kind, count, data in ((NUMBER, 20, "sums"), (TEXT, 12, "words")):
            track = one.tracks[kind]
            found = one.calibrator(kind)
            assert found is not None
            assert found.method_ == "pooled"
            assert found.fingerprint is not None
            assert list(found.fingerprint.instructions) == [kind.value]
            (used,) = found.data
            assert (used.name, used.questions, track.done) == (data, count, count)
            assert used.right == track.right.sum()
            assert found.reliability_ == track.reliability()
            assert found.metrics_ == track.metrics()
    assert seen[-1].standings[0].ece == one.tracks[NUMBER].ece()
    assert seen[0].standings[0].ece is None
    assert seen[-1].seconds_left < seen[0].seconds_left <= 60


def test_the_calibrator_is_the_posterior_of_all_stored_labels(store: RunStore) -> None:
    with half_knowing_model() as model:
        one = learning(model, store, set_of(sums(25)))
        worked(one)
        found = one.calibrator(NUMBER)
    run = store.again(one.runs["sums"])
    labelled = labelled_run(run.config, store.records(run), caps=(3, 4))
    expected = calibrate([labelled], method="pooled")
    assert found is not None
    assert found.fingerprint is not None
    assert found.fingerprint.leaves == (3, run.config["decoder"]["leaves"])
    assert found.fingerprint == expected.fingerprint
    ours, theirs = found.mapping_, expected.mapping_
    assert isinstance(ours, Pooled)
    assert isinstance(theirs, Pooled)
    assert ours.posterior.mean == pytest.approx(theirs.posterior.mean)


def test_it_stops_when_enough_is_known_and_goes_on_when_more_is_wanted(store: RunStore) -> None:
    with half_knowing_model() as model:
        one = learning(model, store, set_of(sums(200)), interval=0.3)
        worked(one)
        first = one.tracks[NUMBER]
        assert one.is_known(NUMBER)
        assert one.ended == "known"
        assert 50 <= first.answered < 100
        decoded = model.decoded
        again = learning(model, store, set_of(sums(200)), interval=0.3)
        (only,) = worked(again)
        assert model.decoded == decoded
        assert only.standings[0].done == first.done
        assert again.runs["sums"].id == one.runs["sums"].id
        more = learning(model, store, set_of(sums(200)), interval=0.001)
        assert more.ended is None
        assert worked(more)[-1].standings[0].done == 200
        assert more.ended == "questions"


def test_it_stops_when_the_time_is_up(store: RunStore) -> None:
    with half_knowing_model() as model:
        one = learning(model, store, set_of(sums(500)), seconds=1.0, interval=0.001)
        seen = worked(one)
        assert 1 < len(seen) < 500
        assert one.ended == "time"
        assert one.tracks[NUMBER].done == store.again(one.runs["sums"]).questions
        later = learning(model, store, set_of(sums(500)), seconds=1.0, interval=0.001)
        assert worked(later)[0].standings[0].done == one.tracks[NUMBER].done


def test_an_interrupted_one_keeps_all_and_learns_from_all(store: RunStore) -> None:
    def stop(progress: LearningProgress) -> None:
        if progress.standings[0].done == 3:
            raise KeyboardInterrupt

    with half_knowing_model() as model:
        one = learning(model, store, set_of(sums(30)))
        with pytest.raises(KeyboardInterrupt):
            worked(one, stop)
        stored = store.again(one.runs["sums"]).questions
        assert 3 <= one.tracks[NUMBER].done == stored < 30
        found = one.calibrator(NUMBER)
        assert found is not None
        assert found.labels == stored
        rest = learning(model, store, set_of(sums(30)))
        assert [progress.standings[0].done for progress in worked(rest)] == list(range(stored, 31))


def test_one_process_at_a_time(store: RunStore) -> None:
    with half_knowing_model() as model:
        one = learning(model, store, set_of(sums(3)))
        with (
            store.working_on(one.runs["sums"]),
            pytest.raises(StoreError, match="another process is decoding the run sums-scripted-ch"),
        ):
            worked(one)


@pytest.mark.parametrize("right", [True, False])
def test_a_model_that_is_always_right_or_always_wrong(store: RunStore, right: bool) -> None:
    item = Item(id="q", question="How many?", kind=NUMBER, golds=("4" if right else "5",))
    items = [dataclasses.replace(item, id=f"q/{number}") for number in range(60)]
    with ScriptedModel.from_texts({"So \\boxed{4}": 1.0}) as model:
        one = learning(model, store, set_of(items))
        worked(one)
        found = one.calibrator(NUMBER)
    assert found is not None
    assert found.metrics_["ECE"] < 0.3
    assert 0.0 < float(one.tracks[NUMBER].confidences[-1]) < 1.0
    assert one.tracks[NUMBER].above(0.0) == (found.labels * right, found.labels)


def test_nothing_is_learnt_without_an_answer(store: RunStore) -> None:
    long = Item(id="long", question="x" * 3000, kind=NUMBER, golds=("1",))
    items = [*sums(3), long]
    with ScriptedModel.from_texts({"Who knows": 1.0}, context=1000) as model:
        one = learning(model, store, set_of(items))
        (standing,) = worked(one)[-1].standings
        assert one.calibrator(NUMBER) is None
    assert (standing.done, standing.answered, standing.right) == (3, 0, 0)
    (skipped,) = one.skipped
    assert skipped.item == "long"


def test_a_question_that_changed_is_told(store: RunStore) -> None:
    with half_knowing_model() as model:
        worked(learning(model, store, set_of(sums(2))))
        other = [dataclasses.replace(item, golds=("1",)) for item in sums(2)]
        with pytest.raises(DataError, match="no longer the question"):
            worked(learning(model, store, set_of(other)))


def test_bad_settings(store: RunStore) -> None:
    unreadable = Item(id="bad", question="How many?", kind=NUMBER, golds=("many",))
    with half_knowing_model() as model:
        with pytest.raises(SettingsError, match="no questions to learn from"):
            learning(model, store)
        for seconds in (0.0, -1.0, float("nan")):
            with pytest.raises(SettingsError, match="allow more than 0"):
                learning(model, store, set_of(sums(2)), seconds=seconds)
        with pytest.raises(SettingsError, match="the interval is 0: use more than 0"):
            learning(model, store, set_of(sums(2)), interval=0)
        with pytest.raises(DataError, match="bad"):
            learning(model, store, set_of([unreadable]))
    assert store.runs() == []


def test_what_ends_before_its_first_question_leaves_no_run(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with half_knowing_model() as model:
        # A generator that was never begun runs none of its code.
        with learning(model, store, set_of(sums(2))) as one, contextlib.closing(one.work()):
            assert len(store.runs()) == 1
        assert store.runs() == []
        words = [dataclasses.replace(item, kind=TEXT) for item in sums(2)]

        def interrupted(*given: Any, data: str, **settings: Any) -> RunInfo:
            if data == "words":
                raise KeyboardInterrupt
            return begin_run(*given, data=data, **settings)

        monkeypatch.setattr(module, "begin_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            learning(model, store, set_of(sums(2)), set_of(words, "words"))
        assert store.runs() == []
        monkeypatch.setattr(module, "begin_run", begin_run)
        with learning(model, store, set_of(sums(2))) as one:
            worked(one)
    assert [run.questions for run in store.runs()] == [2]


def test_an_empty_run_that_another_works_on_stays(store: RunStore) -> None:
    with half_knowing_model() as model:
        one = learning(model, store, set_of(sums(2)))
        (run,) = store.runs()
        with store.working_on(run):
            one.close()
            assert store.runs() == [run]
        one.close()
    assert store.runs() == []


def test_what_was_learnt_goes_on_learning(store: RunStore) -> None:
    with half_knowing_model() as model:
        one = learning(model, store, set_of(sums(5)))
        worked(one)
        found = one.calibrator(NUMBER)
    assert found is not None
    again = Calibrator.from_json(found.document().model_dump_json())
    assert again.document() == found.document()
    assert isinstance(again.mapping_, Pooled), "a map that labels can move"
