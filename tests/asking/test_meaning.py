"""Answers of a tree that say the same in other words are one, by tests of words and by a judge."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest

from et_agent import AskResult, MultiChain, ScriptedModel, ask, submit
from et_agent.asking.meaning import MOST_PAIRS
from et_agent.calibration import Fingerprint
from et_agent.errors import SettingsError

QUESTION = "Why did the bridge fall?"
CHAINS = MultiChain(leaves=24, temperature=1)
WEAK, STRONG, WIND = "its steel was too weak", "the steel was not strong", "a wind that blew hard"


def script(prompt: str) -> Mapping[str, float]:
    if "First answer: " in prompt:
        said = prompt.rpartition("First answer: ")[2]
        alike = WEAK in said and STRONG in said
        return {"Yes": 0.9, "No": 0.1} if alike else {"Yes": 0.1, "No": 0.9}
    if "certainty" in prompt:
        return {"Yes": 0.9, "No": 0.1}
    return {f"\\boxed{{{WEAK}}}": 0.35, f"\\boxed{{{STRONG}}}": 0.25, f"\\boxed{{{WIND}}}": 0.4}


def asked(question: Any = QUESTION, script: Any = script, **options: Any) -> AskResult:
    with ScriptedModel.from_texts(script) as model:
        result: AskResult = ask(model, question, **{"decoder": CHAINS, "kind": "text", **options})
        return result


def test_the_model_judges_what_words_do_not_tell() -> None:
    by_words, by_meaning = asked(same="words"), asked(same="meaning")
    assert {one.answer for one in by_words.distribution} == {WEAK, STRONG, WIND}
    assert len(by_meaning.distribution) == 2
    assert by_meaning.answer == WEAK
    assert by_meaning.share == pytest.approx(
        sum(one.share for one in by_words.distribution if one.answer != WIND)
    )
    assert (by_words.same, by_meaning.same) == ("words", "meaning")


def test_what_it_reads_is_counted() -> None:
    by_words, by_meaning = asked(same="words"), asked(same="meaning")
    assert by_meaning.usage.probe_tokens > by_words.usage.probe_tokens
    assert by_meaning.usage.tokens_decoded == by_words.usage.tokens_decoded


def test_no_token_is_read_where_words_tell() -> None:
    def told(prompt: str) -> Mapping[str, float]:
        assert "First answer: " not in prompt
        return {"\\boxed{Paris}": 0.4, "\\boxed{The capital is Paris}": 0.3, "\\boxed{Rome}": 0.3}

    result = asked("What is the capital?", told, same="meaning")
    assert {one.answer for one in result.distribution} == {"Paris", "Rome"}


@pytest.mark.parametrize("kind", ["number", "choice", "quantity"])
def test_other_kinds_are_compared_by_value(kind: str) -> None:
    def told(prompt: str) -> Mapping[str, float]:
        return {"\\boxed{3 m}": 0.5, "\\boxed{4 m}": 0.5}

    result = asked("How long is it?\nA) 3 m\nB) 4 m", told, kind=kind, same="meaning")
    assert result.same == "words"


class Judge:
    """Takes all for one, and keeps what it was asked."""

    name = "all"

    def __init__(self, said: float = 1.0) -> None:
        self.asked: list[tuple[str, str]] = []
        self._said = said

    def same(self, question: str, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        assert question == QUESTION
        self.asked += pairs
        return [self._said] * len(pairs)


def test_a_judge_may_be_plugged_in() -> None:
    judge = Judge()
    result = asked(same=judge)
    assert {one.answer for one in result.distribution} == {WEAK, WIND} or len(judge.asked) == 1
    assert set(judge.asked) <= {(WEAK, STRONG), (STRONG, WEAK), (WIND, WEAK), (WEAK, WIND)} | {
        (WIND, STRONG),
        (STRONG, WIND),
    }
    assert result.same == "all"
    with ScriptedModel.from_texts(script) as model:
        pending = submit(model, QUESTION, decoder=CHAINS, kind="text", same=judge)
        judge.asked.clear()
        assert pending.result().answer == pending.result().answer
        assert len(judge.asked) == len(set(judge.asked))  # once, however often it is looked at


class Says(Judge):
    """Says one thing of all pairs together."""

    def __init__(self, of_pairs: Callable[[int], Any]) -> None:
        super().__init__()
        self._of_pairs = of_pairs

    def same(self, question: str, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        return cast("Sequence[float]", self._of_pairs(len(pairs)))


def failing(count: int) -> list[float]:
    raise ValueError("no weights")


@pytest.mark.parametrize(
    "of_pairs",
    [
        lambda count: [1.5] * count,
        lambda count: [float("nan")] * count,
        lambda count: [-0.1] * count,
        lambda count: ["0.9"] * count,
        lambda count: [None] * count,
        lambda count: [0.5] * (count + 1),
        lambda count: [],
        lambda count: np.full((count, 2), 0.5),
        lambda count: None,
        lambda count: 0.5,
        failing,
    ],
)
def test_a_judge_that_gives_no_probabilities_is_named(of_pairs: Callable[[int], Any]) -> None:
    with pytest.raises(SettingsError, match=r"the judge 'all' .*one probability for each"):
        asked(same=Says(of_pairs))


@pytest.mark.parametrize("made", [list, tuple, np.array, lambda given: map(np.float32, given)])
def test_a_judge_may_give_any_numbers(made: Callable[[list[float]], Any]) -> None:
    assert asked(same=Says(lambda count: made([0.0] * count))).same == "all"


def test_other_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match="use 'meaning', 'tests', 'words'"):
        asked(same="sense")


def test_many_distinct_answers_are_bounded() -> None:
    def told(prompt: str) -> Mapping[str, float]:
        if "First answer: " in prompt or "certainty" in prompt:
            return {"Yes": 0.1, "No": 0.9}
        return {f"\\boxed{{the weak steel of beam {chr(97 + n)}x}}": 1 / 20 for n in range(20)}

    result = asked(script=told, same="meaning")
    assert len(result.distribution) > 8
    assert any(f"more than {MOST_PAIRS}" in note for note in result.notes)


def test_a_question_that_is_cancelled_is_compared_by_its_words() -> None:
    with ScriptedModel.from_texts(script) as model:
        pending = submit(model, QUESTION, decoder=CHAINS, kind="text", same="meaning")
        pending.cancel()
        assert pending.result().usage.probe_tokens >= 0
        assert pending.done


def test_a_plain_prompt_asks_no_judge() -> None:
    def told(prompt: str) -> Mapping[str, float]:
        assert "First answer: " not in prompt
        return {f" {WEAK}": 0.5, f" {STRONG}": 0.5}

    assert asked(script=told, chat="plain", same="meaning").answer in (WEAK, STRONG)


def test_answers_out_of_passages_are_compared_by_words_unless_said_otherwise() -> None:
    assert asked(context="The bridge fell.").same == "words"
    assert asked(context="The bridge fell.", same="meaning").same == "meaning"


def test_without_being_told_so_only_tests_of_words_join() -> None:
    by_tests = asked()
    assert by_tests.same == "tests"
    assert {one.answer for one in by_tests.distribution} == {WEAK, STRONG, WIND}
    assert by_tests.usage.probe_tokens == asked(same="words").usage.probe_tokens


def test_calibrators_tell_meaning_from_words() -> None:
    words, meaning = (
        Fingerprint.of(
            model="0" * 64,
            decoder={"name": "EntropyTree"},
            instructions={"text": ""},
            chat="model",
            same=same,
        )
        for same in ("words", "meaning")
    )
    assert words.problems(meaning) == ["answers that are one by meaning instead of words"]
    assert words.digest != meaning.digest


def test_calibrators_of_numbers_do_not_ask_which_words_are_one() -> None:
    def known(kind: str, same: str) -> Fingerprint:
        return Fingerprint.of(
            model="0" * 64,
            decoder={"name": "EntropyTree"},
            instructions={kind: ""},
            chat="model",
            same=same,
        )

    both = known("number", "words").joined(known("text", "meaning"))
    assert both.same == "meaning"
    assert not both.problems(known("number", "words"))
    assert not both.problems(known("text", "meaning"))
    assert both.problems(known("text", "words"))
