from collections.abc import Mapping
from typing import Any

import pytest

from et_agent import ScriptedModel
from examples import cascade


def small(prompt: str) -> Mapping[str, float]:
    if "eggs" in prompt:
        return {"So \\boxed{31}": 1.0}
    return {"So \\boxed{9}": 0.5, "So \\boxed{8}": 0.5}


def large(prompt: str) -> Mapping[str, float]:
    if "sheep" in prompt:
        return {"So \\boxed{9}": 1.0}
    return {"So \\boxed{1}": 0.5, "So \\boxed{2}": 0.5}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))


def test_what_the_small_model_is_unsure_of_goes_to_the_large_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    questions = ["How many eggs?", "How many sheep?", "How many cows?", "How many goats?"]
    with ScriptedModel.from_texts(small) as one, ScriptedModel.from_texts(large) as other:
        cascade.main(
            [*questions, "--leaves", "8", "--answer-at", "0.4"], models=cascade.Models(one, other)
        )
        decoded = other.decoded
    *blocks, summary = capsys.readouterr().out.strip().split("\n\n")
    eggs, sheep, cows, goats = blocks
    assert "  answer: 31" in eggs
    assert "large model" not in eggs
    assert "  large model: 9 100%" in sheep
    assert "  answer: 9" in sheep
    assert "  large model: " in cows  # unsure as well
    assert "  abstain: -" in cows
    assert "large model: " not in goats
    assert "the escalation budget is used up" in goats
    assert summary.startswith("2 of 4 questions answered, 2 of 2 escalations used; ")
    assert decoded > 0


def test_without_a_budget_the_large_model_is_not_needed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ScriptedModel.from_texts(small) as one, ScriptedModel.from_texts(large) as other:
        cascade.main(["How many sheep?", "--budget", "0"], models=cascade.Models(one, other))
        assert other.decoded == 0
    assert "0 by the large one" in capsys.readouterr().out


def test_the_large_model_is_loaded_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(name: str, **_: Any) -> ScriptedModel:
        loaded.append(name)
        return ScriptedModel.from_texts(large if name == "big" else small)

    monkeypatch.setattr(cascade, "load_model", load)
    monkeypatch.setattr("et_agent.engines.loading.load_model", load)
    cascade.main(["How many eggs?", "--answer-at", "0.4", "--small", "tiny", "--large", "big"])
    assert loaded == ["tiny"]
    cascade.main(["How many sheep?", "--small", "tiny", "--large", "big"])
    assert loaded[-1] == "big"
