from collections.abc import Mapping

import pytest

from et_agent.engines.loading import load_model
from et_agent.engines.scripted import ScriptedModel
from et_agent.uncertainty.self_evaluation import (
    judged_equivalences,
    meaning_classes,
    p_answerable,
    p_true,
    p_unclear,
)


def judging(prompt: str) -> Mapping[str, float]:
    if "true or false" in prompt:
        sure = 0.9 if "Proposed answer: Paris" in prompt else 0.2
        return {"True": sure / 2, "False": (1 - sure) / 2, "Perhaps": 0.5}
    first = prompt.rpartition("First answer: ")[2].partition("\n")[0].lower()
    second = prompt.rpartition("Second answer: ")[2].partition("\n")[0].lower()
    return {"Yes": 0.9, "No": 0.1} if second in first else {"Yes": 0.05, "No": 0.95}


def test_p_true_is_the_share_of_true_against_false() -> None:
    with ScriptedModel.from_texts(judging) as model:
        assert p_true(model, "Capital?", ["Paris", "Lyon"], "Paris") == pytest.approx(0.9, abs=1e-6)
        assert p_true(model, "Capital?", ["Paris", "Lyon"], "Lyon") == pytest.approx(0.2, abs=1e-6)


def test_answers_that_imply_each_other_are_one_class() -> None:
    answers = ["Paris", "Lyon", "in Paris", "paris", "LYON"]
    with ScriptedModel.from_texts(judging) as model:
        # "in Paris" implies "Paris", but not the other way round.
        assert meaning_classes(model, "Capital?", answers) == [0, 1, 2, 0, 1]
        assert meaning_classes(model, "Capital?", []) == []
        assert meaning_classes(model, "Capital?", ["Paris"]) == [0]


def test_p_unclear_is_the_share_of_yes_against_no() -> None:
    def doubting(prompt: str) -> Mapping[str, float]:
        if "more than one way" not in prompt:  # the beginning that the prompts share
            return {"…": 1.0}
        return {"Yes": 0.3, "no": 0.1, "Perhaps": 0.6}

    with ScriptedModel.from_texts(doubting) as model:
        assert p_unclear(model, "Who made it?") == pytest.approx(0.75, abs=1e-6)


def test_p_answerable_asks_each_question_with_the_same_instruction() -> None:
    def script(prompt: str) -> dict[str, float]:
        yes = 0.9 if "2 + 2" in prompt else 0.25
        assert prompt.startswith("\nBe brief.\n")
        return {"Yes": yes, "No": 1 - yes}

    with ScriptedModel.from_texts(script) as model:
        found = p_answerable(model, ["What is 2 + 2?", "What is in my pocket?"], "Be brief.")
    assert found.tolist() == pytest.approx([0.9, 0.25], abs=1e-6)


@pytest.mark.slow
def test_the_real_model_tells_alike_from_unlike() -> None:
    pairs = [("Paris", "It is Paris"), ("Paris", "It is Rome")]
    with load_model("qwen2.5-coder-0.5b") as model:
        alike, unlike = judged_equivalences(model, "What is the capital of France?", pairs)
    assert 0.05 < unlike < alike - 0.05 < 1
