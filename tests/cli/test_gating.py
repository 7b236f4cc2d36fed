from pathlib import Path

import pytest

from et_agent import MultiChain, ScriptedModel
from et_agent.gate import DecisionLog, Gate, GatePolicy
from tests.cli.conftest import TEXTS, Install, Run
from tests.cli.test_calibration import data, fitted, store

__all__ = ["data", "fitted", "store"]


@pytest.fixture
def log(tmp_path: Path) -> tuple[str, str]:
    """A log of one answer, and its trace id."""
    path = tmp_path / "decisions.sqlite"
    policy = GatePolicy(answer_at=0.3, uncalibrated="share")
    with ScriptedModel.from_texts(TEXTS) as model, DecisionLog(path) as opened:
        gate = Gate(policy, log=opened)
        decision = gate.ask(model, "How many?", decoder=MultiChain(leaves=8), kind="number")
    return str(path), decision.trace_id


def test_report_and_label(run: Run, log: tuple[str, str]) -> None:
    path, trace = log
    first = run("gate", "report", "--log", path)
    assert first.code == 0, first.err
    assert "1 decisions" in first.out
    assert "error among answered: unknown" in first.out
    assert run("gate", "label", trace, "wrong", "--log", path).code == 0
    assert (
        "error among answered: 100.0% (1 of 1 labelled)" in run("gate", "report", "--log", path).out
    )
    assert run("gate", "label", trace, "perhaps", "--log", path).code == 2
    assert "no decision" in run("gate", "label", "nobody", "right", "--log", path).err
    assert "not there" in run("gate", "report", "--log", path + "x").err


def test_simulation_over_a_stored_run(
    run: Run, install: Install, fitted: str, store: str, tmp_path: Path
) -> None:
    picture = str(tmp_path / "risk.png")
    shown = run(
        *["gate", "simulate", fitted, "--target-error", "0.4", "--answer-at", "0.5"],
        *["--splits", "20", "--out", picture, "--store", store],
    )
    assert shown.code == 0, shown.err
    assert "calibrated confidence" in shown.out
    assert "from 0.50 on: " in shown.out
    assert "error at most 0.4: " in shown.out
    assert Path(picture).read_bytes()[1:4] == b"PNG"
    raw = run("gate", "simulate", fitted, "--calibrator", "none", "--splits", "5", "--store", store)
    assert "share, not calibrated" in raw.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--target-error", "1.5"], "no share between 0 and 1"),
        (["--splits", "0"], "--splits takes"),
        (["--calibrator", "none.json"], "cannot be read"),
    ],
)
def test_simulations_that_cannot_be(
    run: Run, fitted: str, store: str, options: list[str], says: str
) -> None:
    shown = run("gate", "simulate", fitted, *options, "--store", store)
    assert shown.code == 2
    assert says in shown.err
