"""The chat model over a server that it names by its address."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_et_agent import ChatEntropyTree, close_engines, result_of
from pydantic import BaseModel

from et_agent.errors import SettingsError, TimeLimitError, UnsupportedModelError
from tests.engines.openai_server import Body, OpenAIServer, Raw, choice, completion, serving


class Sum(BaseModel):
    """A sum."""

    total: int


def respond(body: Body) -> Body:
    if body.get("tools"):
        function = {"name": "Sum", "arguments": '{"total": 5}'}
        call = {"id": "1", "type": "function", "function": function}
        return completion(choice(None, tool_calls=[call], finish="tool_calls"))
    if "response_format" in body:
        return completion(choice('{"total": 5}'))
    return completion(choice("It is \\boxed{5}", reasoning_content="2 and 3"))


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with serving(respond) as made:
        yield made
    close_engines()


@pytest.fixture
def chat(server: OpenAIServer) -> ChatEntropyTree:
    return ChatEntropyTree(model=server.url, leaves=3)


async def test_messages_have_answer_thought_and_confidence(chat: ChatEntropyTree) -> None:
    said = [SystemMessage("Add."), HumanMessage("2 + 3?")]
    message = await chat.ainvoke(said)
    assert message.content == "It is \\boxed{5}"
    assert message.additional_kwargs["reasoning_content"] == "2 and 3"
    result = result_of(message)
    assert result is not None
    assert message.response_metadata["model_name"] == "tiny"
    assert "127.0.0.1" not in message.model_dump_json()
    assert "127.0.0.1" not in str(chat._get_ls_params())
    assert result.answer == "5"
    assert result.confidence is not None
    whole = None
    async for chunk in chat.astream(said):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    assert whole.content == message.content


def test_log_probabilities_are_those_of_the_server(chat: ChatEntropyTree) -> None:
    message = chat.invoke("2 + 3?", logprobs=True)
    told = message.response_metadata["logprobs"]["content"]
    assert "".join(one["token"] for one in told) == message.content
    assert {one["logprob"] for one in told} == {-0.1}
    json.dumps(message.response_metadata, allow_nan=False)


def test_tools_and_schemas_go_through_the_servers_own(
    chat: ChatEntropyTree, server: OpenAIServer
) -> None:
    message = chat.bind_tools([Sum], tool_choice="any").invoke("2 + 3?")
    (call,) = message.tool_calls
    assert (call["name"], call["args"]) == ("Sum", {"total": 5})
    history = [HumanMessage("2 + 3?"), message, ToolMessage("ok", tool_call_id=call["id"])]
    assert isinstance(chat.bind_tools([Sum]).invoke(history), AIMessage)
    assert server.requests[-1]["messages"][-1]["tool_call_id"] == call["id"]
    assert chat.with_structured_output(Sum).invoke("2 + 3?") == Sum(total=5)
    assert chat.with_structured_output(Sum, method="function_calling").invoke("?") == Sum(total=5)


def test_temperature_zero_is_one_reply(chat: ChatEntropyTree, server: OpenAIServer) -> None:
    chat.invoke("2 + 3?", temperature=0)
    assert server.requests[-1]["temperature"] == 0


async def test_a_timeout_and_a_cancelled_task_close_the_connection() -> None:
    with serving(lambda _: Raw(before=30)) as server:
        chat = ChatEntropyTree(model=server.url, timeout=0.3)
        with pytest.raises(TimeLimitError):
            await asyncio.to_thread(chat.invoke, "2 + 3?")
        assert await asyncio.to_thread(server.closed.wait, 5)
        server.closed.clear()
        with pytest.raises(TimeLimitError):
            await chat.ainvoke("2 + 3?")
        assert await asyncio.to_thread(server.closed.wait, 5)
    close_engines()


def test_what_needs_a_model_in_this_process_is_refused(server: OpenAIServer) -> None:
    with pytest.raises(SettingsError, match="threads"):
        ChatEntropyTree(model=server.url, threads=2).invoke("2 + 3?")
    with pytest.raises(UnsupportedModelError, match="needs logits"):
        ChatEntropyTree(model=server.url).get_num_tokens("some text")
