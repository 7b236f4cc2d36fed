"""The example of a judge: which logits are read, without a model."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from et_agent import ScriptedModel, ask
from et_agent.answers.joining import Equivalence
from examples.nli_equivalence import OnnxEquivalence


class Tokenizer:
    """One token per text: its length."""

    @classmethod
    def from_file(cls, path: str) -> "Tokenizer":
        assert path.endswith("tokenizer.json")
        return cls()

    def enable_padding(self) -> None: ...

    def enable_truncation(self, length: int) -> None: ...

    def encode_batch(self, texts: Sequence[tuple[str, str]]) -> list[Any]:
        return [
            SimpleNamespace(ids=[len(one), len(other)], attention_mask=[1, 1], type_ids=[0, 1])
            for one, other in texts
        ]


class Session:
    """Entails where the first text is at least as long as the second."""

    def __init__(self, path: str) -> None:
        assert path.endswith("model.onnx")

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in ("input_ids", "attention_mask")]

    def run(self, names: None, given: dict[str, Any]) -> list[Any]:
        assert set(given) == {"input_ids", "attention_mask"}
        first, second = given["input_ids"].T
        return [np.where((first >= second)[:, None], [[0.0, 3.0]], [[3.0, 0.0]])]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, made in (("onnxruntime", Session), ("tokenizers", Tokenizer)):
        module = ModuleType(name)
        setattr(module, "InferenceSession" if made is Session else "Tokenizer", made)
        monkeypatch.setitem(sys.modules, name, module)
    labels = {"id2label": {"0": "contradiction", "1": "ENTAILMENT"}}
    (tmp_path / "config.json").write_text(json.dumps(labels))
    return tmp_path


def test_both_directions_have_to_hold(folder: Path) -> None:
    judge = OnnxEquivalence(folder)
    assert isinstance(judge, Equivalence)
    even, odd = judge.same("Why?", [("weak steel", "soft steel"), ("weak", "soft steel")])
    assert even == pytest.approx(1 / (1 + np.exp(-3)))
    assert odd == pytest.approx(1 / (1 + np.exp(3)))


def test_a_model_without_entailment_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text('{"id2label": {"0": "positive"}}')
    with pytest.raises(ValueError, match="no label named entailment"):
        OnnxEquivalence(folder)


def test_it_judges_answers(folder: Path) -> None:
    texts = {"\\boxed{steel was weak}": 0.5, "\\boxed{steel was soft}": 0.5}
    with ScriptedModel.from_texts(texts) as model:
        result = ask(model, "Why did it fall?", kind="text", same=OnnxEquivalence(folder))
    assert result.same == f"nli {folder.name}"
    assert len(result.distribution) == 1
