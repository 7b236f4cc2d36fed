import json
from pathlib import Path

import pytest

from et_agent.weights.catalog import CATALOG, DEFAULT_MODEL, LocatedModel
from et_agent.weights.progress import TransferProgress
from tests.cli.conftest import Run
from tests.templates.thinking import CASES
from tests.weights.gguf_builder import gguf_bytes, write_gguf
from tests.weights.local.stores import pulled, put


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


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with models of Ollama, one of them damaged, and of LM Studio."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("OLLAMA_MODELS", "LLAMA_CACHE", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    models = tmp_path / "home" / ".ollama" / "models"
    pulled(models, "registry.ollama.ai/library/tiny/latest")
    put(models / "manifests/registry.ollama.ai/library/bad/latest", "{")
    studio = tmp_path / "home" / ".lmstudio" / "models" / "a" / "b"
    put(studio / "mmproj.gguf", gguf_bytes({"general.architecture": "clip"}))
    return tmp_path / "home"


def test_list_of_other_programs(run: Run, others: Path) -> None:
    shown = run("models", "list", "--local")
    assert shown.code == 0
    offered, _, rest = shown.out.partition("use one:")
    assert "ollama:tiny:latest" in offered
    assert "Q4_K_M" in offered
    assert "mmproj" not in offered
    assert "not offered: lmstudio:a/b/mmproj.gguf: a companion" in rest
    assert "note: Ollama:" in rest
    assert "(bad:latest): is not JSON" in rest


def test_list_of_other_programs_in_json(run: Run, others: Path) -> None:
    found = json.loads(run("models", "list", "--local", "--json").out)
    assert [(one["name"], one["usable"]) for one in found["models"]] == [
        ("ollama:tiny:latest", True),
        ("lmstudio:a/b/mmproj.gguf", False),
    ]
    assert found["models"][0]["size"] > 0
    assert [one["name"] for one in found["problems"]] == ["bad:latest"]
    assert {one["program"] for one in found["folders"]} == {"Ollama", "LM Studio"}


def test_a_machine_without_other_programs(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "none"))
    monkeypatch.delenv("HF_HOME", raising=False)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    shown = run("models", "list", "--local")
    assert shown.code == 0
    assert "No model of another program was found" in shown.out


def test_info_of_a_model_of_another_program(run: Run, others: Path) -> None:
    found = json.loads(run("models", "info", "--json", "ollama:tiny").out)
    assert found["name"] == "ollama:tiny"
    assert run("models", "info", "ollama:bad").code == 2
