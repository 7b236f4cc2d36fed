"""Answers of one meaning by a natural-language-inference model of your own, in ONNX.

    pip install onnxruntime tokenizers
    python examples/nli_equivalence.py FOLDER "Who painted the Mona Lisa?"

FOLDER holds `model.onnx` and `tokenizer.json` of a cross-encoder for natural-language inference,
such as an export of `cross-encoder/nli-deberta-v3-small`, and its `config.json`, whose `id2label`
names the logits. Two answers say the same if, behind the question, each entails the other.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from et_agent import ask, load_model


class OnnxEquivalence:
    """Judges by entailment in both directions.

    Args:
        folder: Model, tokenizer and configuration.

    Raises:
        ValueError: No logit of the model is that of entailment.
    """

    def __init__(self, folder: Path) -> None:
        from onnxruntime import InferenceSession
        from tokenizers import Tokenizer

        labels = json.loads((folder / "config.json").read_text(encoding="utf-8"))["id2label"]
        entailed = [int(at) for at, name in labels.items() if name.lower() == "entailment"]
        if not entailed:
            raise ValueError(f"{folder} has no label named entailment: {labels}")
        self._entailed = entailed[0]
        self.name = f"nli {folder.name}"
        self._session = InferenceSession(str(folder / "model.onnx"))
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_padding()
        self._tokenizer.enable_truncation(512)

    def same(self, question: str, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        """See `et_agent.answers.joining.Equivalence`."""
        texts = [
            (f"{question} {one}", f"{question} {other}")
            for pair in pairs
            for one, other in (pair, pair[::-1])
        ]
        encoded = self._tokenizer.encode_batch(texts)
        arrays = {
            "input_ids": np.array([one.ids for one in encoded], dtype=np.int64),
            "attention_mask": np.array([one.attention_mask for one in encoded], dtype=np.int64),
            "token_type_ids": np.array([one.type_ids for one in encoded], dtype=np.int64),
        }
        given = {name: arrays[name] for name in self._inputs}
        (logits,) = self._session.run(None, given)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        entailed = (odds / odds.sum(axis=1, keepdims=True))[:, self._entailed]
        return [float(one) for one in entailed.reshape(-1, 2).min(axis=1)]


def main() -> None:
    """Ask one question, and print what the judge leaves of its answers."""
    folder, question = Path(sys.argv[1]), sys.argv[2]
    with load_model() as model:
        result = ask(model, question, same=OnnxEquivalence(folder))
    for share in result.distribution:
        print(f"{share.share:4.0%}  {share.answer}")


if __name__ == "__main__":
    main()
