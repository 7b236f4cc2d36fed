"""Answers that were written elsewhere, scored on a scripted model."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from et_agent import Greedy, MultiChain, ScoreReport, ScriptedModel, score
from et_agent.asking.scoring import submit_score
from et_agent.errors import ModelClosedError, QuestionError, SettingsError
from et_agent.templates.messages import Message, Tool

QUESTION = "How many legs has a cat?"
CHAINS = MultiChain(leaves=8, temperature=1)
SHOWN = "Cats have four legs. Cats can bark."


def script(prompt: str) -> Mapping[str, float]:
    if "Proposed answer: 4" in prompt or "Proposed answer: It is 4" in prompt:
        return {"True": 0.8, "False": 0.2}
    if "Proposed answer" in prompt:
        return {"True": 0.1, "False": 0.9}
    if "Judging by this text" in prompt or "several statements" in prompt:
        told = 0.9 if prompt.endswith("four legs.\n") else 0.2
        return {"True": told, "False": 1 - told}
    if "Can the question above" in prompt:
        return {"Yes": 1.0}
    if "boxed" in prompt:
        return {"So \\boxed{4}": 0.75, "So \\boxed{5}": 0.25}
    if "sentences" in prompt:
        return {"Cats have four legs. They hunt mice.": 1.0}
    return {"4": 0.5, "It is 4": 0.25, SHOWN: 0.25}


def scored(answer: str, samples: Any = None, **options: Any) -> ScoreReport:
    if samples is None:
        options = {"decoder": CHAINS, **options}
    with ScriptedModel.from_texts(script) as model:
        return score(model, QUESTION, answer, samples, **options)


def test_the_probability_is_that_after_the_bare_question() -> None:
    found = scored("4")
    assert found.log_prob == pytest.approx(math.log(0.5), abs=1e-6)
    assert found.tokens == 1
    assert found.mean_log_prob == pytest.approx(math.log(0.5), abs=1e-6)
    longer = scored("It is 4")
    assert longer.log_prob == pytest.approx(math.log(0.25), abs=1e-6)
    assert longer.mean_log_prob == pytest.approx(math.log(0.25) / 7, abs=1e-6)


def test_a_system_prompt_that_was_given_counts() -> None:
    assert scored("4", system_prompt="Put it in \\boxed{}.").log_prob < -50


def test_agreement_is_the_share_of_the_fresh_tree() -> None:
    right, wrong = scored("It is 4"), scored("5")
    assert (right.kind, right.value, right.own_answer) == ("number", "4", "4")
    assert right.agreement == pytest.approx(1 - (wrong.agreement or 0))
    assert right.samples == 8
    assert right.p_true == pytest.approx(0.8, abs=1e-6)
    assert wrong.p_true == pytest.approx(0.1, abs=1e-6)
    assert (right.confidence or 0) > (wrong.confidence or 1)
    assert right.calibration is not None
    assert right.tokens_decoded > 0


def test_an_option_that_is_not_the_likeliest_may_be_worse_than_a_guess() -> None:
    def letters(prompt: str) -> Mapping[str, float]:
        yes, no = "AB" if "A) yes" in prompt else "BA"
        return {yes: 0.9, no: 0.1}

    with ScriptedModel.from_texts(letters) as model:
        likely, other = (score(model, "Is it?\nA) yes\nB) no", one) for one in "AB")
    assert (likely.confidence or 0.0) >= 0.5
    assert (other.confidence or 1.0) < 0.5


def test_an_answer_that_no_leaf_gives() -> None:
    found, some = scored("7"), scored("5")
    assert found.agreement == 0.0
    assert found.calibration is not None
    assert found.calibration.source == "general"
    assert 0.001 < (found.confidence or 0) < (some.confidence or 0)
    assert any("no sample says the same" in note for note in found.notes)


def test_an_answer_of_another_kind() -> None:
    found = scored("No idea", kind="number")
    assert (found.value, found.agreement, found.confidence) == (None, None, None)
    assert any("could be read as number" in note for note in found.notes)
    assert found.log_prob < 0


def test_given_samples_take_the_place_of_the_tree() -> None:
    found = scored("4", ["four", "The answer is 4.", "5", "Hard to say"])
    assert found.agreement == pytest.approx(0.5)
    assert (found.samples, found.tokens_decoded, found.decoder) == (4, 0, None)
    assert found.calibration is not None
    assert found.calibration.source == "general"
    assert any("samples were given" in note for note in found.calibration.notes)
    sure = scored("4", ["4", "4", "4", "4"])
    assert (sure.confidence or 0) > (found.confidence or 1)
    assert scored("4", ["4"], calibrator=None).confidence is None


def test_a_long_answer_is_scored_by_its_claims() -> None:
    found = scored(SHOWN, kind="long")
    assert [claim.text for claim in found.claims] == ["Cats have four legs.", "Cats can bark."]
    assert found.own_answer == "Cats have four legs. They hunt mice."
    assert found.agreement == pytest.approx((0.9 + 0.2) / 2, abs=1e-6)
    each = [claim.confidence or 0.0 for claim in found.claims]
    assert found.confidence == pytest.approx(sum(each) / 2)
    assert found.claims[0].log_prob == pytest.approx(math.log(0.25) / 20, abs=1e-6)
    assert all(claim.log_prob is not None for claim in found.claims)
    given = scored(SHOWN, ["Cats have four legs.", "Dogs bark."], kind="long")
    assert given.samples == 2
    assert given.agreement is not None


def test_with_passages() -> None:
    def told(prompt: str) -> Mapping[str, float]:
        if "A) 4\n" in prompt:
            return {"A": 0.9, "B": 0.1}
        if "B) 4\n" in prompt:
            return {"A": 0.1, "B": 0.9}
        return {"\\boxed{4}": 1.0} if "Passage" in prompt else script(prompt)

    with ScriptedModel.from_texts(told) as model:
        found = score(model, QUESTION, "4", context="A cat has 4 legs.", decoder=CHAINS)
        other = score(model, QUESTION, "4", ["4", "4"], context="A cat has 4 legs.")
        declined = score(
            model, QUESTION, "The passages do not say.", context="A cat is old.", decoder=CHAINS
        )
    assert found.confidence is not None
    assert other.confidence is not None
    assert (declined.confidence, declined.agreement) == (None, 0.0)


def test_a_conversation_is_scored_in_its_course() -> None:
    with ScriptedModel.from_texts(script) as model:
        talk: list[Message] = [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": QUESTION},
        ]
        found = score(model, talk, "4", decoder=Greedy())
    assert found.question == QUESTION


def test_a_model_without_a_chat_template() -> None:
    with ScriptedModel.from_texts(script, chat_template=False) as model:
        found = score(model, QUESTION, "4", chat="plain", decoder=CHAINS)
        long = score(model, QUESTION, SHOWN, chat="plain", kind="long", decoder=CHAINS)
    assert found.p_true is None
    assert found.agreement is not None
    assert long.confidence is None
    assert any("chat template" in note for note in long.notes)


@pytest.mark.parametrize("answer", ["", "  ", 3, None, "a\0b", "\ud800"])
def test_what_is_no_answer(answer: Any) -> None:
    with pytest.raises(QuestionError, match="the answer"):
        scored(answer)


@pytest.mark.parametrize("samples", ["4", b"4", [], 3, [""], ["4", 5], [None], ["4"] * 300, {"4"}])
def test_what_are_no_samples(samples: Any) -> None:
    with pytest.raises(QuestionError, match="sample"):
        scored("4", samples)


def test_an_answer_longer_than_the_context() -> None:
    with pytest.raises(QuestionError, match="context"):
        scored("long " * 200_000)


def test_a_sample_longer_than_the_context_is_left_out() -> None:
    found = scored(SHOWN, ["Cats have four legs.", "Cats meow. " * 100_000], kind="long")
    assert found.claims[0].support == pytest.approx(0.9, abs=1e-6)
    alone = scored(SHOWN, ["Cats meow. " * 100_000], kind="long")
    assert alone.claims[0].support is None
    assert alone.agreement is None


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(SettingsError, match="samples"):
        scored("4", ["4"], decoder=CHAINS)
    with pytest.raises(SettingsError, match="schema"):
        scored("4", schema={"type": "object"})
    tool: Tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    with pytest.raises(SettingsError, match="tools"):
        scored("4", tools=[tool])


def test_several_share_the_models_batches_and_can_be_cancelled() -> None:
    with ScriptedModel.from_texts(script) as model:
        waiting = [submit_score(model, QUESTION, answer, decoder=CHAINS) for answer in "45"]
        assert [one.result().answer for one in waiting] == ["4", "5"]
        cancelled = submit_score(model, QUESTION, "It is 4", decoder=CHAINS)
        cancelled.cancel()
    with pytest.raises((QuestionError, ModelClosedError)):
        cancelled.result()


def test_scores_survive_json() -> None:
    found = scored("4")
    assert ScoreReport.model_validate_json(found.model_dump_json()) == found


def test_samples_that_say_the_same_in_other_words_agree() -> None:
    asked, said = "What is the capital of Australia?", "The capital of Australia is Canberra"
    with ScriptedModel.from_texts({"x": 1.0}) as model:
        found = score(model, asked, "Canberra", [said, said, "Sydney"], kind="text")
        apart = score(model, asked, "Canberra", [said, said, "Sydney"], kind="text", same="words")
    assert found.agreement == pytest.approx(2 / 3)
    assert apart.agreement == pytest.approx(0.0)
