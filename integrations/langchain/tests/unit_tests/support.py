"""What the tests of the chat model share: scripted models and what has to agree."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
)
from langchain_et_agent import ChatEntropyTree
from numpy.typing import NDArray
from pydantic import BaseModel

from et_agent import AskResult, ScriptedModel
from et_agent.engines.base import Batch, Step
from et_agent.engines.scripted import VOCABULARY

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


class Steps(BaseModel):
    """What to do."""

    steps: list[str]


STEPS = '{"steps": ["open the door", "do not touch the wire", "leave"]}'
PERSON = {'{"name": "Ann", "age": 3}': 0.6, '{"name":"Ann","age":3}': 0.2, '{"name": "Bob"': 0.2}


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


class Errors(BaseCallbackHandler):
    def __init__(self) -> None:
        self.seen: list[BaseException] = []

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        self.seen.append(error)


def endless_script(delay: float) -> Callable[[str, Sequence[int]], NDArray[np.float32]]:
    def script(_prompt: str, _tokens: Sequence[int]) -> NDArray[np.float32]:
        time.sleep(delay)
        logits = np.full(VOCABULARY, -1e9, dtype=np.float32)
        logits[ord("a")] = 0
        return logits

    return script


def endless(delay: float = 0.002) -> ScriptedModel:
    return ScriptedModel(endless_script(delay))


class Counting(ScriptedModel):
    """Counts its decode calls."""

    calls = 0

    def decode(self, batch: Batch) -> Step:
        self.calls += 1
        return super().decode(batch)
