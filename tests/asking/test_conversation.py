from typing import Any

import pytest

from et_agent.asking.conversation import Conversation, is_conversation
from et_agent.errors import QuestionError
from et_agent.templates.messages import Message

CALL = {"id": "1", "function": {"name": "add", "arguments": {"a": 1}}}


def said(role: str, content: Any = "text", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def called(name: object, arguments: object) -> list[dict[str, Any]]:
    call = {"function": {"name": name, "arguments": arguments}}
    return [said("user"), said("assistant", "", tool_calls=[call])]


CALLING = said("assistant", "", tool_calls=[CALL])


def test_a_question_is_a_conversation_of_one_message() -> None:
    made = Conversation.of("Why?")
    assert made.messages == ({"role": "user", "content": "Why?"},)
    assert (made.question, made.system, made.single) == ("Why?", "", True)


def test_the_last_user_message_is_the_question() -> None:
    made = Conversation.of(
        [
            said("system", "Be kind."),
            said("user", "One?"),
            said("assistant"),
            said("user", "Two?"),
            CALLING,
            said("tool", "3", tool_call_id="1"),
        ]
    )
    assert (made.question, made.system, made.single) == ("Two?", "Be kind.", False)
    assert made.messages[-1] == {"role": "tool", "content": "3", "tool_call_id": "1"}
    assert made.messages[-2]["tool_calls"][0]["function"]["arguments"] == {"a": 1}


@pytest.mark.parametrize(
    ("messages", "informed"),
    [
        ([said("system", "Be kind."), said("user"), said("assistant"), said("user")], False),
        ([said("user"), said("assistant")], False),
        ([said("user"), CALLING, said("tool", "3", tool_call_id="1")], True),
        ([said("user"), said("assistant"), said("system", "Be brief."), said("user")], True),
    ],
)
def test_what_is_more_than_turns_is_known(messages: list[Message], informed: bool) -> None:
    made = Conversation.of(messages)
    assert made.informed == informed
    assert made.with_system("Box it.").informed == informed


def test_a_system_prompt_stands_behind_the_conversations_own() -> None:
    alone = Conversation.of("Why?")
    assert alone.with_system("") is alone
    assert alone.with_system("Box it.").messages[0] == {"role": "system", "content": "Box it."}
    own = Conversation.of([said("system", "Be kind."), said("user", "Why?")]).with_system("Box it.")
    assert [one["content"] for one in own.messages] == ["Be kind.\n\nBox it.", "Why?"]
    assert own.system == "Be kind.\n\nBox it."
    assert own.single
    assert not Conversation.of([said("user", "Why?"), said("system", "Be kind.")]).single


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "conversation is empty"),
        ([said("system")], "only system messages"),
        ([said("assistant")], "no user message"),
        ([said("user", " ")], "last user message is empty"),
        ([said("user", None)], "is None: pass a string"),
        ([said("user", 3)], "int: pass a string"),
        ([said("user", "a\0")], "NUL"),
        ([said("user"), said("assistant", "\ud800")], "content of message 2 is not valid UTF-8"),
        ([said("user", [{"type": "image"}])], "message 1 consists of parts, but only text"),
        ([said("developer")], "role 'developer': use one of system, user"),
        ([{"content": "x"}], "role None"),
        (["text", said("user")], "message 1 is a str"),
        ([said("user", tool_calls=[CALL])], "only an assistant's message"),
        (
            [said("user"), said("tool", tool_call_id="1")],
            "the call '1', which the assistant's message before it does not make",
        ),
        (
            [said("user"), said("tool")],
            "for a call, which the assistant's message before it does not make",
        ),
        ([said("user"), CALLING, said("tool", tool_call_id="2")], "the call '2'"),
        ([said("user"), CALLING, said("user"), said("tool", tool_call_id="1")], "the call '1'"),
        ([said("user"), said("assistant", "", tool_calls=[{}])], "lacks 'function'"),
        ([said("user"), said("assistant", "", tool_calls=["x"])], "lacks a function"),
        ([said("user"), said("assistant", "", tool_calls=5)], "pass a list of calls"),
        ([said("user"), said("assistant", "", tool_calls="ab")], "pass a list of calls"),
        (
            called("", {}),
            "tool's name in message 2 is empty",
        ),
        (
            called("a", "{}"),
            "str: pass a dict of arguments by name",
        ),
        (
            called("a", {"x": {1}}),
            "is not valid JSON",
        ),
        (
            called("a", {"x": "\ud800"}),
            "not valid UTF-8",
        ),
        (b"bytes", "bytes: pass a string"),
        (None, "is None: pass a string"),
        ("", "the question is empty"),
    ],
)
def test_what_no_model_can_answer(messages: object, says: str) -> None:
    with pytest.raises(QuestionError, match=says):
        Conversation.of(messages)


def test_several_tools_may_answer_one_message() -> None:
    calls = [CALL, {"id": "2", "function": {"name": "add", "arguments": {}}}]
    Conversation.of(
        [
            said("user"),
            said("assistant", None, tool_calls=calls),
            said("tool", tool_call_id="2"),
            said("tool", tool_call_id="1"),
        ]
    )


def test_what_is_a_conversation() -> None:
    message: Message = {"role": "user", "content": "x"}
    assert is_conversation([message])
    assert not is_conversation([])
    assert not is_conversation("x")
    assert not is_conversation(["x"])
    assert not is_conversation([[message]])
