"""Stored runs and what they certify."""

from pathlib import Path

import pytest

from et_agent import EntropyTree, ScriptedModel
from et_agent.answers import AnswerKind
from et_agent.evaluation.items import Item
from et_agent.evaluation.planning import begin_run
from et_agent.evaluation.running import evaluate
from et_agent.evaluation.store import RunStore

from .support import Served


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "runs.sqlite"
    monkeypatch.setenv("ET_AGENT_RUNS", str(path))
    return path


def run(path: Path, questions: int, gold: str) -> None:
    items = [
        Item(id=f"q/{at}", question=f"{at}?", kind=AnswerKind.NUMBER, golds=(gold,))
        for at in range(questions)
    ]
    with ScriptedModel.from_texts({"\\boxed{4}": 1.0}) as model, RunStore(path) as runs:
        evaluate(model, items, {"tree": EntropyTree(leaves=16)}, runs, data="made/up")
        begin_run(runs, model, EntropyTree(leaves=2), "begun", data="made/up")


def test_thresholds_of_a_run_without_errors(store: Path, server: Served) -> None:
    run(store, 60, "4")
    listed = server.client.get("/v1/runs").json()["runs"]
    assert [one["questions"] for one in listed] == [0, 60]
    found = server.client.get(f"/v1/runs/{listed[1]['name']}/risk").json()
    assert found["accuracy"] == 1
    assert found["coverage"][-1] == 1
    assert set(found["risk"]) == {0}
    first, last = found["targets"][0], found["targets"][-1]
    assert (first["target_error"], first["threshold"]) == (0, None)
    assert "no errors at all" in first["basis"]
    assert (last["coverage"], last["errors"], last["answered"]) == (1, 0, 60)
    assert sum(one["coverage"] == 1 for one in found["targets"]) == 1


def test_no_threshold_where_all_is_wrong(store: Path, server: Served) -> None:
    run(store, 20, "5")
    name = server.client.get("/v1/runs").json()["runs"][1]["name"]
    found = server.client.get(f"/v1/runs/{name}/risk").json()
    assert found["risk"][-1] == 1
    assert {one["threshold"] for one in found["targets"]} == {None}
    assert len(found["targets"]) == 51


@pytest.mark.parametrize("name", ["nothing", "made-up-scripted-begun"])
def test_a_run_that_has_no_labels_is_told(store: Path, server: Served, name: str) -> None:
    run(store, 4, "4")
    response = server.client.get(f"/v1/runs/{name}/risk")
    assert response.status_code == 404
    assert "with a finished question" in response.json()["error"]["message"]


def test_without_a_store_there_are_no_runs(store: Path, server: Served) -> None:
    assert server.client.get("/v1/runs").json() == {"runs": [], "store": str(store)}
    assert server.client.get("/v1/runs/x/risk").status_code == 404
    assert not store.exists()
    store.write_text("no database")
    assert server.client.get("/v1/runs").status_code == 500
