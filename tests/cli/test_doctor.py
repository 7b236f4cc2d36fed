import json
import subprocess
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from et_agent.cli import doctor
from et_agent.cli.loading import GpuSettings
from et_agent.cli.self_test import Check, self_test
from et_agent.engines.scripted import ScriptedModel
from et_agent.weights.catalog import LocatedModel
from tests.cli.conftest import TEXTS, Run
from tests.weights.gguf_builder import write_gguf


def even(path: "list[int] | tuple[int, ...] | object") -> NDArray[np.float32]:
    size = len(path)  # type: ignore[arg-type]
    return np.full(size, 1 / size, dtype=np.float32)


def statuses(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.status for check in checks}


def test_a_model_that_works() -> None:
    model = ScriptedModel.from_texts(TEXTS, attention=even)
    checks = self_test(lambda: closing(model))
    assert statuses(checks) == {"load": "ok", "tree": "ok", "attention": "ok", "forks": "ok"}


def test_a_model_without_attention() -> None:
    model = ScriptedModel.from_texts(TEXTS)
    assert statuses(self_test(lambda: closing(model)))["attention"] == "warn"


def test_attention_that_does_not_sum_to_one() -> None:
    model = ScriptedModel.from_texts(TEXTS, attention=lambda path: even(path) * np.float32(0.9))
    assert statuses(self_test(lambda: closing(model)))["attention"] == "fail"


def test_branches_that_are_not_isolated() -> None:
    calls = 0
    rng = np.random.default_rng(0)

    def script(_prompt: str, _tokens: object) -> NDArray[np.float32]:
        nonlocal calls
        calls += 1
        return rng.normal(size=258).astype(np.float32)

    model = ScriptedModel(script)
    assert statuses(self_test(lambda: closing(model)))["forks"] == "fail"
    assert calls


def test_nothing_is_downloaded(run: Run) -> None:
    shown = run("doctor", "--json")
    found = json.loads(shown.out)
    by_name = {check["name"]: check for check in found["checks"]}
    assert shown.code == 0
    assert found["ok"]
    assert by_name["default model"]["status"] == "warn"
    assert "models pull" in by_name["default model"]["fix"]
    assert "load" not in by_name


def test_a_model_that_cannot_serve(run: Run, tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", {"general.architecture": "mamba"})
    shown = run("doctor", "--model", str(file))
    assert shown.code == 1
    assert "recurrent" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


def test_a_model_that_is_missing(run: Run) -> None:
    shown = run("doctor", "--model", "smollm2-135m")
    assert shown.code == 1
    assert "fail" in shown.out


@pytest.mark.parametrize(
    ("code", "said", "detail"),
    [(-11, b"", "SIGSEGV"), (1, b"Traceback\nOSError: no", "OSError: no"), (3, b"", "exit code 3")],
)
def test_a_crash_is_a_failed_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, said: bytes, detail: str
) -> None:
    def crashed(command: list[str], **_: object) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.CompletedProcess(command, code, b"", said)

    monkeypatch.setattr(subprocess, "run", crashed)
    located = LocatedModel(path=tmp_path / "x.gguf", name="x")
    (check,) = doctor.run_self_test(located, None, GpuSettings())
    assert check.status == "fail"
    assert detail in check.detail


@pytest.mark.model
def test_the_small_model(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.undo()
    shown = run("doctor", "--json", "--pull", "--threads", "1", "--model", "smollm2-135m")
    by_name = {check["name"]: check["status"] for check in json.loads(shown.out)["checks"]}
    assert shown.code == 0
    assert by_name["attention"] == "ok"
    assert by_name["forks"] == "ok"
