"""What streams show: the judged reply, or the leading path while it is decoded."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.messages.utils import message_chunk_to_message
from langchain_et_agent import ChatEntropyTree, ConfidenceGateMiddleware
from pydantic import BaseModel

from et_agent import MultiChain, ScriptedModel
from et_agent.engines.base import Batch, Step
from et_agent.errors import SettingsError, TimeLimitError
from et_agent.gate import GatePolicy
from et_agent.templates.reasoning import ReasoningFormat

from .support import CALL, PERSON, QUESTION, Person, add, essence, merged, result_of, scripted

TEXTS = {r"So \boxed{4}": 0.5, "Well, the answer is 5.": 0.5}
CHAINS = MultiChain(leaves=3, temperature=1)


def leading(texts: dict[str, float] = TEXTS, **settings: Any) -> ChatEntropyTree:
    return scripted(texts, **{"streams": "leading", "decoder": CHAINS, **settings})


def chunks(chat: Any, question: Any = QUESTION, **call: Any) -> list[AIMessageChunk]:
    return list(chat.stream(question, **call))


def shown(found: Sequence[AIMessageChunk]) -> str:
    """What is shown before the last chunk."""
    return "".join(chunk.text for chunk in found[:-1])


def test_text_is_shown_as_it_is_decoded_and_is_the_message() -> None:
    seen = set()
    for seed in range(12):
        chat = leading(seed=seed)
        found = chunks(chat)
        whole = merged(found)
        said = whole.response_metadata["streamed"]
        seen.add(said)
        assert type(whole) is AIMessageChunk
        assert len(found) == len(shown(found)) + 1
        assert (shown(found) == whole.text) is (said == "confirmed")
        assert found[-1].text == ("" if said == "confirmed" else whole.text)
        answer = result_of(whole).answer
        assert answer is not None
        assert answer in whole.text
        assert found[-1].usage_metadata == whole.usage_metadata
    assert seen == {"confirmed", "replaced"}


@pytest.mark.parametrize("seed", range(4))
def test_the_message_is_the_same_however_it_is_asked_for(seed: int) -> None:
    chat = leading(seed=seed)

    async def awaited() -> tuple[AIMessage, list[AIMessageChunk]]:
        return await chat.ainvoke(QUESTION), [one async for one in chat.astream(QUESTION)]

    invoked, streamed = asyncio.run(awaited())
    found = chunks(chat)
    assert essence(invoked) == essence(chat.invoke(QUESTION))
    assert essence(invoked) == essence(message_chunk_to_message(merged(found)))
    assert essence(invoked) == essence(leading(seed=seed, streaming=True).invoke(QUESTION))
    assert [one.text for one in streamed] == [one.text for one in found]
    # Nothing else is decoded than for the judged reply.
    judged = leading(seed=seed, streams="judged").invoke(QUESTION)
    assert result_of(judged).distribution == result_of(invoked).distribution
    assert "streamed" not in judged.response_metadata


def test_sums_have_the_reply_whatever_they_begin_with() -> None:
    chat = next(
        chat
        for chat in (leading(seed=seed) for seed in range(30))
        if merged(chunks(chat)).response_metadata["streamed"] == "replaced"
    )
    found = chunks(chat)
    reply = found[-1].text
    assert (found[0] + found[1:]).text == reply
    assert merged([AIMessageChunk(content=""), *found]).text == reply
    assert merged([*found[:-1], merged(found[-1:])]).text == reply
    half = merged(found[:3])
    assert half.text == shown(found[:4])
    assert merged([half, *found[3:]]).text == reply
    assert dumpd(half)["id"] == dumpd(AIMessageChunk(content=""))["id"]
    assert type(message_chunk_to_message(merged(found))) is AIMessage
    assert merged(found).id == found[0].id


def test_thoughts_are_shown_before_the_answer() -> None:
    form = ReasoningFormat("<think>", "</think>")
    model = ScriptedModel.from_texts({r"<think>Hm, é.</think>It is \boxed{4}": 1}, reasoning=form)
    found = chunks(ChatEntropyTree(engine=model, streams="leading", temperature=0))
    thoughts = [one.additional_kwargs.get("reasoning_content", "") for one in found]
    assert len([one for one in thoughts if one]) == len("Hm, é.")
    whole = merged(found)
    assert whole.additional_kwargs == {"reasoning_content": "Hm, é."}
    assert whole.text == r"It is \boxed{4}"
    assert whole.content_blocks[0]["type"] == "reasoning"


def test_calls_come_whole_after_what_is_said() -> None:
    chat = leading({f"I add. {CALL}": 1}).bind_tools([add])
    found = chunks(chat)
    assert shown(found) == "I add."
    whole = merged(found)
    assert [call["args"] for call in whole.tool_calls] == [{"a": 1, "b": 2}]
    assert whole.response_metadata["streamed"] == "confirmed"
    assert not any(one.tool_call_chunks for one in found[:-1])


def test_a_call_in_place_of_the_text_replaces_it() -> None:
    texts = {CALL: 0.5, "It is \\boxed{3}": 0.5}
    for seed in range(30):
        found = chunks(leading(texts, seed=seed).bind_tools([add]))
        whole = merged(found)
        if whole.response_metadata["streamed"] == "replaced" and whole.tool_calls:
            assert shown(found) == "It is \\boxed{3}"
            assert whole.text == ""
            return
    pytest.fail("no seed replaces a text by a call")


def test_structured_output_is_that_of_the_reply() -> None:
    for seed in range(6):
        chat = leading(PERSON, seed=seed)
        wanted = chat.with_structured_output(Person)
        *_, last = wanted.stream(QUESTION)
        assert isinstance(last, BaseModel)
        assert last == wanted.invoke(QUESTION) == Person(name="Ann", age=3)


def test_the_setting_can_be_given_with_a_call_and_fits_no_drawn_leaf() -> None:
    chat = leading()
    assert len(chunks(chat, streams="judged")) == 2
    assert len(chunks(leading(streams="judged"), streams="leading")) > 10
    with pytest.raises(SettingsError, match="leave one of them out"):
        chunks(chat, choose="sample")
    with pytest.raises(SettingsError, match="streams"):
        ChatEntropyTree(streams="first")
    assert chat._identifying_params["streams"] == "leading"


class Gated(ScriptedModel):
    """Stops before the third batch until it is let on."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.left, self.open = 3, threading.Event()

    def decode(self, batch: Batch) -> Step:
        self.left -= 1
        if self.left < 0:
            assert self.open.wait(20)
        return super().decode(batch)

    def was_stopped(self) -> bool:
        """Whether decoding ended within a step of when it was let on."""
        self.open.set()
        self.submit(lambda: None).result(20)
        return self.left >= -2


def test_the_first_chunk_comes_while_the_tree_grows_and_leaving_stops_that() -> None:
    with Gated.from_texts(TEXTS) as model:
        assert isinstance(model, Gated)
        chat = ChatEntropyTree(engine=model, streams="leading", decoder=CHAINS, system_prompt="")
        stream = chat.stream("Hm?")
        assert next(stream).text in "SW"
        stream.close()  # type: ignore[attr-defined]
        assert model.was_stopped()


def test_the_same_in_an_event_loop() -> None:
    with Gated.from_texts(TEXTS) as model:
        assert isinstance(model, Gated)
        chat = ChatEntropyTree(engine=model, streams="leading", decoder=CHAINS, system_prompt="")

        async def leave() -> None:
            stream = chat.astream("Hm?")
            assert (await anext(stream)).text in "SW"
            await stream.aclose()  # type: ignore[attr-defined]
            for _ in range(50):  # generators within it are closed by the event loop, turn by turn
                await asyncio.sleep(0.002)
            assert await asyncio.to_thread(model.was_stopped)

        asyncio.run(leave())


@pytest.mark.parametrize("streams", ["leading", "judged"])
def test_a_time_limit_ends_a_stream(streams: str) -> None:
    with Gated.from_texts(TEXTS) as model:
        assert isinstance(model, Gated)
        chat = ChatEntropyTree(engine=model, streams=streams, system_prompt="", timeout=0.1)

        async def consume() -> None:
            async for _ in chat.astream("Hm?"):
                pass

        with pytest.raises(TimeLimitError, match=r"within 0\.1 seconds"):
            chunks(chat, "Hm?")
        with pytest.raises(TimeLimitError, match=r"within 0\.1 seconds"):
            asyncio.run(consume())
        model.open.set()


# --- Behind a gate


def told(agent: Any) -> list[str]:
    """Texts of the model's messages as `stream_mode="messages"` shows them."""
    asked = {"messages": [HumanMessage(QUESTION)]}
    return [
        message.text
        for message, _ in agent.stream(asked, stream_mode="messages")
        if isinstance(message, AIMessage)
    ]


@pytest.mark.parametrize("streams", ["leading", "judged"])
def test_a_gate_shows_what_it_has_decided_and_nothing_before(streams: str) -> None:
    chat = leading({r"So \boxed{4}": 1}, streams=streams)
    free = told(create_agent(chat))
    assert "".join(free) == r"So \boxed{4}"
    if streams == "leading":
        assert len(free) > 10

    def gated(answer_at: float, **settings: Any) -> list[str]:
        policy = GatePolicy(answer_at=answer_at)
        gate = ConfidenceGateMiddleware(policy, abstention="I do not know.", **settings)
        return told(create_agent(chat, middleware=[gate]))

    assert gated(0.01) == [r"So \boxed{4}"]
    assert gated(1.0) == ["I do not know."]


@pytest.mark.parametrize(("without_confidence", "seen"), [("pass", True), ("refuse", False)])
def test_other_models_are_seen_where_they_pass(without_confidence: Any, seen: bool) -> None:
    other = GenericFakeChatModel(messages=iter([AIMessage("It is 4.")]))
    gate = ConfidenceGateMiddleware(
        GatePolicy(answer_at=0.5),
        abstention="I do not know.",
        without_confidence=without_confidence,
    )
    found = told(create_agent(other, middleware=[gate]))
    assert ("It is 4." in "".join(found)) is seen
    assert ("I do not know." in found) is not seen


def test_escalation_to_a_chat_model_of_ours_is_not_seen_either() -> None:
    unsure = {"\\boxed{1}": 0.4, "\\boxed{2}": 0.3, "\\boxed{3}": 0.3}
    weak, strong = leading(unsure, decoder=None), leading({r"\boxed{6}": 1}, decoder=None)
    gate = ConfidenceGateMiddleware(
        GatePolicy(answer_at=0.4), escalate=strong, abstention="I do not know."
    )
    assert told(create_agent(weak, middleware=[gate])) == [r"\boxed{6}"]
