"""`ChatEntropyTree` on the small real model."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_et_agent import ChatEntropyTree
from pydantic import BaseModel

from et_agent import AskResult

pytestmark = pytest.mark.model

QUESTION = "How many legs has a cat?"


class Sky(BaseModel):
    """What the sky is like."""

    clear: bool
    clouds: int


@pytest.fixture(scope="module")
def chat() -> ChatEntropyTree:
    return ChatEntropyTree(
        model="smollm2-135m", leaves=3, max_tokens=24, context=2048, max_sequences=16, threads=1
    )


def essence(message: BaseMessage) -> tuple[object, ...]:
    assert isinstance(message, AIMessage)
    result = AskResult.model_validate(message.response_metadata["et_agent"])
    return message.content, message.usage_metadata, result.distribution, result.features


async def test_all_ways_to_ask_one_question_give_the_same_message(chat: ChatEntropyTree) -> None:
    await asyncio.to_thread(chat.invoke, QUESTION)  # the prompt is in the cache from here on
    expected = essence(await asyncio.to_thread(chat.invoke, QUESTION))
    assert essence(await chat.ainvoke(QUESTION)) == expected
    chunks = [chunk async for chunk in chat.astream(QUESTION)]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    assert essence(whole) == expected


def test_structured_output_fits_its_schema(chat: ChatEntropyTree) -> None:
    made: Any = chat.with_structured_output(Sky, include_raw=True)
    raw = made.invoke("Is the sky clear, and how many clouds are there?")["raw"]
    result = AskResult.model_validate(raw.response_metadata["et_agent"])
    answers = [one.answer for one in result.distribution if one.answer is not None]
    assert answers
    for answer in answers:
        assert Sky.model_validate(json.loads(answer))


async def test_the_event_loop_stays_responsive(chat: ChatEntropyTree) -> None:
    questions: Sequence[LanguageModelInput] = [f"What is {n} plus {n}?" for n in range(8)]
    late: list[float] = []

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            late.append(time.perf_counter() - began - 0.01)

    ticking = asyncio.ensure_future(tick())
    messages = await chat.abatch(list(questions))
    ticking.cancel()
    assert len(messages) == 8
    late.sort()
    # All but the few ticks that other programs may delay on a busy machine.
    assert late[int(0.98 * len(late))] < 0.05
