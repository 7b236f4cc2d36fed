"""Runnables compare answers by meaning or by words."""

import pytest

from et_agent import ScriptedModel
from et_agent.errors import SettingsError
from et_agent.runnables import EntropyTreeRunnable

TEXTS = {"\\boxed{Paris}": 0.5, "\\boxed{The capital is Paris}": 0.5}
QUESTION = "What is the capital?"


def test_the_setting_reaches_the_question() -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        tree = EntropyTreeRunnable(model=model, temperature=1)
        assert len(tree.invoke(QUESTION).distribution) == 1
        assert len(tree.invoke(QUESTION, same="words").distribution) == 2
        with pytest.raises(SettingsError, match="same"):
            tree.invoke(QUESTION, same="sense")
