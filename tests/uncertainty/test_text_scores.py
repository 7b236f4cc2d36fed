"""How likely given texts are after a prompt, held against the steps of a run that says them."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from et_agent import ScriptedModel
from et_agent.decoding.base import RunInputs
from et_agent.decoding.scheduler import scheduler_of
from et_agent.engines.base import LanguageModel
from et_agent.errors import InputError
from et_agent.uncertainty.text_scores import TextScoring

SAID = {"Rollo": 0.6, "Rolf": 0.3, "Bob": 0.1}


def scored(model: LanguageModel, texts: Sequence[str]) -> list[list[float]]:
    prompt = model.chat_tokens([{"role": "user", "content": "Who?"}])
    scoring = TextScoring.of(prompt, [model.tokenize(text) for text in texts])
    inputs = RunInputs(prompt_length=len(scoring.prompt), stop_tokens=model.info.stop_tokens)
    run = scheduler_of(model).submit(scoring.prompt, scoring.probe, inputs).result()
    assert run.tree.tokens_decoded == run.given_tokens  # read, not generated
    return [one.tolist() for one in scoring.log_probs(run)]


def test_each_token_has_the_probability_that_the_model_gives_it() -> None:
    with ScriptedModel.from_texts(SAID) as model:
        rollo, rolf, bob = scored(model, ["Rollo", "Rolf", "Bob"])
    assert sum(rollo) == pytest.approx(math.log(0.6), abs=1e-5)
    assert sum(rolf) == pytest.approx(math.log(0.3), abs=1e-5)
    assert sum(bob) == pytest.approx(math.log(0.1), abs=1e-5)
    assert rollo[0] == pytest.approx(math.log(0.9), abs=1e-5)
    assert rollo[3] == pytest.approx(math.log(0.6 / 0.9), abs=1e-5)


def test_what_the_model_would_never_say_is_finite() -> None:
    with ScriptedModel.from_texts(SAID) as model:
        (found,) = scored(model, ["Zoe"])
    assert all(map(math.isfinite, found))
    assert sum(found) < -20


def test_what_was_not_read_is_nan() -> None:
    scoring = TextScoring.of([1, 2], [[3, 4], [3]])
    run = scoring.probe.start(RunInputs(prompt_length=1, stop_tokens=set()))
    assert [np.isnan(one).all() for one in scoring.log_probs(run)] == [True, True]


def test_beginnings_are_read_once() -> None:
    scoring = TextScoring.of([1, 2], [[3, 4], [3, 5], [3]])
    assert scoring.probe.continuations == ((2,), (2, 3))
    assert scoring.prompt == (1,)


@pytest.mark.parametrize(
    ("prompt", "texts"), [([1], [[2]]), ([1, 2], []), ([1, 2], [[3], []])], ids=str
)
def test_there_has_to_be_something_to_score(prompt: list[int], texts: list[list[int]]) -> None:
    with pytest.raises(InputError, match="two tokens or more"):
        TextScoring.of(prompt, texts)
