"""The README's example is run as it is written, on a scripted model."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from langchain_et_agent import close_engines

from et_agent import ScriptedModel
from et_agent.engines import loading
from et_agent.gate import Action, Decision, Review

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pay(amount: int) -> str:
    return f'<tool_call>{{"name": "pay", "arguments": {{"amount": {amount}, "to": "Ida"}}}}</tool_call>'


def replies(prompt: str) -> Mapping[str, float]:
    if "paid" in prompt:
        return {"Done.": 1.0}
    if "Pay 5 euros" in prompt:
        return {pay(5): 1.0}
    return {pay(amount): 0.2 for amount in (5, 10, 20, 50, 100)}


@pytest.fixture
def _scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    with ScriptedModel.from_texts(replies) as model:
        monkeypatch.setattr(loading, "load_model", lambda *_, **__: model)
        yield
        close_engines()


@pytest.mark.usefixtures("_scripted")
def test_a_sure_payment_passes_and_a_doubtful_one_waits() -> None:
    names: dict[str, Any] = {}
    for block in BLOCK.findall(README.read_text("utf-8")):
        exec(compile(block, README.name, "exec"), names)
    agent = names["agent"]
    sure = agent.invoke(
        {"messages": [("human", "Pay 5 euros to Ida.")]}, {"configurable": {"thread_id": "sure"}}
    )
    made = [Decision.model_validate(one) for one in sure["et_agent_decisions"]]
    assert [one.action for one in made] == [Action.ANSWER, Action.ANSWER]
    assert [one.type for one in sure["messages"]] == ["human", "ai", "tool", "ai"]
    doubtful = [Decision.model_validate(one) for one in names["state"]["et_agent_decisions"]]
    assert doubtful[0].action is Action.ESCALATE
    assert [one.review for one in doubtful[0].reviews] == [Review.EDITED]
    assert names["log"].report().reviews == {Review.EDITED: 1}
    names["log"].close()
