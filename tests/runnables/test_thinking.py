"""Runnables of models that think."""

import pytest

from et_agent import Greedy, ScriptedModel
from et_agent.errors import SettingsError
from et_agent.runnables import EntropyTreeRunnable
from et_agent.templates.reasoning import ReasoningFormat
from tests.runnables.conftest import QUESTION

FORM = ReasoningFormat(
    "<think>", "</think>", on={"enable_thinking": True}, off={"enable_thinking": False}
)
TEXTS = {
    r"<think>\boxed{5}?</think>So \boxed{4}": 0.6,
    "<think>\n\n</think>\n\nSo \\boxed{6}": 0.4,
}


def test_settings_reach_the_template() -> None:
    with ScriptedModel.from_texts(TEXTS, reasoning=FORM) as model:
        tree = EntropyTreeRunnable(model=model, decoder=Greedy())
        thought = tree.invoke(QUESTION)
        assert (thought.answer, thought.reasoning) == ("4", r"\boxed{5}?")
        assert tree.invoke(QUESTION, thinking="off").answer == "6"
        quiet = tree.invoke(QUESTION, template_options={"enable_thinking": False})
        assert quiet.answer == "6"
        assert quiet.template_options == {"enable_thinking": False}
        with pytest.raises(SettingsError, match="thinking"):
            tree.invoke(QUESTION, thinking="maybe")


def test_snapshots_count_answers_and_not_thoughts() -> None:
    with ScriptedModel.from_texts(TEXTS, reasoning=FORM) as model:
        tree = EntropyTreeRunnable(model=model, leaves=6, temperature=1)
        *snapshots, result = tree.stream(QUESTION)
        seen = {one.answer for snapshot in snapshots for one in snapshot.distribution}
        assert seen <= {"4", "6", None}
        assert {one.answer for one in result.distribution} <= {"4", "6"}
