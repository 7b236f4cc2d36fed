import io
import re
from collections.abc import Mapping

import pytest

from et_agent import ScriptedModel
from examples import agent_clarifies


def call(which: str) -> str:
    arguments = f'{{"which": "{which}", "fact": "area"}}'
    return f'<tool_call>{{"name": "georgia", "arguments": {arguments}}}</tool_call>'


def replies(prompt: str) -> Mapping[str, float]:
    """Unsure which Georgia is meant until the state is named."""
    sure = "the one with Atlanta" in prompt
    return {call("US state"): 1.0} if sure else {call("country"): 0.7, call("US state"): 0.3}


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_the_agent_asks_which_call_is_meant_and_runs_that_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ScriptedModel.from_texts(replies) as model:
        agent_clarifies.main(["--reply", "2"], model=model)
    *lines, decided, trees = said(capsys)
    assert lines == [
        "You: How big is Georgia?",
        "Agent: I am not sure. Which of these do you mean?",
        "1. georgia(fact='area', which='country')",
        "2. georgia(fact='area', which='US state')",
        "(The question is asked after 1 tree.)",
        "Agent calls georgia(fact='area', which='US state')",
        "Tool: 153,900 square kilometres",
    ]
    assert re.fullmatch(
        r"\(1. clarify: The confidence of \d\d% comes from the general map \(no calibrator for this "
        r"model\); its lower end of \d\d% is below the threshold of 40%\. The user is asked which call "
        r"is meant\.\)",
        decided,
    )
    assert trees == "(Trees: 1)"


def test_a_reply_in_words_goes_to_the_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("the one with Atlanta\n"))
    with ScriptedModel.from_texts(replies) as model:
        agent_clarifies.main(["How big is Georgia?"], model=model)
    lines = said(capsys)
    assert "> You: the one with Atlanta" in lines
    assert "Tool: 153,900 square kilometres" in lines
    assert [line[:11] for line in lines if line.startswith(("(1.", "(2."))] == [
        "(1. clarify",
        "(2. answer:",
    ]
    assert lines[-1] == "(Trees: 2)"


def test_what_is_clear_is_answered_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedModel.from_texts(replies) as model:
        agent_clarifies.main(["How big is Georgia, the one with Atlanta?"], model=model)
    lines = said(capsys)
    assert lines[1].startswith("Agent calls georgia(")
    assert lines[-1] == "(Trees: 1)"
