"""Evaluations and questions on a cluster: the same results as here, each once, whatever is lost."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

import ray
from et_agent_ray import Hosting, RayEngine

from et_agent import ask
from et_agent.asking.options import AskOptions
from et_agent.decoding import EntropyTree, MultiChain
from et_agent.decoding.base import DecoderSettings
from et_agent.errors import ClusterError, SettingsError
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.running import EvaluationProgress, evaluate, evaluate_on
from et_agent.evaluation.store import RunStore
from ray_tests.conftest import Machines
from ray_tests.models import (
    deadly_model,
    half_knowing_model,
    refused_model,
    slow_model,
    varying_model,
)
from tests.evaluation.conftest import sums

DECODERS: Mapping[str, DecoderSettings] = {
    "tree": EntropyTree(leaves=8, roots=3, tau=0.1),
    "chains": MultiChain(leaves=8),
}


def plain(records: list[QuestionRecord]) -> list[dict[str, Any]]:
    """All that a seed decides; seconds are not among it."""
    return [{k: v for k, v in one.as_json().items() if k != "seconds"} for one in records]


def here(count: int, folder: Path) -> list[list[dict[str, Any]]]:
    """What this process makes of the same questions."""
    with half_knowing_model() as model, RunStore(folder / "here.sqlite") as store:
        runs, _ = evaluate(model, sums(count), DECODERS, store, data="sums")
        return [plain(store.records(run)) for run in runs]


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    last = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < last
        time.sleep(0.2)


def nothing_runs() -> bool:
    """Whether all CPUs of the cluster are free."""
    return bool(ray.available_resources().get("CPU") == ray.cluster_resources().get("CPU"))


def test_a_node_is_killed_and_nothing_is_lost_or_doubled(
    machines: Machines, tmp_path: Path
) -> None:
    machines.have(2)
    told: list[int] = []

    def note(progress: EvaluationProgress) -> None:
        told.append(progress.done)
        if len(told) == 31:
            machines.kill()

    with RunStore(tmp_path / "ray.sqlite") as store:
        with RayEngine(Hosting(model=slow_model, batch=4)) as engine:
            runs, skipped = evaluate_on(
                engine, sums(50), DECODERS, store, data="sums", on_progress=note
            )
        assert not skipped
        assert told == list(range(101))
        assert [plain(store.records(run)) for run in runs] == here(50, tmp_path)
        for run in runs:
            assert store.texts(run, "sums/7")
            assert store.traces(run, "sums/7")["length"].sum() > 0
    wait_until(nothing_runs)


def test_without_a_node_a_run_ends_and_goes_on_later(machines: Machines, tmp_path: Path) -> None:
    machines.have(1)

    def kill(progress: EvaluationProgress) -> None:
        if progress.done >= 10 and machines.alive():
            machines.kill()

    hosting = Hosting(model=slow_model, batch=2)
    with RunStore(tmp_path / "ray.sqlite") as store:
        with RayEngine(hosting) as engine, pytest.raises(ClusterError, match="no node"):
            evaluate_on(engine, sums(40), DECODERS, store, data="sums", on_progress=kill)
        kept = sum(run.questions for run in store.runs())
        assert 10 <= kept < 80
        machines.have(1)
        told: list[int] = []
        with RayEngine(hosting) as engine:
            runs, _ = evaluate_on(
                engine,
                sums(40),
                DECODERS,
                store,
                data="sums",
                on_progress=lambda progress: told.append(progress.done),
            )
        assert told == list(range(kept, 81))
        assert [plain(store.records(run)) for run in runs] == here(40, tmp_path)


def test_a_question_that_ends_its_process_is_left_out_alone(
    machines: Machines, tmp_path: Path
) -> None:
    machines.have(1)
    decoders = {"chains": MultiChain(leaves=2)}
    with RunStore(tmp_path / "ray.sqlite") as store:
        with RayEngine(Hosting(model=deadly_model, batch=4)) as engine:
            runs, skipped = evaluate_on(engine, sums(12), decoders, store, data="sums")
        (one,) = skipped
        assert one.item == "sums/5"
        assert "died" in one.reason
        assert store.finished(runs[0]) == {item.id for item in sums(12)} - {"sums/5"}


@pytest.mark.parametrize(
    ("hosting", "reason"),
    [
        (Hosting(model="./nowhere.gguf"), "No such file: nowhere.gguf"),
        (Hosting(model=refused_model), "it has no next token"),
        (Hosting(model=half_knowing_model, cpus=64), "it has 1 CPUs"),
    ],
)
def test_without_a_node_that_can_nothing_begins(
    machines: Machines, tmp_path: Path, hosting: Hosting, reason: str
) -> None:
    machines.have(1)
    with RunStore(tmp_path / "ray.sqlite") as store:
        with pytest.raises(ClusterError, match=reason), RayEngine(hosting) as engine:
            evaluate_on(engine, sums(4), DECODERS, store, data="sums")
        assert store.runs() == []
    wait_until(nothing_runs)


def test_two_models_of_one_name_are_not_mixed(machines: Machines) -> None:
    machines.have(2)
    options = AskOptions(decoder=MultiChain(leaves=1, max_tokens=2))

    def ask_on() -> None:
        for _ in range(1000):
            list(engine.answered(["What is 1 + 3?"], options))

    with (
        RayEngine(Hosting(model=varying_model)) as engine,
        pytest.raises(ClusterError, match="different models"),
    ):
        ask_on()


def test_questions_are_answered_in_their_order(machines: Machines) -> None:
    machines.have(2)
    texts = [item.question for item in sums(30)]
    options = AskOptions(decoder=MultiChain(leaves=4), kind="number", seed=3)
    with RayEngine(Hosting(model=half_knowing_model, batch=4)) as engine:
        found = list(engine.answered([*texts, " "], options))
    assert "empty" in str(found.pop().error)
    with half_knowing_model() as model:
        wanted = ask(model, texts, options)
    for one, result in zip(found, wanted, strict=True):
        got = one.unpacked()
        assert got is not None
        ours, theirs = (r.model_dump(exclude={"usage", "notes", "tree"}) for r in (got, result))
        assert ours == theirs


def test_settings_are_checked() -> None:
    with pytest.raises(SettingsError, match="batch is 0"):
        Hosting(model="x", batch=0)
    with pytest.raises(SettingsError, match="cpus is 0"):
        Hosting(model="x", cpus=0)
