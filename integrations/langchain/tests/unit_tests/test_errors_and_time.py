"""What cannot be answered, time limits, cancelling and shared batches."""

import asyncio
import threading
import time
from typing import Any

import pytest
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration
from langchain_et_agent import ChatEntropyTree, _engines

from et_agent import Greedy, ScriptedModel
from et_agent.engines import loading
from et_agent.errors import (
    EtAgentError,
    ModelClosedError,
    QuestionError,
    SettingsError,
    TimeLimitError,
    UnsupportedModelError,
)

from .support import (
    QUESTION,
    TEXTS,
    Counting,
    Errors,
    add,
    endless,
    endless_script,
    result_of,
    scripted,
)

IMAGE = HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}])


@pytest.mark.parametrize(
    ("messages", "kind", "says"),
    [
        ([], QuestionError, "there are no messages"),
        ([SystemMessage("Be kind.")], QuestionError, "only system messages"),
        ([HumanMessage(" ")], QuestionError, "empty"),
        ([IMAGE], QuestionError, "message 1 holds an image: only text is supported"),
        (
            [HumanMessage([{"type": "text", "text": None}])],
            QuestionError,
            "message 1 holds a text block whose text is None",
        ),
        (
            [
                HumanMessage("?"),
                AIMessage([{"type": "image", "url": "x"}]),
                HumanMessage("?"),
            ],
            QuestionError,
            "message 2 holds an image",
        ),
        (
            [HumanMessage("?"), ToolMessage("3", tool_call_id="1")],
            QuestionError,
            "the tool call '1', which no message",
        ),
        (
            [FunctionMessage(content="3", name="f")],
            QuestionError,
            "of the kind 'function'",
        ),
        ([("robot", "hello")], ValueError, "robot"),
    ],
)
def test_messages_that_cannot_be_answered(
    chat: ChatEntropyTree, messages: Any, kind: type[Exception], says: str
) -> None:
    errors = Errors()
    with pytest.raises(kind, match=says):
        chat.invoke(messages, config={"callbacks": [errors]})
    with pytest.raises(kind, match=says):
        list(chat.stream(messages, config={"callbacks": [errors]}))
    if kind is QuestionError:
        assert len(errors.seen) == 2
        assert all(isinstance(error, QuestionError) for error in errors.seen)


def test_callbacks_see_every_error() -> None:
    errors = Errors()
    config: Any = {"callbacks": [errors]}
    closed = ScriptedModel.from_texts(TEXTS)
    closed.close()
    cases: list[tuple[type[Exception], Any]] = [
        (ModelClosedError, lambda: ChatEntropyTree(engine=closed).invoke(QUESTION, config=config)),
        (
            UnsupportedModelError,
            lambda: ChatEntropyTree(engine=ScriptedModel.from_texts(TEXTS, tools=False))
            .bind_tools([add])
            .invoke(QUESTION, config=config),
        ),
        (
            SettingsError,
            lambda: scripted(TEXTS)
            .bind_tools([{"title": "odd", "description": "odd", "type": "object",
                          "properties": {"a": {"not": {}}}}])
            .invoke(QUESTION, config=config),
        ),
        (SettingsError, lambda: scripted(TEXTS).invoke(QUESTION, config=config, top_k=3)),
        (SettingsError, lambda: scripted(TEXTS).invoke(QUESTION, config=config, leaves=0)),
    ]  # fmt: skip
    for number, (kind, run) in enumerate(cases, 1):
        with pytest.raises(kind) as caught:
            run()
        assert isinstance(caught.value, EtAgentError)
        assert len(errors.seen) == number
        assert errors.seen[-1] is caught.value


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"temprature": 1}, "temprature"),
        ({"temperature": -1}, "temperature"),
        ({"leaves": 0}, "leaves"),
        ({"kind": "novel"}, "use one of number"),
        ({"engine": "qwen"}, "engine is a str"),
        ({"decoder": {"name": "Beam"}}, "use one of EntropyTree"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_settings_that_are_none(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        ChatEntropyTree(**settings)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ({"choose": "foo"}, "choose: .*'best' or 'sample'"),
        ({"timeout": "x"}, "timeout: .*number"),
        ({"timeout": -1}, "timeout: "),
        ({"kind": "novel"}, "use one of number"),
        ({"seed": -1}, "seed: "),
        ({"logprobs": "perhaps"}, "logprobs: "),
        ({"system_prompt": 3}, "system_prompt: "),
        ({"tools": [{}]}, "tool 1 has no name"),
        ({"stop": ["\\boxed"]}, "stop sequence .* would end paths before the answer"),
        ({"stop": "Done"}, "stop is 'Done': pass a list"),
        ({"temperature": "hot"}, "temperature"),
        ({"model": "nonsense"}, "model is 'nonsense', but the chat model has an engine"),
    ],
)
async def test_settings_of_a_call_that_are_none(
    chat: ChatEntropyTree, call: dict[str, Any], says: str
) -> None:
    before = chat.model_copy()
    with pytest.raises(SettingsError, match=says):
        chat.invoke(QUESTION, **call)
    with pytest.raises(SettingsError, match=says):
        await chat.ainvoke(QUESTION, **call)
    assert chat == before, "a call changes nothing"


def stands_still(model: ScriptedModel) -> bool:
    """Whether nothing is decoded any more, once the step on its way is over."""
    model.submit(lambda: None).result(timeout=60)
    before = model.decoded
    time.sleep(0.1)
    return model.decoded == before


async def decodes(model: ScriptedModel) -> None:
    """Wait until the model is at work."""
    before, limit = model.decoded, time.monotonic() + 10
    while model.decoded - before <= 30:
        assert time.monotonic() < limit
        await asyncio.sleep(0.01)


ENDLESS: dict[str, Any] = {"decoder": Greedy(max_tokens=7000), "system_prompt": ""}


async def test_a_cancelled_task_stops_decoding() -> None:
    with endless() as model:
        chat = ChatEntropyTree(engine=model, **ENDLESS)
        for way in (chat.ainvoke(QUESTION), chat.abatch([QUESTION, "Why?"])):
            task = asyncio.ensure_future(way)
            await decodes(model)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert stands_still(model)

        async def consume() -> None:
            async for _ in chat.astream(QUESTION):
                pass

        task = asyncio.ensure_future(consume())
        await decodes(model)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stands_still(model)


async def test_a_task_cancelled_while_the_model_is_loaded_decodes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with endless() as model:
        go_on = threading.Event()

        def load_slowly(*_: Any, **__: Any) -> ScriptedModel:
            go_on.wait(10)
            return model

        monkeypatch.setattr(loading, "load_model", load_slowly)
        chat = ChatEntropyTree(model="slow-to-load", **ENDLESS)
        task = asyncio.ensure_future(chat.ainvoke(QUESTION))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        await asyncio.sleep(0.2)
        assert stands_still(model)
        assert model.decoded < 60
        _engines.close_engines()


async def test_a_time_limit_stops_decoding() -> None:
    with endless() as model:
        chat = ChatEntropyTree(engine=model, timeout=0.1, **ENDLESS)
        with pytest.raises(TimeLimitError, match=r"within 0\.1 seconds") as caught:
            chat.invoke(QUESTION)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.__cause__ is not None
        assert stands_still(model)
        with pytest.raises(TimeLimitError):
            await chat.ainvoke(QUESTION)
        assert stands_still(model)


async def test_the_event_loop_goes_on_while_messages_are_decoded() -> None:
    with endless(0.0005) as model:
        chat = ChatEntropyTree(engine=model, decoder=Greedy(max_tokens=200), system_prompt="")
        task = asyncio.ensure_future(chat.abatch([QUESTION] * 4))
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.005)
            ticks += 1
        assert ticks > 20
        assert len(await task) == 4


async def test_questions_at_the_same_time_share_batches() -> None:
    prompts: list[LanguageModelInput] = [f"{QUESTION} {number}" for number in range(6)]
    model = Counting(endless_script(0.001))
    with model:
        chat = ChatEntropyTree(engine=model, decoder=Greedy(max_tokens=80), system_prompt="")

        async def generated() -> list[BaseMessage]:
            made = await chat.agenerate([[HumanMessage(str(one))] for one in prompts])
            return [
                one[0].message for one in made.generations if isinstance(one[0], ChatGeneration)
            ]

        for way in (lambda: asyncio.to_thread(chat.batch, prompts), lambda: chat.abatch(prompts),
                    generated):  # fmt: skip
            before = model.calls
            messages = await way()
            assert len(messages) == 6
            steps = sum(result_of(one).usage.steps for one in messages)
            # Alone each would take as many calls as it has steps.
            assert steps >= 6 * 80
            assert model.calls - before < steps / 3
