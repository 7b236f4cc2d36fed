import json
from pathlib import Path

import pytest

from et_agent.weights.catalog import CATALOG, DEFAULT_MODEL, LocatedModel
from et_agent.weights.progress import TransferProgress
from tests.cli.conftest import Run
from tests.templates.thinking import CASES
from tests.weights.gguf_builder import write_gguf


def test_list_names_every_model(run: Run) -> None:
    shown = run("models", "list")
    assert shown.code == 0
    for name in CATALOG:
        assert name in shown.out
    assert "default" in shown.out


def test_list_in_json(run: Run) -> None:
    listed = json.loads(run("models", "list", "--json").out)
    assert [one["name"] for one in listed] == list(CATALOG)
    assert [one["name"] for one in listed if one["default"]] == [DEFAULT_MODEL]
    assert not any(one["cached"] for one in listed)


def test_path_of_a_model_that_is_not_cached(run: Run) -> None:
    shown = run("models", "path", "smollm2-135m")
    assert shown.code == 2
    assert shown.out == ""
    assert "models pull smollm2-135m" in shown.err


def test_path_prints_only_the_path(run: Run, tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    assert run("models", "path", str(file)).out == f"{file}\n"


def test_pull_prints_the_path(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(spec: str, *, progress: TransferProgress) -> LocatedModel:
        progress.start(1000, "fetching\x1b")
        progress.advance(600)
        progress.note("one source was skipped")
        progress.finish()
        return LocatedModel(path=tmp_path / "x.gguf", name=spec)

    monkeypatch.setattr("et_agent.weights.catalog.locate", fetched)
    shown = run("models", "pull", "smollm2-135m")
    assert shown.out == f"{tmp_path / 'x.gguf'}\n"
    assert "fetching\\x1b" in shown.err
    assert "skipped" in shown.err


def test_info(run: Run, tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    shown = run("models", "info", str(file))
    assert shown.code == 0
    for part in ("llama", "Q4_K_M", "forks", "attention", "chat", "pilot"):
        assert part in shown.out


@pytest.mark.parametrize(
    ("metadata", "feature", "reason"),
    [
        ({"general.architecture": "bert"}, "forks", "embedding"),
        ({"general.architecture": "mamba"}, "forks", "recurrent"),
        ({"general.architecture": "mamba"}, "attention", "recurrent"),
    ],
)
def test_info_says_why_not(
    run: Run, tmp_path: Path, metadata: dict[str, str], feature: str, reason: str
) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", dict(metadata))
    features = json.loads(run("models", "info", "--json", str(file)).out)["features"]
    assert not features[feature]["possible"]
    assert reason in features[feature]["reason"]


def test_info_in_json(run: Run, tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    found = json.loads(run("models", "info", "--json", str(file)).out)
    assert found["architecture"] == "llama"
    assert found["chat_template"] is True
    assert found["features"]["forks"]["possible"]
    assert not found["features"]["pilot"]["possible"]


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("think, opened by the model", "thinks between <think> and </think>, with --thinking on"),
        ("think, without a switch", "thinks between <think> and </think>, with no switch for it"),
    ],
)
def test_info_tells_how_a_model_thinks(run: Run, tmp_path: Path, case: str, says: str) -> None:
    metadata = {"tokenizer.chat_template": CASES[case].source}
    file = write_gguf(tmp_path / "tiny.gguf", dict(metadata))
    found = json.loads(run("models", "info", "--json", str(file)).out)
    assert says in found["features"]["chat"]["reason"]


@pytest.mark.parametrize(
    "spec", ["no-such-model", "./missing.gguf", "hf:nothing", "a\0.gguf", "\udcff.gguf"]
)
def test_models_that_are_not_there(run: Run, spec: str) -> None:
    shown = run("models", "info", spec)
    assert shown.code == 2
    assert shown.err.startswith("error: ")


def test_a_file_that_is_no_model(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "no.gguf"
    file.write_bytes(b"nothing of the sort")
    assert run("models", "info", str(file)).code == 2
