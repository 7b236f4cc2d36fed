from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompt_values import ChatPromptValue, ImagePromptValue, StringPromptValue

from et_agent.errors import QuestionError
from et_agent.runnables.messages import conversation, question_of

CALL = {"name": "add", "args": {"a": 2, "b": 3}, "id": "c1", "type": "tool_call"}


@pytest.mark.parametrize(
    "value",
    [
        "Why?",
        HumanMessage("Why?"),
        [HumanMessage("Why?")],
        [("human", "Why?")],
        [{"role": "user", "content": "Why?"}],
        ["Why?"],
        StringPromptValue(text="Why?"),
        ChatPromptValue(messages=[HumanMessage("Why?")]),
        [ChatMessage(role="user", content="Why?")],
        [HumanMessage([{"type": "text", "text": "Wh"}, "y?"])],
    ],
)
def test_a_question_in_every_form_that_langchain_has(value: Any) -> None:
    assert conversation(value) == [{"role": "user", "content": "Why?"}]
    assert question_of(value) == ("Why?", None)


def test_a_system_message_is_the_system_prompt() -> None:
    brief = [SystemMessage("Be brief."), HumanMessage("Why?")]
    assert conversation(brief)[0] == {"role": "system", "content": "Be brief."}
    assert question_of(brief) == ("Why?", "Be brief.")
    developer: list[Any] = [ChatMessage(role="developer", content="Be brief."), ("human", "Why?")]
    assert question_of(developer) == ("Why?", "Be brief.")


def test_a_conversation_is_passed_on_whole() -> None:
    said = [HumanMessage("a"), AIMessage("b"), HumanMessage("c")]
    assert question_of(said) == (conversation(said), None)
    with_system = [SystemMessage("Be brief."), *said]
    assert question_of(with_system) == (conversation(with_system), "")


def test_a_whole_conversation_with_tools() -> None:
    thought: list[str | dict[str, Any]] = [
        {"type": "reasoning", "reasoning": "hm"},
        {"type": "text", "text": "I add."},
    ]
    assert conversation(
        [
            HumanMessage("2 + 3?"),
            AIMessage(thought, tool_calls=[CALL]),
            ToolMessage("5", tool_call_id="c1"),
        ]
    ) == [
        {"role": "user", "content": "2 + 3?"},
        {
            "role": "assistant",
            "content": "I add.",
            "reasoning_content": "hm",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "add", "arguments": {"a": 2, "b": 3}},
                }
            ],
        },
        {"role": "tool", "content": "5", "tool_call_id": "c1"},
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "there are no messages"),
        (ChatPromptValue(messages=[]), "there are no messages"),
        ({"question": "Why?"}, "a dict is not a question"),
        (None, "None is not a question"),
        (b"Why?", "a bytes is not a question"),
        ([42], "cannot be read"),
        ([("martian", "Why?")], "cannot be read"),
        ([ToolMessage("5", tool_call_id="c9")], "tool call 'c9', which no message before it makes"),
        (
            [ToolMessage("5", tool_call_id="c1"), AIMessage("", tool_calls=[CALL])],
            "message 1 answers the tool call 'c1'",
        ),
        (ImagePromptValue(image_url={"url": "http://x/y.png"}), "holds an image: only text"),
        (
            [HumanMessage([{"type": "image_url", "image_url": {"url": "data:"}}])],
            "message 1 holds an image",
        ),
        (
            [HumanMessage([{"type": "audio", "base64": ""}])],
            "message 1 holds a block of the kind 'audio'",
        ),
        (
            [HumanMessage([{"type": "reasoning", "reasoning": "hm"}])],
            "a block of the kind 'reasoning'",
        ),
        ([HumanMessage([{"type": "text", "text": None}])], "a text block whose text is None"),
        ([HumanMessage([{"type": "text"}])], "a text block whose text is None: give it a text"),
        ([FunctionMessage(content="5", name="add")], "of the kind 'function'"),
        ([RemoveMessage(id="1")], "of the kind 'remove'"),
        ([ChatMessage(role="pirate", content="Arr")], "of the kind 'pirate'"),
    ],
)
def test_what_is_refused(value: Any, message: str) -> None:
    with pytest.raises(QuestionError, match=message):
        conversation(value)


def test_an_error_of_langchain_is_the_cause() -> None:
    with pytest.raises(QuestionError) as caught:
        conversation([("martian", "Why?")])
    assert caught.value.__cause__ is not None


def test_a_call_that_is_not_json_is_left_out_with_what_answers_it() -> None:
    broken = {"name": "add", "args": '{"a": 2', "id": "c2", "error": None}
    both = AIMessage("", tool_calls=[CALL], invalid_tool_calls=[broken])
    told = [ToolMessage("5", tool_call_id="c1"), ToolMessage("malformed", tool_call_id="c2")]
    found = conversation([HumanMessage("2 + 3?"), both, *told])
    assert [one["role"] for one in found] == ["user", "assistant", "tool"]
    assert [call["id"] for call in found[1]["tool_calls"]] == ["c1"]
