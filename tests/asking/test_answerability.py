"""Beside its tree, the model is asked whether a question can be answered at all."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from et_agent import AskResult, MultiChain, ScriptedModel, ask
from et_agent.answers import AnswerKind
from et_agent.asking import submit
from et_agent.asking.options import Chat
from et_agent.evaluation.items import Item
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.tasks import record_of
from et_agent.templates.messages import Message
from et_agent.uncertainty.self_evaluation import ANSWERABLE

QUESTION = "How many coins are in my pocket?"
CHAINS = MultiChain(leaves=4)


def script(prompt: str) -> Mapping[str, float]:
    if ANSWERABLE in prompt:
        return {"Yes": 0.2, "No": 0.8}
    return {"So \\boxed{4}": 0.8, "So \\boxed{5}": 0.2}


def asked(question: str | Sequence[Message] = QUESTION, **options: Any) -> AskResult:
    with ScriptedModel.from_texts(script) as model:
        return ask(model, question, decoder=CHAINS, **options)


def test_what_the_model_says_is_a_feature_of_the_result() -> None:
    found = asked().features["answerable"]
    assert found == pytest.approx(math.log(0.25), abs=1e-4)


def test_the_prompt_is_read_once() -> None:
    usage = asked().usage
    assert 0 < usage.probe_tokens <= len(f"\n\n{ANSWERABLE}") + 2


def test_the_last_question_of_a_conversation_is_meant() -> None:
    turns: list[Message] = [
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": QUESTION},
    ]
    assert asked(turns).features["answerable"] is not None


@pytest.mark.parametrize(
    "options",
    [{"chat": "plain"}, {"schema": {"type": "object"}}],
    ids=["plain prompt", "schema"],
)
def test_it_is_not_asked_where_that_would_make_no_sense(options: dict[str, Any]) -> None:
    result = asked(**options)
    assert result.features.get("answerable") is None
    assert result.usage.probe_tokens == 0


def test_it_is_not_asked_after_a_tool() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": {}}}
    turns: list[Message] = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "", "tool_calls": [call]},  # type: ignore[list-item]
        {"role": "tool", "content": "four", "tool_call_id": "1"},
    ]
    assert asked(turns).features["answerable"] is None


def test_a_model_that_says_neither_yes_nor_no_has_said_nothing() -> None:
    with ScriptedModel.from_texts({"So \\boxed{4}": 1.0}) as model:
        result = ask(model, QUESTION, decoder=CHAINS)
    assert result.features["answerable"] is None
    assert result.confidence is not None


def test_a_question_that_just_fits_is_answered_without_it() -> None:
    with ScriptedModel.from_texts(script) as model:
        length = len(model.chat_tokens([{"role": "user", "content": QUESTION}]))
    with ScriptedModel.from_texts(script, longest_path=length + 40) as model:
        result = ask(model, QUESTION, decoder=CHAINS, system_prompt="")
    assert (result.answer, result.features["answerable"]) == ("4", None)


def test_an_interrupted_question_is_not_waited_for() -> None:
    with ScriptedModel.from_texts(script) as model:
        pending = submit(model, QUESTION, decoder=CHAINS)
        pending.cancel()
        assert pending.result(timeout=10).features == {}


def test_to_stop_what_has_ended_loses_nothing() -> None:
    with ScriptedModel.from_texts(script) as model:
        one = submit(model, QUESTION, decoder=CHAINS)
        expected = one.result().features["answerable"]
        one.cancel()
        assert one.result().features["answerable"] == expected
    assert expected is not None


def test_the_callback_comes_once_when_both_have_ended() -> None:
    calls = []
    with ScriptedModel.from_texts(script) as model:
        pending = submit(model, QUESTION, decoder=CHAINS)
        pending.add_done_callback(lambda one: calls.append(one.done))
        pending.result()
    assert calls == [True]


@pytest.mark.parametrize("chat", ["model", "plain"])
def test_an_evaluation_keeps_it(chat: Chat) -> None:
    item = Item(id="1", question=QUESTION, kind=AnswerKind.NUMBER, golds=("4",))
    with ScriptedModel.from_texts(script) as model:
        record, _, _ = record_of(item, submit(model, QUESTION, decoder=CHAINS, chat=chat))
    wanted = None if chat == "plain" else pytest.approx(0.2, abs=1e-6)
    assert record.answerable == wanted
    assert record.capped(2).answerable == wanted
    assert QuestionRecord.from_json(record.as_json(), {}).answerable == wanted
    old = {name: value for name, value in record.as_json().items() if name != "answerable"}
    assert QuestionRecord.from_json(old, {}).answerable is None
