import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from et_agent.engines.llama_cpp.devices import Placement
from et_agent.engines.llama_cpp.trial import may_repack
from et_agent.errors import ModelFileError

pytestmark = pytest.mark.model


def test_the_trial_keeps_its_verdict(
    small_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))
    first = may_repack(small_model_path, "f" * 64)
    monkeypatch.setattr("et_agent.engines.llama_cpp.trial._survives", pytest.fail)
    assert may_repack(small_model_path, "f" * 64) is first


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000])
def test_verdicts_that_cannot_be_read_are_none(
    small_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))
    (tmp_path / "trials.json").write_text(text)
    monkeypatch.setattr("et_agent.engines.llama_cpp.trial._survives", lambda *_, repack: repack)
    assert may_repack(small_model_path, "f" * 64)


@pytest.mark.fault("child killed or out of memory")
@pytest.mark.posix
def test_a_trial_that_was_killed_says_nothing_about_the_file(
    small_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))

    def killed(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(returncode=-signal.SIGKILL)

    monkeypatch.setattr("et_agent.engines.llama_cpp.trial.subprocess.run", killed)
    assert may_repack(small_model_path, "f" * 64)
    assert not (tmp_path / "trials.json").exists()


@pytest.mark.fault("child killed or out of memory")
def test_a_file_on_which_llama_cpp_crashes(
    tmp_path: Path, small_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))
    tried: list[bool] = []

    def crash(_path: Path, _placement: Placement, *, repack: bool) -> bool:
        tried.append(repack)
        return False

    monkeypatch.setattr("et_agent.engines.llama_cpp.trial._survives", crash)
    with pytest.raises(ModelFileError, match="crashes"):
        may_repack(small_model_path, "0" * 64)
    assert tried == [True, False]
