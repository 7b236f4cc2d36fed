"""Whether an answer is shown as one."""

import pytest

from et_agent import ScriptedModel, ask
from et_agent.cli.headline import headline, in_full, is_sure


@pytest.mark.parametrize(("likely", "sure"), [(0.5, False), (0.99, True)])
def test_one_of_two_options_that_cannot_be_told_apart_is_a_guess(likely: float, sure: bool) -> None:
    def script(prompt: str) -> dict[str, float]:
        yes, no = "AB" if "A) yes" in prompt else "BA"
        return {yes: likely, no: 1.0 - likely}

    with ScriptedModel.from_texts(script) as model:
        result = ask(model, "Is it?\nA) yes\nB) no")
    assert is_sure(result) == sure
    assert headline(result).plain == ("A) yes" if sure else "not sure: perhaps A) yes")
    assert is_sure(result.model_copy(update={"confidence": None})), "nothing speaks against it"


@pytest.mark.parametrize(
    ("question", "kind", "answer", "shown"),
    [
        ("Which is a fish?\nA) trout\nB) eagle", "choice", "A", "A) trout"),
        ("Which is a fish?\nA) trout\nB) eagle", "choice", "A, B", "A, B"),
        ("Which is a fish?\nA) trout\nB) eagle", "text", "A", "A"),
        ("Which of these?", "choice", "A", "A"),
    ],
)
def test_a_letter_has_its_options_text(question: str, kind: str, answer: str, shown: str) -> None:
    with ScriptedModel.from_texts({"A": 1.0}) as model:
        result = ask(model, "Is it?\nA) yes\nB) no", calibrator=None)
    changes = {"question": question, "kind": kind, "answer": answer}
    result = result.model_copy(update=changes)
    assert in_full(answer, result) == shown
    assert headline(result).plain == shown
