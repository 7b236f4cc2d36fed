"""The engine against numbers of another implementation, transformers, from the same model file.

`python -m benchmarks.crosscheck` compares far more, and wrote these (reference.json).
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.crosscheck.engine import decode, log_softmax
from et_agent.engines.llama_cpp.model import LlamaCppModel

pytestmark = pytest.mark.model

REFERENCE: dict[str, Any] = json.loads(
    Path(__file__).with_name("reference.json").read_text("utf-8")
)
LOG_P, TOP = 0.5, 0.1
"""Nats that a likely token may be apart, and probability: activations are rounded to 8 bits."""


@pytest.mark.parametrize("text", REFERENCE["texts"], ids=lambda one: one["name"])
def test_log_probabilities_are_those_of_transformers(
    small_model: LlamaCppModel, small_model_path: Path, text: dict[str, Any]
) -> None:
    with small_model_path.open("rb") as file:
        fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
    if fingerprint != REFERENCE["fingerprint"]:
        pytest.skip("the small model is another file")
    wanted = {row["position"] for row in text["rows"]}
    rows = [(token, at, 0, at in wanted) for at, token in enumerate(text["tokens"])]

    def work() -> dict[tuple[int, int], Any]:
        small_model.configure(len(rows))
        found, _ = decode(small_model, rows)
        small_model.release(0)
        return found

    found = small_model.submit(work).result()
    for row in text["rows"]:
        mine, other = found[0, row["position"]][row["tokens"]], np.array(row["log_probs"])
        likely = other > np.log(0.01)
        np.testing.assert_allclose(mine[likely], other[likely], atol=LOG_P)
        np.testing.assert_allclose(np.exp(mine), np.exp(other), atol=TOP)
        if np.exp(other[0]) - np.exp(other[1]) > TOP:
            assert mine.argmax() == 0


def test_the_comparison_sees_another_softmax() -> None:
    logits = np.array([[1.0, 2.0, 3.0]], dtype=np.float32)
    np.testing.assert_allclose(np.exp(log_softmax(logits)).sum(), 1, rtol=1e-6)
    assert not np.allclose(log_softmax(logits * 1.5), log_softmax(logits), atol=LOG_P / 10)
