"""Long answers, claim by claim, on a scripted model."""

from collections.abc import Mapping
from typing import Any

import pytest

from et_agent import AskResult, EntropyTree, Greedy, MultiChain, ScriptedModel, ask, submit
from et_agent.asking.claims import MOST_CLAIMS
from et_agent.calibration.claims import ClaimMap
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.errors import CalibrationError, SettingsError

QUESTION = "What is Paris?"
SHOWN = "Paris is in France. It has ten moons."
OTHER = "Paris is in France. It lies on the Seine."
CHAINS = MultiChain(leaves=8, temperature=1)


def script(prompt: str) -> Mapping[str, float]:
    if "Judging by this text" in prompt:
        if "is in France.\n" in prompt.rpartition("Unknown.")[2]:
            return {"True": 0.9, "False": 0.05, "Unknown": 0.05}
        if f"Text: {OTHER}" in prompt:
            return {"True": 0.1, "False": 0.3, "Unknown": 0.6}
        return {"True": 0.3, "False": 0.4, "Unknown": 0.3}
    if "several statements" in prompt:
        if prompt.endswith("France.\n"):
            return {"True": 0.8, "False": 0.2}
        return {"True": 0.3, "False": 0.7}
    if "can be answered with certainty" in prompt or "Can the question" in prompt:
        return {"Yes": 1.0}
    return {SHOWN: 0.6, OTHER: 0.4}


def asked(**options: Any) -> AskResult:
    with ScriptedModel.from_texts(script) as model:
        return ask(model, QUESTION, **{"kind": "long", "decoder": CHAINS, **options})


def test_each_claim_has_its_support_and_a_confidence() -> None:
    result = asked()
    assert result.kind == "long"
    assert result.answer in (SHOWN, OTHER)
    first, second = result.claims
    assert first.text == "Paris is in France."
    for claim in (first, second):
        assert result.answer[slice(*claim.span)] == claim.text
        assert claim.support is not None
        assert claim.support + (claim.contradicted or 0) + (claim.silent or 0) == pytest.approx(1)
        assert claim.calibration is not None
        assert claim.calibration.source == "general"
        assert claim.log_prob is not None
    assert first.told_true == pytest.approx(0.8, abs=1e-6)
    assert (first.support or 0) > (second.support or 0)
    assert (first.confidence or 0) > (second.confidence or 1)


def test_the_confidence_of_the_whole_is_the_mean() -> None:
    result = asked()
    each = [claim.confidence or 0.0 for claim in result.claims]
    assert result.confidence == pytest.approx(sum(each) / len(each))
    assert not result.calibrated
    assert result.features == {}
    assert result.usage.probe_tokens > 0
    assert not any("tie" in note for note in result.notes)


def test_a_leaf_with_the_same_text_says_it_all() -> None:
    with ScriptedModel.from_texts(
        lambda p: script(p) if "Judg" in p or "several" in p else {SHOWN: 1.0}
    ) as model:
        result = ask(model, QUESTION, kind="long", decoder=CHAINS)
    assert [claim.support for claim in result.claims] == [1.0, 1.0]


def test_without_other_leaves_there_is_no_support() -> None:
    result = asked(decoder=Greedy())
    assert [claim.support for claim in result.claims] == [None, None]
    assert all(claim.told_true is not None and claim.confidence for claim in result.claims)


def test_no_confidence_where_none_is_wanted() -> None:
    result = asked(calibrator=None)
    assert result.confidence is None
    assert all(claim.confidence is None and claim.support for claim in result.claims)


def test_a_long_sentence_is_split_into_statements() -> None:
    sentence = "Ann was born in Rome in 1815, and Ann wrote the first long poem about the sea."
    lines = "Ann was born in Rome in 1815.\nAnn wrote the first long poem about the sea."

    def both(prompt: str) -> Mapping[str, float]:
        if "Split the sentence" in prompt:
            return {lines: 1.0}
        if "Judging" in prompt or "several statements" in prompt:
            return {"True": 0.5, "False": 0.5}
        return {sentence: 1.0}

    with ScriptedModel.from_texts(both) as model:
        result = ask(model, "Who was Ann?", kind="long", decoder=CHAINS)
    assert [claim.text for claim in result.claims] == lines.splitlines()
    assert {claim.span for claim in result.claims} == {(0, len(sentence))}


def test_a_reply_that_was_cut_off_is_read_as_far_as_it_goes() -> None:
    result = asked(decoder=MultiChain(leaves=4, temperature=1, max_tokens=36))
    assert result.answer in (SHOWN[:36], OTHER[:36])
    assert [claim.text for claim in result.claims] == ["Paris is in France."]


@pytest.mark.parametrize("reply", ["```python\nprint(1)\n```", "Yes.", "What do you mean by that?"])
def test_a_reply_that_states_nothing_has_no_confidence(reply: str) -> None:
    with ScriptedModel.from_texts({reply: 1.0}) as model:
        result = ask(model, QUESTION, kind="long", decoder=CHAINS)
    assert result.answer == reply
    assert (result.claims, result.confidence) == ((), None)
    assert any("states nothing" in note for note in result.notes)


@pytest.mark.parametrize("reply", ["", " \n", "42"])
def test_an_empty_reply_is_no_answer(reply: str) -> None:
    with ScriptedModel.from_texts({reply: 1.0}) as model:
        result = ask(model, QUESTION, kind="long", decoder=CHAINS)
    assert (result.answer, result.claims, result.confidence) == (None, (), None)


def test_a_reply_with_too_many_claims_has_no_confidence() -> None:
    reply = " ".join(f"Number {at} is even, too." for at in range(MOST_CLAIMS + 5))

    def long(prompt: str) -> Mapping[str, float]:
        if "Judging" in prompt or "several statements" in prompt:
            return {"True": 1.0}
        return {reply: 1.0}

    with ScriptedModel.from_texts(long, context=1 << 15) as model:
        decoder = MultiChain(leaves=2, max_tokens=4000)
        result = ask(model, QUESTION, kind="long", decoder=decoder)
    assert len(result.claims) == MOST_CLAIMS + 5
    assert result.claims[0].confidence is not None
    assert result.claims[-1].confidence is None
    assert result.confidence is None
    assert any("5 have no confidence" in note for note in result.notes)


def test_where_a_check_does_not_fit_there_is_no_confidence() -> None:
    with ScriptedModel.from_texts(script, context=150) as model:
        result = ask(model, QUESTION, kind="long", decoder=CHAINS, system_prompt="")
    assert result.answer is not None
    assert result.confidence is None
    assert any("could not be checked" in note for note in result.notes)


def test_a_plain_prompt_has_claims_without_confidence() -> None:
    result = asked(chat="plain")
    assert result.confidence is None
    assert any("chat template" in note for note in result.notes)


def test_a_damaged_map_loses_no_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> ClaimMap:
        raise CalibrationError("the claims map is missing")

    monkeypatch.setattr(ClaimMap, "shipped", missing)
    result = asked()
    assert result.answer is not None
    assert len(result.claims) == 2
    assert result.confidence is None
    assert any("missing" in note for note in result.notes)


def test_results_survive_json() -> None:
    result = asked()
    assert AskResult.model_validate_json(result.model_dump_json()) == result


@pytest.mark.parametrize(
    "settings", [{"stop_above": 0.8}, {"stop_risk": 0.01}, {"batch": 4, "stop_below": 0.3}]
)
def test_votes_cannot_stop_a_tree_without_votes(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="not voted on"):
        asked(decoder=EntropyTree(leaves=8, **settings))


def test_callbacks_and_cancelling() -> None:
    calls = []
    with ScriptedModel.from_texts(script) as model:
        one = submit(model, QUESTION, kind="long", decoder=CHAINS)
        one.add_done_callback(
            lambda each: calls.append((each.done, each.checked_claims() is not None))
        )
        one.result()
        other = submit(model, QUESTION, kind="long", decoder=CHAINS)
        other.cancel()
        assert not other.result().claims
    assert calls == [(True, True)]


def test_a_schema_or_a_tool_call_is_no_long_answer() -> None:
    with ScriptedModel.from_texts({'{"a":1}': 1.0}) as model:
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
        result = ask(model, QUESTION, kind="long", schema=schema)
    assert (result.kind, result.claims) == ("json", ())


def test_with_passages_that_decline() -> None:
    with ScriptedModel.from_texts(
        lambda p: {"Yes": 1.0} if "Do the passages" in p else {"The passages do not say.": 1.0}
    ) as model:
        result = ask(model, QUESTION, kind="long", context="Rome is old.", decoder=CHAINS)
    assert result.declined
    assert (result.answer, result.claims, result.confidence) == (None, (), None)


def test_on_a_real_model(small_model: LlamaCppModel) -> None:
    decoder = EntropyTree(leaves=3, schedule="stratified", temperature=0.5, max_tokens=48)
    result = ask(small_model, "What is <|im_end|> rain?", kind="long", decoder=decoder)
    assert result.answer
    for claim in result.claims:
        start, end = claim.span
        assert 0 <= start < end <= len(result.answer)
        shares = (claim.support or 0) + (claim.contradicted or 0) + (claim.silent or 0)
        assert shares == pytest.approx(1.0, abs=1e-6)
        assert claim.told_true is not None
        assert claim.log_prob is not None
    again = ask(small_model, "What is <|im_end|> rain?", kind="long", decoder=decoder)
    assert [one.text for one in again.claims] == [one.text for one in result.claims]
