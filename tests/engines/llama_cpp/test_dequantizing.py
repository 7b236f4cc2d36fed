import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from et_agent.cli.main import main
from et_agent.engines.base import Batch
from et_agent.engines.llama_cpp.dequantizing import dequantized
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.loading import load_model
from et_agent.errors import ModelDownloadError, ModelFileError
from et_agent.weights.gguf import GgufInfo, read_gguf
from et_agent.weights.progress import SilentProgress
from tests.conftest import SMALL_MODEL
from tests.weights.gguf_builder import write_gguf


class Notes(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def _logits(model: LlamaCppModel, text: str) -> np.ndarray:
    tokens = np.array(model.tokenize(text), dtype=np.int32)
    count = tokens.size
    batch = Batch(
        tokens,
        np.arange(count, dtype=np.int32),
        np.zeros(count, dtype=np.int32),
        np.ones(count, dtype=np.bool_),
    )

    def work() -> np.ndarray:
        logits = model.decode(batch).logits.copy()
        model.release(0)
        return logits

    return model.submit(work).result()


@pytest.mark.model
def test_the_same_model_with_other_products(
    small_model: LlamaCppModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_model_copy(tmp_path)
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    text = "The capital of France is Paris and the capital of Italy is"
    with load_model(str(path), context=512, max_sequences=16, dequantize=True) as model:
        assert model.info.fingerprint == small_model.info.fingerprint
        found, quantized = _logits(model, text), _logits(small_model, text)
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(quantized, axis=1)
    # On a CPU with AMX 0.981 was seen, elsewhere more than 0.99.
    assert ((found * quantized).sum(axis=1) / norms).min() > 0.97
    assert not np.array_equal(found, quantized)
    copies = list((tmp_path / "cache" / "unpacked").iterdir())
    assert [copy.name for copy in copies] == [f"{model.info.fingerprint}.gguf"]
    assert copies[0].stat().st_size > 2.5 * path.stat().st_size
    notes = Notes()
    info = read_gguf(path)
    assert dequantized(info, model.info.fingerprint, notes) == copies[0]
    assert not notes.notes
    size = copies[0].stat().st_size
    os.truncate(copies[0], size // 2)  # a crash cut it short
    assert dequantized(info, model.info.fingerprint, notes) == copies[0]
    assert copies[0].stat().st_size == size
    assert len(notes.notes) == 1
    # What is not quantized is taken as it is.
    again = dequantized(read_gguf(copies[0]), "e" * 64, notes)
    assert again == copies[0]
    assert notes.notes[-1].endswith("has F16 weights: nothing to dequantize.")


def small_model_copy(folder: Path) -> Path:
    from et_agent.weights.catalog import locate

    target = folder / "small.gguf"
    target.symlink_to(locate(SMALL_MODEL).path)
    return target


@pytest.mark.model
def test_a_damaged_file_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    path = write_gguf(tmp_path / "empty.gguf", {"general.architecture": "llama"})
    notes = Notes()
    with pytest.raises(ModelFileError, match=r"it said: .+ load it quantized"):
        dequantized(read_gguf(path), "f" * 64, notes)
    assert notes.notes == ["Dequantizing the weights of empty.gguf to float16, once."]
    assert not list((tmp_path / "cache" / "unpacked").iterdir())


def described(folder: Path) -> GgufInfo:
    """A quantized file of 1,000 weights."""
    info = read_gguf(write_gguf(folder / "model.gguf", {"general.architecture": "llama"}))
    return info.model_copy(update={"n_params": 1000, "quantisation": "Q4_K_M"})


@pytest.mark.fault("disk full")
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    info = described(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(ModelDownloadError, match="2,000 bytes are needed"):
        dequantized(info, "f" * 64)


@pytest.mark.fault("child killed or out of memory")
@pytest.mark.posix
def test_a_child_that_was_killed_is_no_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    killed = subprocess.CompletedProcess([], -signal.SIGKILL, b"", b"")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: killed)
    with pytest.raises(ModelFileError, match="stopped from outside"):
        dequantized(described(tmp_path), "f" * 64)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What a model was to be loaded with; the loading fails."""
    found: dict[str, object] = {}

    def load(spec: str, **options: object) -> object:
        found.update(options, spec=spec)
        raise ModelFileError("enough")

    monkeypatch.setattr("et_agent.engines.loading.load_model", load)
    return found


def test_the_command_line_passes_it_on(asked: dict[str, object]) -> None:
    assert main(["ask", "--dequantize", "--model", "x.gguf", "How many?"]) == 2
    assert asked["dequantize"] is True


@pytest.mark.parametrize("command", [["ask"], ["gate", "ask"]])
def test_the_old_option_says_what_it_is_called_now(
    command: list[str], asked: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--unpack", "--model", "x.gguf", "How many?"]) == 2
    assert "--unpack is deprecated: use --dequantize" in capsys.readouterr().err
    assert asked["dequantize"] is True


def test_load_models_old_argument_says_what_it_is_called_now() -> None:
    with (
        pytest.warns(DeprecationWarning, match="will be removed: use dequantize"),
        pytest.raises(ModelFileError),
    ):
        load_model("/nowhere/x.gguf", unpack=True)
