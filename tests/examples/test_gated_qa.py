import re
from collections.abc import Mapping
from typing import Any

import pytest

from et_agent import ScriptedModel
from et_agent.results import AskResult
from et_agent.runnables import GateRunnable
from examples import gated_qa


def replies(prompt: str) -> Mapping[str, float]:
    if "eggs" in prompt:
        return {"So \\boxed{31}": 1.0}
    return {"So \\boxed{9}": 0.4, "So \\boxed{8}": 0.35, "Hm.": 0.25}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))


def test_it_answers_where_it_is_sure(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedModel.from_texts(replies) as model:
        questions = ["How many eggs are left?", "How many sheep are left?"]
        gated_qa.main([*questions, "--answer-at", "0.4"], model=model)
    eggs, sheep = capsys.readouterr().out.strip().split("\n\n")
    assert eggs.splitlines()[0] == "How many eggs are left?"
    said = eggs.splitlines()[-1]
    assert re.fullmatch(r"  = 31  \(P\(correct\) \d\d%, by the general map\)", said)
    assert "paths: 31 (100%)" in eggs
    assert "  = I do not know. The " in sheep
    assert "below the threshold of 40%" in sheep
    said = sheep.rpartition("Its paths say: ")[2]
    assert all(answer in said for answer in ("9 ", "8 ", "no answer "))


def test_options_reach_the_tree_and_the_policy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[AskResult] = []
    decide = GateRunnable.invoke

    def spy(gate: Any, result: AskResult, *rest: Any, **more: Any) -> Any:
        seen.append(result)
        return decide(gate, result, *rest, **more)

    monkeypatch.setattr(GateRunnable, "invoke", spy)
    with ScriptedModel.from_texts(replies) as model:
        gated_qa.main(
            ["How many sheep?", "--answer-at", "0", "--leaves", "3", "--max-tokens", "30"], model
        )
    assert (seen[0].decoder["leaves"], seen[0].decoder["max_tokens"]) == (3, 30)
    assert "  = " in capsys.readouterr().out
