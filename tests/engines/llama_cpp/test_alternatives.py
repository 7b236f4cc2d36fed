"""The most likely tokens beside each token, on a real model."""

import math
from typing import TYPE_CHECKING

import pytest

from et_agent.asking import ask
from et_agent.decoding import EntropyTree

if TYPE_CHECKING:
    from et_agent.engines.llama_cpp.model import LlamaCppModel

pytestmark = pytest.mark.model


def test_alternatives_are_those_of_the_model(small_model: "LlamaCppModel") -> None:
    decoder = EntropyTree(leaves=3, max_tokens=12)
    question = "Write «été» in English."
    asked = ask(small_model, question, decoder=decoder, alternatives=4, calibrator=None)
    plain = ask(small_model, question, decoder=decoder, calibrator=None)
    assert asked.tree is not None
    assert plain.tree is not None
    assert [leaf.text for leaf in asked.tree.leaves] == [leaf.text for leaf in plain.tree.leaves]
    for node in asked.tree.nodes:
        assert node.pieces is not None
        assert node.alternatives is not None
        assert "".join(node.pieces) == node.text
        for log_prob, choices in zip(node.log_probs, node.alternatives, strict=True):
            assert len(choices) == 4
            # What came is among them, or less likely than all of them.
            chances = [one.probability for one in choices]
            assert log_prob is not None
            came = math.exp(log_prob)
            assert came < chances[-1] + 1e-6 or any(abs(came - one) < 1e-6 for one in chances)
