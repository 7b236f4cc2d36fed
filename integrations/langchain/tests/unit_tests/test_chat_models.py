"""`ChatEntropyTree` on a scripted model."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.load import dumpd, load
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration
from langchain_core.prompts import ChatPromptTemplate
from langchain_et_agent import ChatEntropyTree, _engines
from numpy.typing import NDArray
from pydantic import BaseModel

from et_agent import AskResult, EntropyTree, Greedy, MultiChain, ScriptedModel, ask
from et_agent.errors import (
    EtAgentError,
    ModelClosedError,
    QuestionError,
    SettingsError,
    TimeLimitError,
    UnsupportedModelError,
)
from et_agent.models.base import Batch, Step
from et_agent.models.scripted import VOCABULARY

TEXTS = {
    "So \\boxed{4}": 0.4,
    "Well, the answer is 4.": 0.2,
    "So \\boxed{5}": 0.3,
    "Who knows": 0.1,
}
QUESTION = "How many legs has a cat?"
CALL = '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>'
REPLIES = {CALL: 0.5, f"I add. {CALL}": 0.2, "It is \\boxed{3}": 0.3}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Person(BaseModel):
    """A person."""

    name: str
    age: int


PERSON = {'{"name": "Ann", "age": 3}': 0.6, '{"name":"Ann","age":3}': 0.2, '{"name": "Bob"': 0.2}


@pytest.fixture(autouse=True)
def _no_pilots(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel.from_texts(TEXTS) as scripted:
        yield scripted


@pytest.fixture
def chat(model: ScriptedModel) -> ChatEntropyTree:
    return ChatEntropyTree(engine=model, leaves=8, seed=3)


def scripted(texts: dict[str, float], **settings: Any) -> ChatEntropyTree:
    return ChatEntropyTree(engine=ScriptedModel.from_texts(texts), **settings)


def result_of(message: BaseMessage) -> AskResult:
    return AskResult.model_validate(message.response_metadata["et_agent"])


def merged(chunks: Sequence[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole


def essence(message: BaseMessage) -> dict[str, Any]:
    """What has to be the same however a message was asked for: all but ids and seconds."""
    assert isinstance(message, AIMessage)
    metadata = {**message.response_metadata}
    metadata["et_agent"] = {**metadata["et_agent"], "usage": None}
    calls = [(call["name"], call["args"]) for call in message.tool_calls]
    return {
        "content": message.content,
        "calls": calls,
        "usage": message.usage_metadata,
        "metadata": metadata,
    }


# --- Messages


def test_the_message_is_the_winning_leaf_and_carries_the_result(
    chat: ChatEntropyTree, model: ScriptedModel
) -> None:
    message = chat.invoke(QUESTION)
    asked = ask(model, QUESTION, decoder=EntropyTree(leaves=8), seed=3)
    assert asked.best_leaf is not None
    assert message.content == asked.best_leaf.text
    found = result_of(message)
    assert found.tree is None
    assert found.distribution == asked.distribution
    assert found.answer == asked.answer == "4"
    assert message.usage_metadata == {
        "input_tokens": asked.usage.prompt_tokens,
        "output_tokens": asked.usage.tokens_decoded,
        "total_tokens": asked.usage.prompt_tokens + asked.usage.tokens_decoded,
    }
    assert message.response_metadata["model_name"] == chat.model
    assert message.response_metadata["model_provider"] == "et_agent"
    assert message.response_metadata["finish_reason"] == "stop"
    json.dumps(message.response_metadata, allow_nan=False)


async def test_all_ways_to_ask_give_the_same_message(chat: ChatEntropyTree) -> None:
    chat = ChatEntropyTree(engine=chat.engine, leaves=8, seed=3, logprobs=True)
    expected = essence(chat.invoke(QUESTION))
    ways = {
        "ainvoke": await chat.ainvoke(QUESTION),
        "batch": chat.batch([QUESTION])[0],
        "abatch": (await chat.abatch([QUESTION]))[0],
        "stream": merged(list(chat.stream(QUESTION))),
        "astream": merged([chunk async for chunk in chat.astream(QUESTION)]),
        "streaming": ChatEntropyTree(
            engine=chat.engine, leaves=8, seed=3, logprobs=True, streaming=True
        ).invoke(QUESTION),
    }
    async for event in chat.astream_events(QUESTION, version="v2"):
        if event["event"] == "on_chat_model_end":
            ways["astream_events"] = event["data"]["output"]
    assert set(ways) >= {"astream_events"}
    for way, message in ways.items():
        assert essence(message) == expected, way


@pytest.mark.parametrize("tools", [False, True])
def test_a_stream_says_once_what_is_said_once(tools: bool) -> None:
    chat = scripted(REPLIES, leaves=8)
    runnable = chat.bind_tools([add], tool_choice="any") if tools else chat
    chunks = list(runnable.stream(QUESTION))
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    *before, last = [chunk for chunk in chunks if isinstance(chunk, AIMessageChunk)]
    assert last.chunk_position == "last"
    assert {"et_agent", "model_name", "model_provider"} <= set(last.response_metadata)
    assert last.usage_metadata is not None
    for chunk in before:
        assert chunk.usage_metadata is None
        assert "et_agent" not in chunk.response_metadata
        assert "model_name" not in chunk.response_metadata
    whole = merged([*before, last])
    assert essence(whole) == essence(runnable.invoke(QUESTION))
    assert len(whole.tool_calls) == tools


def test_log_probabilities_are_those_of_the_messages_tokens() -> None:
    chat = scripted({"So \\boxed{4} END": 1.0}, decoder=Greedy(), logprobs=True)
    message = chat.invoke(QUESTION, stop=["END"])
    content = message.response_metadata["logprobs"]["content"]
    assert "".join(one["token"] for one in content) == message.content == "So \\boxed{4} "
    assert all(set(one) == {"token", "logprob", "bytes", "top_logprobs"} for one in content)
    assert all(one["logprob"] == pytest.approx(0, abs=1e-5) for one in content)
    assert bytes(byte for one in content for byte in one["bytes"]).decode() == message.content
    assert "logprobs" not in chat.invoke(QUESTION, logprobs=False).response_metadata


def test_a_sampled_leaf_is_drawn_by_its_weight(model: ScriptedModel) -> None:
    decoder = EntropyTree(schedule="stratified", leaves=16, temperature=1)
    chat = ChatEntropyTree(engine=model, decoder=decoder, choose="sample")
    said = [chat.invoke(QUESTION, seed=seed).content for seed in range(60)]
    assert said[0] == chat.invoke(QUESTION, seed=0).content
    assert set(said) == set(TEXTS)
    assert 0.2 < said.count("So \\boxed{5}") / 60 < 0.4
    best = {chat.invoke(QUESTION, seed=seed, choose="best").content for seed in range(5)}
    assert best <= {"So \\boxed{4}", "Well, the answer is 4."}


def test_settings_of_a_call_hold_for_that_call(chat: ChatEntropyTree) -> None:
    def decoder(**call: Any) -> dict[str, Any]:
        return result_of(chat.invoke(QUESTION, **call)).decoder

    assert decoder()["leaves"] == 8
    called = decoder(leaves=4, temperature=1.0, max_tokens=30)
    assert (called["leaves"], called["temperature"], called["max_tokens"]) == (4, 1.0, 30)
    assert decoder(temperature=0)["name"] == "Greedy"
    assert result_of(chat.bind(seed=7).invoke(QUESTION)).seed == 7
    assert result_of(chat.invoke(QUESTION, kind="text")).kind == "text"
    assert result_of(chat.invoke(QUESTION, system_prompt="Be brief.")).instruction == "Be brief."
    own = ChatEntropyTree(engine=chat.engine, decoder=MultiChain(leaves=3))
    assert result_of(own.invoke(QUESTION)).decoder["name"] == "MultiChain"
    assert result_of(own.invoke(QUESTION, leaves=2)).usage.leaves == 2


def test_stop_sequences_of_model_and_call() -> None:
    chat = scripted({"So \\boxed{42} and more": 1.0}, decoder=Greedy(), stop=[" more"])
    assert chat.invoke(QUESTION).content == "So \\boxed{42} and"
    assert chat.invoke(QUESTION, stop=[" and"]).content == "So \\boxed{42}"
    inside = chat.invoke(QUESTION, stop=["}"])
    assert (inside.content, result_of(inside).answer) == ("So \\boxed{42", "42")
    open_box = chat.invoke(QUESTION, stop=["2"])
    assert (open_box.content, result_of(open_box).answer) == ("So \\boxed{4", None)


def test_chains_on_both_sides(chat: ChatEntropyTree) -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Be {how}."), ("human", "{question}")])
    chain = prompt | chat | StrOutputParser()
    assert chain.invoke({"how": "kind", "question": QUESTION}) in TEXTS
    assert (
        "Be kind."
        in result_of((prompt | chat).invoke({"how": "kind", "question": QUESTION})).instruction
    )


# --- Tools


@pytest.mark.parametrize("choice", ["any", "required", True, "add", {"function": {"name": "add"}}])
def test_forced_calls(choice: Any) -> None:
    message = scripted(REPLIES, leaves=8).bind_tools([add], tool_choice=choice).invoke(QUESTION)
    assert isinstance(message, AIMessage)
    (call,) = message.tool_calls
    assert (call["name"], call["args"], call["type"]) == ("add", {"a": 1, "b": 2}, "tool_call")
    assert call["id"]
    assert message.content == ""
    assert message.response_metadata["finish_reason"] == "tool_calls"
    found = result_of(message)
    assert found.tool_calls[0].arguments == {"a": 1, "b": 2}
    assert found.share == pytest.approx(1)


def test_the_model_may_call_or_say() -> None:
    decoder = EntropyTree(schedule="stratified", leaves=32, temperature=1)
    chat = scripted(REPLIES, decoder=decoder)
    message = chat.bind_tools([add]).invoke(QUESTION)
    assert isinstance(message, AIMessage)
    assert len(message.tool_calls) == 1
    shares = {one.answer: one.share for one in result_of(message).distribution}
    assert shares == pytest.approx({'add({"a":1,"b":2})': 0.7, "3": 0.3}, abs=0.05)
    said = chat.bind_tools([add], tool_choice="none").invoke(QUESTION)
    assert isinstance(said, AIMessage)
    assert said.tool_calls == []
    spoken = scripted({f"I add. {CALL}": 1.0}, leaves=2).bind_tools([add]).invoke(QUESTION)
    assert spoken.content == "I add."


def test_a_call_that_is_cut_off_is_an_invalid_one() -> None:
    runnable = scripted(REPLIES, decoder=Greedy(max_tokens=40)).bind_tools([add], tool_choice="any")
    for message in (runnable.invoke(QUESTION), merged(list(runnable.stream(QUESTION)))):  # type: ignore[arg-type]
        assert isinstance(message, AIMessage)
        assert (message.content, message.tool_calls) == ("", [])
        (invalid,) = message.invalid_tool_calls
        assert invalid["args"] == CALL[:40]
        assert message.response_metadata["finish_reason"] == "length"


def test_a_conversation_goes_on_after_a_tool() -> None:
    chat = scripted({"It is \\boxed{3}": 1.0}, leaves=2).bind_tools([add])
    calling = AIMessage(
        [
            {"type": "text", "text": "I add."},
            {"type": "tool_use", "id": "1", "name": "add", "input": {"a": 1, "b": 2}},
        ],
        tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "1", "type": "tool_call"}],
    )
    message = chat.invoke([HumanMessage("1 + 2?"), calling, ToolMessage("3", tool_call_id="1")])
    assert message.content == "It is \\boxed{3}"


def test_an_agent_calls_its_tool_and_answers() -> None:
    def replies(prompt: str) -> dict[str, float]:
        return {"It is \\boxed{3}": 1.0} if prompt.strip().endswith("\n3") else {CALL: 1.0}

    with ScriptedModel.from_texts(replies) as model:
        agent = create_agent(ChatEntropyTree(engine=model, leaves=2), [add], system_prompt="Add.")
        state = agent.invoke({"messages": [HumanMessage("1 + 2?")]})
    kinds = [message.type for message in state["messages"]]
    assert kinds == ["human", "ai", "tool", "ai"]
    assert state["messages"][2].content == "3"
    assert state["messages"][-1].content == "It is \\boxed{3}"
    assert result_of(state["messages"][1]).kind == "tool_call"


def test_an_agent_gives_structured_output() -> None:
    call = '<tool_call>{"name": "Person", "arguments": {"name": "Ann", "age": 3}}</tool_call>'
    with ScriptedModel.from_texts({call: 1.0}) as model:
        chat = ChatEntropyTree(engine=model, leaves=2)
        agent = create_agent(chat, [add], response_format=ToolStrategy(Person))
        state = agent.invoke({"messages": [HumanMessage("Who?")]})
    assert state["structured_response"] == Person(name="Ann", age=3)


@pytest.mark.parametrize("choice", ["sub", {"function": {}}, 3])
def test_tool_choices_that_are_none(chat: ChatEntropyTree, choice: Any) -> None:
    with pytest.raises(SettingsError, match="tool_choice"):
        chat.bind_tools([add], tool_choice=choice)


# --- Structured output


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize("schema", [Person, Person.model_json_schema()])
def test_structured_output_fits_its_schema(schema: Any, include_raw: bool) -> None:
    chat = scripted(PERSON, decoder=MultiChain(leaves=8, temperature=1))
    made = chat.with_structured_output(schema, include_raw=include_raw).invoke(QUESTION)
    parsed = made["parsed"] if include_raw else made
    expected = {"name": "Ann", "age": 3}
    assert parsed == (Person(**expected) if schema is Person else expected)
    if include_raw:
        assert made["parsing_error"] is None
        found = result_of(made["raw"])
        assert (found.kind, found.answer) == ("json", '{"age":3,"name":"Ann"}')


def test_structured_output_by_other_ways() -> None:
    call = '<tool_call>{"name": "Person", "arguments": {"name": "Ann", "age": 3}}</tool_call>'
    by_call = scripted({call: 1.0}, leaves=2).with_structured_output(
        Person, method="function_calling"
    )
    assert by_call.invoke(QUESTION) == Person(name="Ann", age=3)
    by_mode = scripted({'{"name": "Ann", "age": 3}': 1.0}, leaves=2).with_structured_output(
        Person, method="json_mode"
    )
    assert by_mode.invoke(QUESTION) == Person(name="Ann", age=3)
    with pytest.raises(SettingsError, match="method is 'yaml'"):
        scripted(PERSON).with_structured_output(Person, method="yaml")  # type: ignore[arg-type]


def test_output_that_is_cut_off_does_not_parse() -> None:
    chat = scripted(PERSON, decoder=Greedy(max_tokens=9))
    with pytest.raises(OutputParserException):
        chat.with_structured_output(Person).invoke(QUESTION)
    made = chat.with_structured_output(Person, include_raw=True).invoke(QUESTION)
    assert made["parsed"] is None
    assert isinstance(made["parsing_error"], OutputParserException)


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"type": "xml"}, "response_format is"),
        ({"type": "json_schema"}, "response_format is"),
        ({"type": "json_schema", "json_schema": {"schema": {"not": {}}}}, "cannot express"),
    ],
)
def test_response_formats_that_are_none(chat: ChatEntropyTree, form: Any, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        chat.invoke(QUESTION, response_format=form)
    assert chat.invoke(QUESTION, response_format={"type": "text"}).content


# --- Errors


class Errors(BaseCallbackHandler):
    def __init__(self) -> None:
        self.seen: list[BaseException] = []

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        self.seen.append(error)


IMAGE = HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}])


@pytest.mark.parametrize(
    ("messages", "kind", "says"),
    [
        ([], QuestionError, "conversation is empty"),
        ([SystemMessage("Be kind.")], QuestionError, "only system messages"),
        ([HumanMessage(" ")], QuestionError, "empty"),
        ([IMAGE], QuestionError, "'image_url': only text is supported, no images"),
        (
            [
                HumanMessage("?"),
                AIMessage([{"type": "image", "url": "x"}]),
                HumanMessage("?"),
            ],
            QuestionError,
            "message 2 holds a part of type 'image'",
        ),
        ([HumanMessage("?"), ToolMessage("3", tool_call_id="1")], QuestionError, "the call '1'"),
        (
            [FunctionMessage(content="3", name="f")],
            QuestionError,
            "FunctionMessage, which chat templates",
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
    if kind is QuestionError and messages:
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


# --- Time: a model without end


def endless_script(delay: float) -> Callable[[str, Sequence[int]], NDArray[np.float32]]:
    def script(_prompt: str, _tokens: Sequence[int]) -> NDArray[np.float32]:
        time.sleep(delay)
        logits = np.full(VOCABULARY, -1e9, dtype=np.float32)
        logits[ord("a")] = 0
        return logits

    return script


def endless(delay: float = 0.002) -> ScriptedModel:
    return ScriptedModel(endless_script(delay))


def stands_still(model: ScriptedModel) -> bool:
    """Whether nothing is decoded any more, one step aside."""
    time.sleep(0.02)
    before = model.decoded
    time.sleep(0.1)
    return model.decoded == before


ENDLESS: dict[str, Any] = {"decoder": Greedy(max_tokens=7000), "system_prompt": ""}


async def test_a_cancelled_task_stops_decoding() -> None:
    with endless() as model:
        chat = ChatEntropyTree(engine=model, **ENDLESS)
        for way in (chat.ainvoke(QUESTION), chat.abatch([QUESTION, "Why?"])):
            task = asyncio.ensure_future(way)
            await asyncio.sleep(0.15)
            assert model.decoded > 30
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert stands_still(model)

        async def consume() -> None:
            async for _ in chat.astream(QUESTION):
                pass

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0.15)
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

        monkeypatch.setattr(_engines, "load_model", load_slowly)
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


class Counting(ScriptedModel):
    """Counts its decode calls."""

    calls = 0

    def decode(self, batch: Batch) -> Step:
        self.calls += 1
        return super().decode(batch)


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


# --- Loading


def test_models_are_loaded_when_first_used_and_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[str, dict[str, Any]]] = []

    def load(name: str, **settings: Any) -> ScriptedModel:
        loaded.append((name, settings))
        return ScriptedModel.from_texts(TEXTS)

    monkeypatch.setattr(_engines, "load_model", load)
    one = ChatEntropyTree(model="a", leaves=2)
    other = ChatEntropyTree(model="a", leaves=3, temperature=0.5)
    assert loaded == []
    one.invoke(QUESTION)
    other.invoke(QUESTION)
    one.with_config(tags=["x"]).batch([QUESTION] * 3)
    assert loaded == [("a", {"context": 8192, "threads": None, "max_sequences": 64})]
    assert one.invoke(QUESTION, model="b").response_metadata["model_name"] == "b"
    assert one.invoke(QUESTION).response_metadata["model_name"] == "a"
    ChatEntropyTree(model="a", threads=1).invoke(QUESTION)
    assert [name for name, _ in loaded] == ["a", "b", "a"]
    _engines.close_engines()
    one.invoke(QUESTION)
    assert len(loaded) == 4, "loaded again after they were freed"
    _engines.close_engines()


def test_a_model_that_cannot_be_loaded_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = ChatEntropyTree(model="no-such-model")
    errors = Errors()
    with pytest.raises(EtAgentError):
        chat.invoke(QUESTION, config={"callbacks": [errors]})
    assert len(errors.seen) == 1
    monkeypatch.setattr(_engines, "load_model", lambda *_, **__: ScriptedModel.from_texts(TEXTS))
    assert chat.invoke(QUESTION).content
    _engines.close_engines()


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_settings_are_written_and_read_without_weights(model: ScriptedModel) -> None:
    decoder = EntropyTree(leaves=5, schedule="stratified")
    chat = ChatEntropyTree(
        model="a", engine=model, decoder=decoder, kind="number", stop=["x"], api_key="secret"
    )
    written = dumpd(chat)
    assert "secret" not in json.dumps(written)
    again = load(
        written, allowed_objects=[ChatEntropyTree], valid_namespaces=["langchain_et_agent"]
    )
    assert isinstance(again, ChatEntropyTree)
    assert (again.decoder, again.kind, again.stop) == (decoder, "number", ["x"])
    assert again.engine is None
    assert again.asdict() == chat.asdict()


def test_traces_name_the_model(chat: ChatEntropyTree) -> None:
    traced = chat._get_ls_params(stop=["x"], model="b")
    assert (traced["ls_provider"], traced["ls_model_name"]) == ("et_agent", "b")
    assert traced["ls_stop"] == ["x"]
