import dataclasses
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from et_agent.answers import AnswerKind
from et_agent.arrays import Floats
from et_agent.decoding import EntropyTree, MultiChain
from et_agent.decoding.base import DecoderSettings
from et_agent.engines.scripted import END, VOCABULARY, ScriptedModel
from et_agent.errors import DataError, DecodeError, SettingsError, StoreError
from et_agent.evaluation.items import Item
from et_agent.evaluation.running import EvaluationProgress, evaluate, question_seed
from et_agent.evaluation.store import RunStore
from tests.evaluation.conftest import half_knowing_model, half_known, sums
from tests.evaluation.kills import killed_evaluation

DECODERS: dict[str, DecoderSettings] = {
    "tree": EntropyTree(leaves=8, roots=3, tau=0.1),
    "chains": MultiChain(leaves=8),
}


def test_runs_are_kept_graded_and_gone_on_with(tmp_path: Path) -> None:
    items = sums(20)
    seen: list[EvaluationProgress] = []
    with half_knowing_model() as model, RunStore(tmp_path / "r.sqlite") as store:
        runs, skipped = evaluate(
            model, items[:6], DECODERS, store, data="sums", on_progress=seen.append
        )
        assert not skipped
        assert [run.name for run in runs] == ["sums-scripted-tree", "sums-scripted-chains"]
        assert [one.done for one in seen] == list(range(13))
        assert seen[0].accuracy is None
        assert seen[0].seconds_left is None
        assert seen[-1].total == 12
        assert seen[-1].seconds_left == 0
        first = {run.name: store.records(run) for run in runs}
        decoded = model.decoded
        evaluate(model, items[:6], DECODERS, store, data="sums")
        assert model.decoded == decoded
        longer, _ = evaluate(model, items, DECODERS, store, data="sums")
        assert [run.id for run in longer] == [run.id for run in runs]
        assert [run.questions for run in longer] == [20, 20]
        for run in longer:
            again = {record.item: record.as_json() for record in store.records(run)}
            for record in first[run.name]:
                assert again[record.item] == record.as_json()
            for record in store.records(run):
                number = int(record.item.rpartition("/")[2])
                assert record.right == tuple(a == str(4 * number) for a in record.answers)
                assert record.leaves.weight.sum() == pytest.approx(1.0)
                assert record.tokens_decoded == record.leaves.tokens_decoded
                assert record.seconds > 0
                texts = store.texts(run, record.item)
                assert len(texts) == len(record.leaves)
                for text, answer in zip(texts, record.leaves.answer, strict=True):
                    if answer >= 0:
                        assert record.answers[answer] in text
                traces = store.traces(run, record.item)
                assert traces["length"].sum() == record.tokens_decoded
                assert np.isfinite(traces["entropies"]).all()


def test_questions_have_seeds_of_their_own() -> None:
    items = sums(50)
    assert len({question_seed(0, item) for item in items}) == 50
    assert question_seed(0, items[0]) != question_seed(1, items[0])


def test_other_settings_are_another_run(tmp_path: Path) -> None:
    with half_knowing_model() as model, RunStore(tmp_path / "r.sqlite") as store:
        names = []
        for leaves in (2, 3):
            decoder = MultiChain(leaves=leaves)
            runs, _ = evaluate(model, sums(1), {"chains": decoder}, store, data="sums")
            names.append(runs[0].name)
        runs, _ = evaluate(model, sums(1), {"chains": decoder}, store, data="sums", seed=1)
        names.append(runs[0].name)
    assert names == ["sums-scripted-chains", "sums-scripted-chains-2", "sums-scripted-chains-3"]


def test_a_question_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    long = Item(id="long", question="x" * 3000, kind=AnswerKind.NUMBER, golds=("1",))
    with (
        ScriptedModel.from_texts({"\\boxed{1}": 1.0}, context=1000) as model,
        RunStore(tmp_path / "r.sqlite") as store,
    ):
        short = Item(id="short", question="How many?", kind=AnswerKind.NUMBER, golds=("1",))
        runs, skipped = evaluate(model, [long, short], DECODERS, store, data="x")
        assert [run.questions for run in runs] == [1, 1]
    (one,) = skipped
    assert one.item == "long"
    assert "context" in one.reason


def test_no_more_is_asked_at_once_than_the_model_takes(tmp_path: Path) -> None:
    with (
        ScriptedModel.from_texts({"\\boxed{1}": 1.0}, max_pending=2) as model,
        RunStore(tmp_path / "r.sqlite") as store,
    ):
        runs, skipped = evaluate(model, sums(5), DECODERS, store, data="sums")
    assert ([run.questions for run in runs], list(skipped)) == ([5, 5], [])


def test_unreadable_golds_are_told_before_anything_is_decoded(tmp_path: Path) -> None:
    bad = Item(id="bad", question="How many?", kind=AnswerKind.NUMBER, golds=("many",))
    with half_knowing_model() as model, RunStore(tmp_path / "r.sqlite") as store:
        with pytest.raises(DataError, match="bad"):
            evaluate(model, [*sums(2), bad], DECODERS, store, data="x")
        assert model.decoded == 0


@pytest.mark.fault("killed run")
def test_an_interrupted_run_keeps_what_is_finished(tmp_path: Path) -> None:
    def stop(progress: EvaluationProgress) -> None:
        if progress.done == 3:
            raise KeyboardInterrupt

    with half_knowing_model() as model, RunStore(tmp_path / "r.sqlite") as store:
        with pytest.raises(KeyboardInterrupt):
            evaluate(model, sums(10), DECODERS, store, data="sums", on_progress=stop)
        # Those that ended before the others were stopped are kept too.
        assert sum(run.questions for run in store.runs()) >= 3
        runs, _ = evaluate(model, sums(10), DECODERS, store, data="sums")
        assert [run.questions for run in runs] == [10, 10]


def test_a_question_that_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    with half_knowing_model() as model, RunStore(tmp_path / "r.sqlite") as store:
        evaluate(model, sums(2), DECODERS, store, data="sums")
        one, other = sums(2)
        changed = dataclasses.replace(one, golds=("99",))
        with pytest.raises(DataError, match="sums/0 is no longer the question"):
            evaluate(model, [changed, other], DECODERS, store, data="sums")


def test_two_names_for_the_same_settings(tmp_path: Path) -> None:
    twice = {"one": MultiChain(leaves=2), "other": MultiChain(leaves=2)}
    with half_knowing_model() as model, RunStore(tmp_path / "r.sqlite") as store:
        with pytest.raises(SettingsError, match="one, other"):
            evaluate(model, sums(2), twice, store, data="sums")
        assert not store.runs()


def second_breaks(prompt: str) -> Mapping[str, float]:
    if "What is 2 " in prompt:
        raise DecodeError("the model gave unusable logits")
    return half_known(prompt)


def test_a_question_whose_decoding_fails_stops_no_other(tmp_path: Path) -> None:
    """One question breaks the batch for all beside it; tried alone, only it fails."""
    told: list[EvaluationProgress] = []
    with ScriptedModel.from_texts(second_breaks) as model, RunStore(tmp_path / "r.sqlite") as store:
        runs, skipped = evaluate(
            model, sums(5), DECODERS, store, data="sums", on_progress=told.append
        )
        assert [run.questions for run in runs] == [4, 4]
    assert [(one.item, one.reason) for one in skipped] == [
        ("sums/2", "the model gave unusable logits")
    ]
    assert told[-1].done == 8
    # The next call tries it again.
    with half_knowing_model() as model, RunStore(tmp_path / "r.sqlite") as store:
        runs, skipped = evaluate(model, sums(5), DECODERS, store, data="sums")
        assert [run.questions for run in runs] == [5, 5]
        assert not skipped


def test_those_beside_a_failed_question_are_not_left_for_last(tmp_path: Path) -> None:
    def note(progress: EvaluationProgress) -> None:
        if progress.done == 45:
            raise KeyboardInterrupt

    decoders = {"chains": MultiChain(leaves=8)}
    with ScriptedModel.from_texts(second_breaks) as model, RunStore(tmp_path / "r.sqlite") as store:
        with pytest.raises(KeyboardInterrupt):
            evaluate(model, sums(80), decoders, store, data="sums", on_progress=note)
        [run] = store.runs()
        found = {record.item for record in store.records(run)}
    assert found >= {item.id for item in sums(32)} - {"sums/2"}


def test_a_slow_question_keeps_none_of_the_others_waiting(tmp_path: Path) -> None:
    """It goes on until all of the others are done, be there more than are asked at once or not."""
    others_done = threading.Event()
    told = list(b"\\boxed{1}")

    def script(prompt: str, tokens: Sequence[int]) -> Floats:
        row = np.full(VOCABULARY, -1e9, dtype=np.float32)
        if "What is 0 " in prompt and not others_done.is_set():
            row[ord("a")] = 0
        else:
            row[told[len(tokens)] if len(tokens) < len(told) else END] = 0
        return row

    def note(progress: EvaluationProgress) -> None:
        if progress.done == 39:
            [run] = store.runs()
            finished.update(record.item for record in store.records(run))
            others_done.set()

    finished: set[str] = set()
    decoders = {"chain": MultiChain(leaves=1, max_tokens=50_000)}
    with (
        ScriptedModel(script, context=60_000) as model,
        RunStore(tmp_path / "r.sqlite") as store,
    ):
        evaluate(model, sums(40), decoders, store, data="sums", on_progress=note)
    assert finished == {item.id for item in sums(40)[1:]}


@pytest.mark.fault("two processes on one file")
def test_a_run_that_another_process_decodes(tmp_path: Path) -> None:
    with half_knowing_model() as model, RunStore(tmp_path / "r.sqlite") as store:
        runs, _ = evaluate(model, sums(1), DECODERS, store, data="sums")
        with store.working_on(runs[1]), pytest.raises(StoreError, match="another process"):
            evaluate(model, sums(2), DECODERS, store, data="sums")
        # The lock of the first run was given back.
        with store.working_on(runs[0]):
            pass


@pytest.mark.posix
@pytest.mark.fault("killed run")
def test_kills_at_random_moments_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    found = killed_evaluation(tmp_path, 20, seed=0)
    assert (found.kills, found.losing, found.doubling, found.differing) == (20, 0, 0, 0)
