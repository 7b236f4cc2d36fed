"""Whether an answer is shown as one."""

import pytest

from et_agent import ScriptedModel, ask
from et_agent.cli.headline import headline, is_sure


@pytest.mark.parametrize(("likely", "sure"), [(0.5, False), (0.99, True)])
def test_one_of_two_options_that_cannot_be_told_apart_is_a_guess(likely: float, sure: bool) -> None:
    def script(prompt: str) -> dict[str, float]:
        yes, no = "AB" if "A) yes" in prompt else "BA"
        return {yes: likely, no: 1.0 - likely}

    with ScriptedModel.from_texts(script) as model:
        result = ask(model, "Is it?\nA) yes\nB) no")
    assert is_sure(result) == sure
    assert headline(result).plain.startswith("not sure: perhaps ") == (not sure)
    assert is_sure(result.model_copy(update={"confidence": None})), "nothing speaks against it"
