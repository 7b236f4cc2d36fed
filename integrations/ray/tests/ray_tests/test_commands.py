"""`--engine ray` on the command line: the output of `--engine local`, and nothing of Ray's in it."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from et_agent_ray import Hosting

from et_agent.cli import cluster, loading
from et_agent.cli.main import main
from et_agent.evaluation.store import RunStore
from ray_tests.conftest import Machines
from ray_tests.models import half_knowing_model

SETTINGS = ["--leaves", "4", "--model", "smollm2-135m"]


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scripted model in the place of every model, here and on the nodes."""

    def hosting_of(*_: object, **__: object) -> Hosting:
        return Hosting(model=half_knowing_model, batch=2)

    monkeypatch.setattr(cluster, "hosting_of", hosting_of)
    monkeypatch.setattr(loading, "open_model", lambda *_, **__: half_knowing_model())


def lines(text: str) -> list[dict[str, Any]]:
    """Results without what they cost, which depends on what was decoded beside them."""
    found = [json.loads(line) for line in text.splitlines()]
    return [{k: v for k, v in one.items() if k not in ("usage", "notes")} for one in found]


def test_ask_prints_what_it_prints_here(
    machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machines.have(2)
    file = tmp_path / "big.jsonl"
    rows = [{"question": f"What is {n} + {3 * n}?"} for n in range(12)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    asked = ["ask", "--questions", str(file), "--json", *SETTINGS]
    capsys.readouterr()  # what Ray says while nodes start
    assert main([*asked, "--engine", "ray"]) == 0
    there = lines(capsys.readouterr().out)
    assert main(asked) == 0
    assert there == lines(capsys.readouterr().out)
    assert [one["question"] for one in there] == [row["question"] for row in rows]


def test_eval_run_keeps_the_questions(
    machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machines.have(2)
    data, store = tmp_path / "sums.jsonl", tmp_path / "runs.sqlite"
    rows = [{"question": f"What is {n} + {3 * n}?", "answer": str(4 * n)} for n in range(9)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    call = ["eval", "run", "--data", str(data), *SETTINGS, "--store", str(store)]
    assert main([*call, "--engine", "ray"]) == 0
    assert "9 questions" in capsys.readouterr().out
    # Here it is the same run, with nothing left to do.
    assert main(call) == 0
    with RunStore(store) as kept:
        (run,) = kept.runs()
    assert run.questions == 9
