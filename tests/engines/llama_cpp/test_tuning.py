from pathlib import Path

import pytest

from et_agent.engines.base import DEFAULT_WIDTH
from et_agent.engines.llama_cpp import tuning
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.llama_cpp.tuning import Rate, Tuning, find_tuning, keep_tuning, tune
from et_agent.errors import StoreError
from et_agent.kernels.threads import cores


def test_the_narrowest_batch_near_the_best_rate() -> None:
    rates = [Rate(1, 8, 90.0), Rate(2, 16, 148.0), Rate(1, 16, 149.0), Rate(2, 32, 150.0)]
    assert Tuning.of(rates) == Tuning(threads=1, width=16)


def test_what_is_kept_belongs_to_model_and_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))
    default = Tuning(cores(), DEFAULT_WIDTH)
    assert find_tuning("model", "library") == default
    keep_tuning("model", "library", Tuning(1, 24))
    keep_tuning("other", "library", Tuning(1, 8))
    assert find_tuning("model", "library") == Tuning(1, 24)
    assert find_tuning("model", "another library") == default
    keep_tuning("model", "library", Tuning(cores() + 1, 24))  # of a machine with more cores
    assert find_tuning("model", "library") == default


@pytest.mark.fault("flipped bytes")
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a": 1}', "[" * 100_000])
def test_a_damaged_file_is_as_good_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))
    (tmp_path / "tuning.json").write_text(text, "utf-8")
    assert find_tuning("model", "library").width == DEFAULT_WIDTH
    keep_tuning("model", "library", Tuning(1, 24))
    assert find_tuning("model", "library") == Tuning(1, 24)


@pytest.mark.fault("flipped bytes")
@pytest.mark.parametrize("threads", ["1", 1.5, True, None, [1], float("nan")])
def test_kept_values_of_another_type_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: object
) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))
    monkeypatch.setattr(tuning, "cores", lambda: 8)
    keep_tuning("model", "library", Tuning(threads, 24))  # type: ignore[arg-type]
    assert find_tuning("model", "library") == Tuning(8, DEFAULT_WIDTH)


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="cannot be written"):
        keep_tuning("model", "library", Tuning(1, 24))


@pytest.mark.model
def test_rates_of_the_small_model(small_model_path: Path) -> None:
    with LlamaCppModel(small_model_path, attention=False) as model:
        heard: list[Rate] = []
        rates = tune(model, widths=(1, 3), on_rate=heard.append)
        assert rates == heard
        assert {rate.width for rate in rates} == {1, 3}
        assert all(rate.tokens_per_second > 0 for rate in rates)
        free = model.free_positions
        assert model.submit(lambda: model.configure(8)).result().sequences > 1
        assert model.free_positions == free
