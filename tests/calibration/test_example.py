import pytest

from et_agent.calibration import Example
from et_agent.errors import CalibrationError
from tests.calibration.test_learning import asked, example


def test_the_same_result_is_known_again_and_no_text_is_kept() -> None:
    one, again, other = Example.of(asked()), Example.of(asked()), Example.of(asked(seed=1))
    assert one == again
    assert one.identity != other.identity
    assert Example.of(one) is one
    assert Example.model_validate_json(one.model_dump_json()) == one
    assert "How many legs" not in one.model_dump_json()
    assert asked().answer is not None


def test_system_prompts_can_be_hidden_and_found_again() -> None:
    one = example(1, instructions={"number": "Think hard about secrets."})
    hidden = one.without_texts()
    assert "secret" not in hidden.model_dump_json()
    assert (one.hides_texts, hidden.hides_texts) == (False, True)
    assert hidden.with_texts(["Think.", "Think hard about secrets."]) == one
    with pytest.raises(
        CalibrationError, match=r"prompt of this decision is not known, .*keep them"
    ):
        hidden.with_texts(["Think."])


def test_a_label_keeps_what_later_fits_need() -> None:
    one = example(3)
    label = one.labelled(True)
    assert (label.identity, label.kind, label.right) == (one.identity, "number", True)
    assert label.features == one.features
