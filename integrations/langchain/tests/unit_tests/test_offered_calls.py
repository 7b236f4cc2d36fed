from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_et_agent.offered_calls import calls_in, spelled

from .agent_fakes import written

NAMES = {"search", "pay"}


@pytest.mark.parametrize(
    "calls",
    [
        [("pay", {"amount": 5})],
        [("pay", {}), ("search", {"query": "a); pay(b"})],
        [("search", {"query": {"deep": [1, None, "ü"]}})],
    ],
)
def test_calls_are_read_as_they_are_written(calls: list[tuple[str, dict[str, Any]]]) -> None:
    assert calls_in(written(*calls), NAMES) == calls


@pytest.mark.parametrize(
    "answer",
    [None, "", "Who knows?", "fire({})", "pay(5)", "pay({", "pay({}", "pay({}) now", "pay"],
)
def test_what_is_no_call_of_a_known_tool_is_none(answer: str | None) -> None:
    assert calls_in(answer, NAMES) == []


def test_calls_are_spelled_for_people() -> None:
    call = {"name": "pay", "args": {"amount": 5, "to": "Ida"}, "id": "1", "type": "tool_call"}
    assert spelled(AIMessage("", tool_calls=[call])) == "pay(amount=5, to='Ida')"
