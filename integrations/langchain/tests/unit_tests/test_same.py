"""The chat model compares answers by meaning or by words."""

import pytest
from langchain_et_agent import ChatEntropyTree

from et_agent import ScriptedModel
from et_agent.errors import SettingsError

from .support import result_of

TEXTS = {"\\boxed{Paris}": 0.5, "\\boxed{The capital is Paris}": 0.5}
QUESTION = "What is the capital?"


def test_the_setting_reaches_the_question() -> None:
    with ScriptedModel.from_texts(TEXTS) as engine:
        model = ChatEntropyTree(engine=engine, temperature=1)
        for same, answers in ((None, 1), ("tests", 1), ("meaning", 1), ("words", 2)):
            reply = model.invoke(QUESTION, same=same)
            assert len(result_of(reply).distribution) == answers
        with pytest.raises(SettingsError, match="same"):
            model.invoke(QUESTION, same="sense")
        assert ChatEntropyTree(engine=engine, same="words")._identifying_params["same"] == "words"
