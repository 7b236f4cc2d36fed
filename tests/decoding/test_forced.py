"""Texts from elsewhere, read token by token."""

import math

import pytest

from et_agent import ScriptedModel
from et_agent.decoding.base import RunInputs
from et_agent.decoding.forced import Forced
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.tree import Finish
from et_agent.errors import QuestionError


def read(model: ScriptedModel, text: str) -> list[float]:
    inputs = RunInputs(prompt_length=3, stop_tokens=model.info.stop_tokens)
    decoder = Forced(tokens=tuple(model.tokenize(text)))
    run = scheduler_of(model).submit(model.plain_tokens("Q?"), decoder, inputs).result()
    (branch,) = run.tree.branches
    assert branch.finish is Finish.STOP
    assert branch.tokens == model.tokenize(text)
    return branch.log_probs


def test_the_probability_of_each_token() -> None:
    with ScriptedModel.from_texts({"yes": 0.75, "no": 0.25}) as model:
        assert sum(read(model, "yes")) == pytest.approx(math.log(0.75))
        assert sum(read(model, "no")) == pytest.approx(math.log(0.25))
        assert read(model, "y") == pytest.approx([math.log(0.75)])
        # What the model would never say is unlikely, and a number all the same.
        assert read(model, "zz")[0] < -50


def test_the_limit_of_generated_tokens_does_not_hold() -> None:
    with ScriptedModel.from_texts({"x": 1.0}) as model:
        assert len(read(model, "x" * 500)) == 500


def test_a_text_that_does_not_fit() -> None:
    with (
        ScriptedModel.from_texts({"x": 1.0}, context=64) as model,
        pytest.raises(QuestionError, match="larger context"),
    ):
        read(model, "x" * 100)
