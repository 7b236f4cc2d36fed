"""What an answer owes to its passages: read when its tree has ended."""

import math
from collections.abc import Mapping
from threading import Event
from typing import Any

import numpy as np
import pytest

from et_agent import MultiChain, ScriptedModel, submit, submit_all
from et_agent.asking.grounding import checks_of
from et_agent.asking.pending import PendingAnswer
from et_agent.calibration import Calibrator, Fingerprint, feature_columns, feature_row
from et_agent.calibration.grounds import PASSAGE_FEATURES
from et_agent.errors import EtAgentError, ModelClosedError

PASSAGE = "Rollo led the men."
QUESTION = "Who led them?"
CHAINS = MultiChain(leaves=8, temperature=1)


def script(prompt: str) -> Mapping[str, float]:
    if "Text: Rollo led the men.\n\nQuestion: Who led them?\nAnswer: Rollo" in prompt:
        return {"Yes": 0.9, "No": 0.1}
    if "Text: Rollo led the men.\n\nAnswer: Rollo" in prompt:
        return {"Who led them?": 0.25, "Who led the men?": 0.75}
    if "Do the passages above say" in prompt:
        return {"Yes": 0.75, "No": 0.25}
    if "A) Rollo\nB) The passages do not say it." in prompt:
        return {"A": 0.8, "B": 0.2}
    if "A) The passages do not say it.\nB) Rollo" in prompt:
        return {"A": 0.4, "B": 0.6}
    if "Passage" in prompt:
        return {"\\boxed{Rollo}": 0.7, "\\boxed{not in the passages}": 0.2, "\\boxed{Bob}": 0.1}
    return {"\\boxed{Rollo}": 0.1, "\\boxed{Bob}": 0.9}


def pending(model: ScriptedModel, **options: Any) -> PendingAnswer:
    return submit(model, QUESTION, **{"context": PASSAGE, "decoder": CHAINS, **options})


def test_the_readings_are_those_of_the_model() -> None:
    with ScriptedModel.from_texts(script) as model:
        one = pending(model)
        found = one.grounding()
        result = one.result()
    assert found is not None
    assert found.answer == "Rollo"
    assert found.chosen == pytest.approx((0.8, 0.6), abs=1e-6)
    assert found.stated == pytest.approx(0.9, abs=1e-6)
    assert math.fsum(found.asked) == pytest.approx(math.log(0.25), abs=1e-4)
    read = result.usage.probe_tokens
    assert read > found.tokens > 0
    assert result.usage.tokens_decoded == result.usage.tokens_as_chains  # none is generated for it


def test_they_are_features_of_the_result() -> None:
    with ScriptedModel.from_texts(script) as model:
        features = pending(model).result().features
    assert features["beside"] == 1.0
    assert features["answerable"] == pytest.approx(math.log(3), abs=1e-4)
    assert features["chosen"] == pytest.approx((math.log(4) + math.log(1.5)) / 2, abs=1e-4)
    assert features["stated"] == pytest.approx(math.log(9), abs=1e-4)
    assert features["asked"] == pytest.approx(math.log(0.25), abs=1e-4)


def test_an_answer_that_stands_nowhere_is_not_asked_about() -> None:
    with ScriptedModel.from_texts(script) as model:
        found = pending(model, context="Somebody led the men.").grounding()
    assert found is not None
    assert found.chosen == pytest.approx((0.8, 0.6), abs=1e-6)
    assert math.isnan(found.stated)
    assert found.asked == ()


def test_the_first_two_sentences_that_hold_it_are_shown() -> None:
    told = ("Rollo was a Norman. Others came. Bob met Rollo.", "Rollo left.")
    with ScriptedModel.from_texts(script) as model:
        asked = checks_of(model, told, QUESTION, "Rollo")
        assert asked is not None
        (prompt, _), _ = asked
        text = b"".join(map(model.token_bytes, prompt)).decode()
    assert "Text: Rollo was a Norman. Bob met Rollo.\n\nQuestion: Who led them?" in text


def test_without_passages_nothing_is_read() -> None:
    with ScriptedModel.from_texts(script) as model:
        one = pending(model, context=None, kind="text")
        features = one.result().features
        assert one.grounding() is None
    assert {features[name] for name in PASSAGE_FEATURES} == {None}


def test_where_all_decline_there_is_nothing_to_ask() -> None:
    with ScriptedModel.from_texts({"\\boxed{not in the passages}": 1.0}) as model:
        one = pending(model)
        assert one.result().declined
        assert one.grounding() is None


def test_the_callback_comes_once_when_all_have_ended() -> None:
    calls = []
    with ScriptedModel.from_texts(script) as model:
        one = pending(model)
        one.add_done_callback(lambda each: calls.append((each.done, each.grounding() is not None)))
        one.result()
    assert calls == [(True, True)]


def test_several_questions_share_batches() -> None:
    with ScriptedModel.from_texts(script) as model:
        many = submit_all(model, [QUESTION] * 3, context=PASSAGE, decoder=CHAINS)
        found = [one.result().features["chosen"] for one in many]
    assert len(set(found)) == 1
    assert found[0] is not None


def test_a_question_that_just_fits_is_answered_but_without_a_confidence() -> None:
    with ScriptedModel.from_texts(script) as model:
        length = len(pending(model).request.prompt)
    with ScriptedModel.from_texts(script, longest_path=length + 40) as model:
        result = pending(model).result()
    assert result.answer == "Rollo"
    assert (result.features["beside"], result.features["chosen"]) == (1.0, None)
    assert result.confidence is None, "the map would take the missing choice for a good one"
    assert any("no confidence: the model could not be asked" in one for one in result.notes)


def test_a_map_that_does_not_read_the_choice_holds_without_it() -> None:
    with ScriptedModel.from_texts(script) as model:
        features = pending(model).result().features
        length = len(pending(model).request.prompt)
    rng = np.random.default_rng(1)
    rows = np.tile(feature_row(features, "text"), (80, 1))
    rows[:, feature_columns().index("share")] += rng.normal(0.0, 1.0, 80)
    own = Calibrator(method="platt", features=["share"]).fit(rows, rng.random(80) < 0.7)
    with ScriptedModel.from_texts(script, longest_path=length + 40) as model:
        result = pending(model, calibrator=own).result()
    assert result.features["chosen"] is None
    assert result.confidence is not None
    assert result.calibration is not None
    assert result.calibration.source == "own"


def test_an_own_map_that_reads_the_choice_does_not_hold_without_it() -> None:
    with ScriptedModel.from_texts(script) as model:
        result = pending(model).result()
        length = len(pending(model).request.prompt)
    assert result.confidence is not None
    asked = Fingerprint.of_result(result.model_dump())
    own = Calibrator.general(fingerprint=asked).update(result, True)
    with ScriptedModel.from_texts(script, longest_path=length + 40) as model:
        assert pending(model, calibrator=own).result().confidence is None


def test_a_model_that_is_closed_meanwhile_leaves_nobody_waiting() -> None:
    model = ScriptedModel.from_texts(script)
    one = pending(model)
    model.close()
    with pytest.raises((ModelClosedError, EtAgentError)):
        one.result(timeout=10)
    assert one.done


@pytest.mark.parametrize("about", ["Question: Who led them?\nAnswer: Rollo", "\n\nAnswer: Rollo"])
def test_a_reading_that_is_cancelled_half_way_tells_nothing(about: str) -> None:
    asked = Event()
    known: list[PendingAnswer] = []

    def cancelling(prompt: str) -> Mapping[str, float]:
        if about in prompt:
            assert asked.wait(10)
            known[0].cancel()
        return script(prompt)

    with ScriptedModel.from_texts(cancelling) as model:
        one = pending(model)
        known.append(one)
        asked.set()
        result = one.result(timeout=30)
        assert one.grounding() is None
    assert result.answer == "Rollo"
    assert result.features["chosen"] is None
    assert result.confidence is None
