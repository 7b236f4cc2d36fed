import pytest

from et_agent.calibration import Calibrator, Fingerprint, features_of
from et_agent.evaluation.prequential import Prequential
from et_agent.evaluation.records import QuestionRecord
from tests.evaluation.conftest import record, table

FINGERPRINT = Fingerprint.of(
    model="ab" * 32,
    decoder={"name": "MultiChain", "leaves": 4},
    instructions={"number": "Think."},
    chat="model",
)


def track() -> Prequential:
    return Prequential(Calibrator.general(fingerprint=FINGERPRINT))


def answered(number: int, right: bool, votes: int = 3) -> QuestionRecord:
    leaves = table([0] * votes + [1] * (4 - votes))
    return record(f"q/{number}", leaves, [right, False], tokens_decoded=1)


def test_a_confidence_is_given_before_its_label() -> None:
    first = answered(0, False)
    general = Calibrator.general().confidence(features_of(first.leaves), "number").value
    tracks = track(), track()
    for number in range(12):
        for at, one in enumerate(tracks):
            one.add(answered(number, right=number % 3 == 0 or (number == 11 and at == 1)))
    wrong, right = tracks
    assert wrong.confidences[0] == general
    assert wrong.confidences.tolist() == right.confidences.tolist()
    assert wrong.right.tolist()[:-1] == right.right.tolist()[:-1]
    assert wrong.right[-1] != right.right[-1]
    assert len(set(wrong.confidences.tolist())) == 12, "it learns from each"


def test_questions_without_an_answer_are_counted_and_nothing_else() -> None:
    one = track()
    one.add(record("q/0", table([-1, -1]), []))
    assert (one.done, one.answered, one.unanswered) == (1, 0, 1)
    assert (one.ece(), one.metrics(), one.reliability()) == (None, {}, ())
    assert one.above(0.8) == (0, 0)


@pytest.mark.parametrize("right", [True, False])
def test_labels_that_are_all_the_same(right: bool) -> None:
    one = track()
    for number in range(60):
        one.add(answered(number, right, votes=4))
    assert one.above(0.0) == (60 * right, 60)
    assert (one.confidences[-1] > one.confidences[0]) == right
    assert set(one.metrics()) == {"ECE", "Brier"}, "AUROC is not defined"
    found = one.ece()
    assert found is not None
    assert found.width is not None
    assert found.value == pytest.approx(one.metrics()["ECE"])


def test_the_interval_comes_with_ten_answers_and_moves_on() -> None:
    one = track()
    for number in range(9):
        one.add(answered(number, number % 2 == 0))
    assert one.ece() is None
    one.add(answered(9, True))
    assert one.ece() is one.ece()
    before = one.ece()
    one.add(answered(10, True))
    assert before is not None
    assert (before.questions, one.ece() is before) == (10, False)
