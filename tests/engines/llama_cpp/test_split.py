"""Models in several files, and with the vocabularies of real ones."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from et_agent import ask
from et_agent.decoding import EntropyTree
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.loading import load_model
from et_agent.errors import ModelFileError
from tests.engines.stepping import Logits, batch, prompt_rows
from tests.llama_cpp_source import SKIPPED, vocabularies
from tests.tiny_models import tiny_model

VOCABULARIES = vocabularies()
pytestmark = pytest.mark.model


def logits(model: LlamaCppModel) -> Logits:
    rows = batch(prompt_rows(list(range(20)), 0))
    found: Logits = model.submit(partial(model.decode, rows)).result().logits.copy()
    return found


def test_a_split_model_decodes_as_the_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    first = tiny_model(tmp_path, "qwen3", parts=3)
    with load_model(str(tiny_model(tmp_path, "qwen3"))) as whole, load_model(str(first)) as split:
        np.testing.assert_array_equal(logits(split), logits(whole))
        assert split.info.parameters == whole.info.parameters
        assert split.info.fingerprint != whole.info.fingerprint
        before = split.info.fingerprint
    last = first.with_name(first.name.replace("00001-of", "00003-of"))
    data = bytearray(last.read_bytes())
    data[-1] ^= 1
    last.write_bytes(data)
    with load_model(str(first)) as changed:
        assert changed.info.fingerprint != before
    last.unlink()
    with pytest.raises(ModelFileError, match=f"missing: {last.name}"):
        load_model(str(first))


@pytest.mark.skipif(not VOCABULARIES, reason=SKIPPED)
@pytest.mark.parametrize(
    "name",
    [
        "qwen2",
        "llama-spm",
        "phi-3",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("llama-bpe", "gemma-4")),
    ],
)
def test_a_tiny_model_has_a_real_vocabulary(tmp_path: Path, name: str) -> None:
    path = tiny_model(tmp_path, "llama", vocabulary=VOCABULARIES[name])
    with LlamaCppModel(path, context=512, max_sequences=8, repack=False) as model:
        assert model.info.vocabulary > 30_000
        tokens = model.tokenize("Hello, wörld! 12 + 7")
        text = b"".join(map(model.token_bytes, tokens)).decode()
        assert text.strip() == "Hello, wörld! 12 + 7"
        result = ask(
            model, "1 + 1?", decoder=EntropyTree(leaves=3, max_tokens=8), chat="plain", kind="text"
        )
        assert 1 <= result.usage.leaves <= 3
