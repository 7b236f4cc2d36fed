"""Thoughts in messages: apart from what is said, streamed as such, and given back to the template."""

from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_et_agent import ChatEntropyTree

from et_agent import Greedy, ScriptedModel
from et_agent.errors import SettingsError, UnsupportedModelError
from et_agent.templates.messages import Message
from et_agent.templates.reasoning import ReasoningFormat

from .support import CALL, QUESTION, add, essence, merged, result_of

FORM = ReasoningFormat(
    "<think>", "</think>", on={"enable_thinking": True}, off={"enable_thinking": False}
)
THOUGHT = r"Is it \boxed{5}? No."
SAID = r"So \boxed{4}"
TEXTS = {f"<think>\n{THOUGHT}\n</think>\n\n{SAID}": 1.0}


class Asked(ScriptedModel):
    """Keeps the messages that it was asked."""

    messages: tuple[Message, ...] = ()

    def chat_tokens(self, messages: Any, tools: Any = (), options: Any = None) -> list[int]:
        self.messages = tuple(messages)
        return super().chat_tokens(messages, tools, options)


def chat(texts: dict[str, float] = TEXTS, **settings: Any) -> ChatEntropyTree:
    form = settings.pop("reasoning", FORM)
    engine = Asked.from_texts(texts, reasoning=form)
    return ChatEntropyTree(engine=engine, **{"leaves": 4, **settings})


def test_the_content_is_the_answer_and_the_thought_stands_beside_it() -> None:
    message = chat(logprobs=True).invoke(QUESTION)
    assert message.content == message.text == SAID
    assert message.additional_kwargs == {"reasoning_content": THOUGHT}
    assert message.content_blocks == [
        {"type": "reasoning", "reasoning": THOUGHT},
        {"type": "text", "text": SAID},
    ]
    found = result_of(message)
    assert (found.answer, found.reasoning) == ("4", THOUGHT)
    usage = message.usage_metadata
    assert usage is not None
    assert usage["output_token_details"] == {"reasoning": found.usage.reasoning_tokens}
    content = message.response_metadata["logprobs"]["content"]
    assert "".join(one["token"] for one in content) == SAID


async def test_thoughts_are_streamed_before_the_answer() -> None:
    model = chat()
    chunks = [one async for one in model.astream(QUESTION)]
    first, second, *_ = chunks
    assert isinstance(first, AIMessageChunk)
    assert first.additional_kwargs == {"reasoning_content": THOUGHT}
    assert first.content == ""
    assert first.content_blocks == [{"type": "reasoning", "reasoning": THOUGHT}]
    assert second.content == SAID
    assert not second.additional_kwargs
    whole = merged([one for one in chunks if isinstance(one, AIMessageChunk)])
    asked = model.invoke(QUESTION)
    assert essence(whole) == essence(asked)
    assert whole.additional_kwargs == asked.additional_kwargs
    assert whole.content_blocks == asked.content_blocks


def test_a_thought_alone_says_nothing() -> None:
    message = chat({f"<think>{THOUGHT}</think>": 1.0}).invoke(QUESTION)
    assert message.content == ""
    assert message.additional_kwargs == {"reasoning_content": THOUGHT}
    assert result_of(message).answer is None


def test_calls_are_those_after_the_thought() -> None:
    model = chat({f"<think>{CALL}</think>\n\n{CALL.replace('1', '7')}": 1.0})
    message = model.bind_tools([add]).invoke(QUESTION)
    assert isinstance(message, AIMessage)
    assert [call["args"] for call in message.tool_calls] == [{"a": 7, "b": 2}]
    assert message.content == ""
    assert message.additional_kwargs == {"reasoning_content": CALL}
    assert not message.invalid_tool_calls


@pytest.mark.parametrize(
    "said",
    [
        AIMessage(SAID, additional_kwargs={"reasoning_content": THOUGHT}),
        AIMessage([{"type": "reasoning", "reasoning": THOUGHT}, {"type": "text", "text": SAID}]),
        AIMessage([{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": SAID}]),
    ],
    ids=["kwargs", "reasoning", "thinking"],
)
def test_thoughts_of_earlier_turns_are_given_to_the_template(said: AIMessage) -> None:
    model = chat(system_prompt="")
    model.invoke([HumanMessage(QUESTION), said, HumanMessage("And two?")])
    assert isinstance(model.engine, Asked)
    told = [one for one in model.engine.messages if one["role"] == "assistant"]
    assert told == [{"role": "assistant", "content": SAID, "reasoning_content": THOUGHT}]


def test_a_reply_goes_on_in_the_next_turn() -> None:
    model = chat(system_prompt="")
    reply = model.invoke(QUESTION)
    model.invoke([HumanMessage(QUESTION), reply, HumanMessage("And two?")])
    assert isinstance(model.engine, Asked)
    assert {"role": "assistant", "content": SAID, "reasoning_content": THOUGHT} in (
        model.engine.messages
    )


def test_settings_of_the_model_and_of_a_call() -> None:
    off = "<think>\n\n</think>\n\n"
    model = chat({f"{off}{SAID}": 0.5, "<think>abcd\n</think>\n\n5": 0.5}, decoder=Greedy())
    assert result_of(model.invoke(QUESTION, thinking="off")).answer == "4"
    quiet = model.model_copy(update={"template_options": {"enable_thinking": False}})
    assert result_of(quiet.invoke(QUESTION)).template_options == {"enable_thinking": False}
    short = chat({f"<think>{THOUGHT[:2]}\n</think>\n\n7": 0.5, f"<think>{THOUGHT}": 0.5})
    message = short.invoke(QUESTION, max_thinking_tokens=2)
    assert message.additional_kwargs == {"reasoning_content": THOUGHT[:2]}
    assert result_of(message).answer == "7"


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="knows no thoughts"):
        chat(reasoning=None).invoke(QUESTION, thinking="on")
    fixed = replace(FORM, on=None, off=None)
    with pytest.raises(UnsupportedModelError, match="max_thinking_tokens=0"):
        chat(reasoning=fixed, thinking="off").invoke(QUESTION)
    with pytest.raises(SettingsError, match="thinking"):
        chat(thinking="maybe")
    with pytest.raises(SettingsError, match="max_thinking_tokens"):
        chat().invoke(QUESTION, max_thinking_tokens=-1)


def test_a_model_without_thoughts_has_no_such_key() -> None:
    message = chat({SAID: 1.0}, reasoning=None).invoke(QUESTION)
    assert message.additional_kwargs == {}
    usage = message.usage_metadata
    assert usage is not None
    assert "output_token_details" not in usage
