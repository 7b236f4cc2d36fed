import asyncio
import contextvars
import sys
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from langchain_core.tools import StructuredTool

from et_agent import MultiChain, ScriptedModel
from et_agent.errors import EscalationError, QuestionError
from et_agent.gate import GatePolicy, ModelTarget
from et_agent.gate.escalation import call_target
from et_agent.gate.limits import Limits
from tests.gate.conftest import CHAINS, QUESTION, SURE

POLICY = GatePolicy(answer_at=0.8, retries=0, backoff=0, timeout=5)


def test_a_langchain_runnable_answers_with_a_message() -> None:
    def answered(question: str) -> AIMessage:
        return AIMessage(content=f"four, to {question!r}")

    target: RunnableLambda[str, AIMessage] = RunnableLambda(answered)
    found = call_target(target, QUESTION, POLICY)
    assert found.answer == f"four, to {QUESTION!r}"
    assert (found.result, found.failure, found.cost.escalations) == (None, None, 1)


def test_a_runnable_keeps_the_callers_context() -> None:
    trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")
    trace.set("this one")
    assert call_target(lambda question: trace.get(), QUESTION, POLICY).answer == "this one"


def test_a_message_of_blocks() -> None:
    blocks: list[str | dict[str, Any]] = [
        {"type": "reasoning", "reasoning": "hm"},
        {"type": "text", "text": "It is "},
        "4.",
    ]

    def answered(question: str) -> AIMessage:
        return AIMessage(content=blocks)

    target: RunnableLambda[str, AIMessage] = RunnableLambda(answered)
    assert call_target(target, QUESTION, POLICY).answer == "It is 4."


def test_what_others_raise_is_not_told() -> None:
    def target(question: str) -> str:
        raise ValueError(f"400 bad request for {question!r}, key secret")

    found = call_target(target, QUESTION, POLICY)
    assert "secret" not in str(found.failure)
    assert isinstance(found.failure, EscalationError)
    assert "secret" in str(found.failure.__cause__)


def test_what_asking_again_cannot_mend_is_asked_once() -> None:
    policy = GatePolicy(answer_at=0.8, retries=3, backoff=0)

    def refuses(question: str) -> str:
        raise QuestionError("too long")

    assert call_target(refuses, QUESTION, policy).cost.escalations == 1
    with ScriptedModel.from_texts({"who knows": 1.0}) as model:
        target = ModelTarget(model, decoder=CHAINS)
        assert call_target(target, QUESTION, policy).cost.escalations == 1


def test_waiting_before_a_retry_keeps_to_the_limits() -> None:
    def target(question: str) -> str:
        raise OSError

    policy = GatePolicy(answer_at=0.8, retries=5, backoff=30)
    began = time.perf_counter()
    found = call_target(target, QUESTION, policy, Limits(seconds=0.2))
    assert time.perf_counter() - began < 5
    assert found.cost.escalations == 1


class Message(SimpleNamespace):
    content: Any


NOTHING: dict[str, Any] = {
    "None": None,
    "empty": "",
    "blank": " \n\t\u3000",
    "zero width": "\u200b\ufeff\u2060\u200d",
    "filler": "\u3164\u2800",
    "marks": "\u0301\ufe0f",
    "control": "\x00\x1b",
    "number": 4,
    "bytes": b"4",
    "empty list": [],
    "lists": [[], [None]],
    "message of nothing": AIMessage(content=[]),
    "message of None": Message(content=None),
    "text of None": [{"type": "text", "text": None}],
    "text that is missing": AIMessage(content=[{"type": "text"}]),
    "text that is a number": Message(content=[{"type": "text", "text": 4}]),
    "no text": AIMessage(content=[{"type": "reasoning", "reasoning": "4"}, {"type": "image"}]),
    "invisible text": AIMessage(content=["\u200b", {"type": "text", "text": " \u200b"}]),
}


@pytest.mark.parametrize("value", NOTHING.values(), ids=NOTHING)
def test_a_target_that_returns_nothing_of_use(value: Any) -> None:
    async def later(question: object) -> Any:
        return value

    for target in (lambda question: value, later, RunnableLambda(later)):
        found = call_target(target, QUESTION, POLICY)
        assert found.answer is None
        assert isinstance(found.failure, EscalationError)
        assert "gave no answer" in str(found.failure)


@pytest.mark.parametrize("text", ["4", "👍", "½", "\u200b是\u200b", "None", "?"])
def test_what_can_be_seen_is_an_answer(text: str) -> None:
    found = call_target(lambda question: AIMessage(content=text), QUESTION, POLICY)
    assert found.answer == text


def test_a_result_whose_answer_cannot_be_seen_is_none() -> None:
    with ScriptedModel.from_texts(SURE) as model:
        whole = ModelTarget(model, decoder=CHAINS)(QUESTION)
    found = call_target(lambda question: whole.model_copy(update={"answer": ""}), QUESTION, POLICY)
    assert "gave no answer" in str(found.failure)


def test_a_target_that_cannot_be_called() -> None:
    found = call_target("gpt", QUESTION, POLICY)  # type: ignore[arg-type]
    assert "str cannot be called" in str(found.failure)


@pytest.mark.fault("target hangs")
def test_a_target_that_hangs_is_left_behind() -> None:
    policy = GatePolicy(answer_at=0.8, retries=0, timeout=0.05)
    began = time.perf_counter()
    found = call_target(lambda question: time.sleep(3), QUESTION, policy)
    assert time.perf_counter() - began < 2
    assert "longer than 0.05 s" in str(found.failure)


# Asynchronous targets.


async def four(question: object) -> str:
    await asyncio.sleep(0)
    return "four"


async def four_in_parts(questions: AsyncIterator[Any]) -> AsyncIterator[str]:
    async for _ in questions:
        yield "fo"
        yield "ur"


class Service:
    async def __call__(self, question: str) -> AIMessage:
        return AIMessage(await four(question))


class Client:
    async def invoke(self, question: str) -> str:
        return await four(question)


async def looked_up(question: str) -> str:
    """Look it up."""
    return await four(question)


ASYNC: dict[str, Any] = {
    "function": four,
    "partial": partial(four),
    "lambda": lambda question: four(question),
    "callable object": Service(),
    "asynchronous invoke": Client(),
    "RunnableLambda": RunnableLambda(four),
    "chain": PromptTemplate.from_template("{question}") | RunnableLambda(four),
    "RunnableGenerator": RunnableGenerator(four_in_parts),
    "tool": StructuredTool.from_function(coroutine=looked_up),
}


@pytest.mark.parametrize("timeout", [5, None])
@pytest.mark.parametrize("target", ASYNC.values(), ids=ASYNC)
async def test_an_asynchronous_target(target: Any, timeout: float | None) -> None:
    policy = POLICY.changed(timeout=timeout)
    # In a thread whose event loop runs, and in one that has none.
    here = call_target(target, QUESTION, policy)
    there = await asyncio.to_thread(call_target, target, QUESTION, policy)
    for found in (here, there):
        assert (found.answer, found.failure, found.cost.escalations) == ("four", None, 1)


def test_an_asynchronous_target_keeps_the_callers_context() -> None:
    trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")
    trace.set("this one")

    async def target(question: str) -> str:
        return trace.get()

    assert call_target(target, QUESTION, POLICY).answer == "this one"
    assert call_target(RunnableLambda(target), QUESTION, POLICY).answer == "this one"


@pytest.mark.fault("target hangs")
def test_an_asynchronous_target_that_hangs_is_cancelled() -> None:
    cancelled = threading.Event()

    async def target(question: str) -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "late"

    found = call_target(target, QUESTION, POLICY.changed(timeout=0.05))
    assert "longer than 0.05 s" in str(found.failure)
    assert cancelled.wait(25)


def test_an_asynchronous_target_is_tried_again() -> None:
    calls: list[str] = []

    async def target(question: str) -> str:
        calls.append(question)
        if len(calls) < 2:
            raise TimeoutError("busy")
        return "four"

    found = call_target(target, QUESTION, POLICY.changed(retries=1))
    assert (found.answer, found.cost.escalations) == ("four", 2)


@pytest.mark.parametrize("error", [TypeError("no number"), NotImplementedError("not yet")])
def test_a_step_that_fails_is_not_run_again_asynchronously(error: Exception) -> None:
    calls: list[str] = []

    def target(question: str) -> str:
        calls.append(question)
        raise error

    found = call_target(RunnableLambda(target), QUESTION, POLICY)
    assert found.failure is not None
    assert (calls, found.failure.__cause__) == ([QUESTION], error)


def test_retries_with_backoff_until_one_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("et_agent.gate.escalation.time.sleep", slept.append)
    calls: list[str] = []

    def target(question: str) -> str:
        calls.append(question)
        if len(calls) < 3:
            raise ConnectionError("busy")
        return "4"

    policy = GatePolicy(answer_at=0.8, retries=3, backoff=0.5)
    found = call_target(target, QUESTION, policy)
    assert (found.answer, found.cost.escalations) == ("4", 3)
    assert slept == [0.5, 1.0]


@pytest.mark.fault("target raises")
def test_a_failure_is_chained_to_its_cause() -> None:
    def target(question: str) -> str:
        raise KeyError("key")

    found = call_target(target, QUESTION, POLICY)
    assert isinstance(found.failure, EscalationError)
    assert isinstance(found.failure.__cause__, KeyError)


def test_interrupts_are_no_failures() -> None:
    def target(question: str) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call_target(target, QUESTION, POLICY)


async def _exits(question: object) -> str:
    sys.exit(4)


async def _is_cancelled(question: object) -> str:
    raise asyncio.CancelledError


def _exits_at_once(question: object) -> str:
    raise SystemExit(3)


def _ends_a_generator(question: object) -> str:
    raise GeneratorExit


@pytest.mark.fault("target raises")
@pytest.mark.parametrize("timeout", [None, 20.0])
@pytest.mark.parametrize(
    "target",
    [
        _exits,
        _is_cancelled,
        _exits_at_once,
        _ends_a_generator,
        RunnableLambda(_exits),
        RunnableLambda(_exits_at_once),
    ],
)
def test_a_target_ends_nothing_but_its_call(target: Any, timeout: float | None) -> None:
    policy = GatePolicy(answer_at=0.9, retries=1, backoff=0, timeout=timeout)
    found = call_target(target, QUESTION, policy)
    assert found.answer is None
    assert found.cost.escalations == 2
    assert "failed 2 times" in str(found.failure)


def _given(value: object, question: str) -> object:
    return value


@pytest.mark.parametrize("text", ["x\ud800y", "4\udfff", "\ud83d", "nul\0"])
def test_a_target_whose_text_no_file_can_hold_gave_no_answer(text: str) -> None:
    for value in (text, AIMessage(content=text), [{"type": "text", "text": text}]):
        found = call_target(partial(_given, value), QUESTION, POLICY)
        assert found.answer is None
        assert isinstance(found.failure, EscalationError)


def test_another_model_keeps_to_the_limits() -> None:
    long = {"Let me think about it at length. " * 60 + "\\boxed{4}": 1.0}
    with ScriptedModel.from_texts(long, context=16384) as model:
        target = ModelTarget(model, decoder=MultiChain(leaves=4, max_tokens=4096))
        found = call_target(target, QUESTION, POLICY, Limits(seconds=1e-4))
        spent = call_target(target, QUESTION, POLICY, Limits(tokens=0))
    assert "stopped at a limit" in str(found.failure)
    assert found.cost.tokens < 4 * 1900
    assert (spent.cost.escalations, spent.cost.tokens) == (0, 0)
    assert "not called" in str(spent.failure)


def test_another_model_is_loaded_when_it_is_needed() -> None:
    models: list[ScriptedModel] = []

    def load() -> ScriptedModel:
        models.append(ScriptedModel.from_texts(SURE))
        return models[-1]

    target = ModelTarget(load, decoder=CHAINS)
    assert not models
    for _ in range(2):
        assert call_target(target, QUESTION, POLICY).answer == "4"
    target.close()
    target.close()
    assert call_target(target, QUESTION, POLICY).answer == "4"
    target.close()
    assert len(models) == 2


def test_a_time_limit_of_calls_does_not_hold_for_another_model() -> None:
    policy = GatePolicy(answer_at=0.8, retries=0, timeout=1e-9)
    with ScriptedModel.from_texts(SURE) as model:
        assert call_target(ModelTarget(model, decoder=CHAINS), QUESTION, policy).answer == "4"


def test_another_model_answers_with_its_whole_result() -> None:
    with ScriptedModel.from_texts(SURE) as model:
        found = call_target(ModelTarget(model, decoder=CHAINS), QUESTION, POLICY)
    assert found.answer == "4"
    assert found.result is not None
    assert found.cost.tokens == found.result.usage.tokens_decoded
