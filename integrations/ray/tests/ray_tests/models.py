"""Models that the nodes of test clusters open, by functions that Ray can name."""

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from et_agent.engines.scripted import ScriptedModel
from et_agent.errors import UnsupportedModelError
from tests.evaluation.conftest import half_knowing_model, half_known

__all__ = ["deadly_model", "half_knowing_model", "refused_model", "slow_model", "varying_model"]


def slow_model() -> ScriptedModel:
    """Takes a while for each question."""

    def slowly(prompt: str) -> Mapping[str, float]:
        time.sleep(0.05)
        return half_known(prompt)

    return ScriptedModel.from_texts(slowly)


def deadly_model() -> ScriptedModel:
    """Ends its process over the question "What is 5 + 15?"."""

    def texts(prompt: str) -> Mapping[str, float]:
        if "What is 5 + 15?" in prompt:
            os._exit(1)
        return half_known(prompt)

    return ScriptedModel.from_texts(texts)


def refused_model() -> ScriptedModel:
    raise UnsupportedModelError("it has no next token")


class _Marked(ScriptedModel):
    def __init__(self, fingerprint: str) -> None:
        def script(_prompt: str, _tokens: Sequence[int]) -> NDArray[np.float32]:
            return np.zeros(258, np.float32)

        super().__init__(script)
        self._info = dataclasses.replace(self._info, fingerprint=fingerprint)


def varying_model() -> ScriptedModel:
    """Another model on every node."""
    import ray

    return _Marked(ray.get_runtime_context().get_node_id())
