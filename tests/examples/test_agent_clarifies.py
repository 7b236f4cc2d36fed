from collections.abc import Mapping

import pytest

from et_agent import ScriptedModel

pytest.importorskip("langchain_et_agent.chat_models", reason="the chat model is not merged yet")

from examples import agent_clarifies

STATE, COUNTRY = "What is the area of the US state of Georgia?", "What is the area of the country?"


def call(which: str) -> str:
    arguments = f'{{"which": "{which}", "fact": "area"}}'
    return f'<tool_call>{{"name": "georgia", "arguments": {arguments}}}</tool_call>'


def replies(prompt: str) -> Mapping[str, float]:
    if "Say how it is meant" in prompt:
        return {STATE: 0.5, COUNTRY: 0.5}
    if "What is meant" in prompt:
        return {f"The answer is {153900 if STATE in prompt else 69700}.": 1.0}
    if "153,900" in prompt:
        return {"It covers 153,900 square kilometres.": 1.0}
    # Asked back, the user has named one of them last.
    if prompt.rstrip().endswith(STATE):
        return {call("US state"): 1.0}
    return {call("US state"): 0.5, call("country"): 0.5}


def test_the_agent_asks_back_once_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedModel.from_texts(replies) as model:
        reply = "the US state: " + STATE
        agent_clarifies.main(["--reply", reply], model=model)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "You: How big is Georgia?",
        "Agent: This can be meant in several ways. Which one do you mean?",
    ]
    assert {line[3:] for line in lines[2:4]} == {STATE, COUNTRY}
    assert lines[4].endswith("Trees so far: 1)")
    assert lines[5:9] == [
        f"You: {reply}",
        "Agent calls georgia({'which': 'US state', 'fact': 'area'})",
        "Tool: 153,900 square kilometres",
        "Agent: It covers 153,900 square kilometres.",
    ]
    assert [line[1:11] for line in lines[9:12]] == ["1. clarify", "2. answer:", "3. answer:"]
    assert lines[12].startswith("(Trees: 3,")
