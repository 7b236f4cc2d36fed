"""What leaves say together."""

import math

import pytest

from et_agent import Direct, ScriptedModel, ask
from et_agent.calibration import features_of
from et_agent.calibration.features import FeatureValues
from et_agent.uncertainty.leaf_table import FORKS, LeafTable
from tests.evaluation.conftest import table

DISTINCT = FORKS.index("distinct")


def of_one_token(probabilities: list[float], answers: list[int], weight: list[float]) -> LeafTable:
    """Paths of one token each, which part at the first one."""
    log_prob = [math.log(one) for one in probabilities]
    return table(
        answers,
        weight,
        tokens=[1] * len(answers),
        fork=[-1, *[DISTINCT] * (len(answers) - 1)],
        log_prob=log_prob,
        answer_log_prob=log_prob,
    )


def test_the_probability_of_a_letter_that_is_read_says_nothing_beside_its_share() -> None:
    probabilities = [0.6, 0.1, 0.2, 0.02]
    read = of_one_token(probabilities, [0, 1, 1, 0], [3 / 7, 1 / 14, 5 / 11, 1 / 22])
    found = features_of(read)
    assert found["mass"] is None
    assert found["token_probability"] is None
    assert found["guess"] == 0.5, "one of two answers"


def all_alike(options: int, orders: int) -> FeatureValues:
    """Of a reading in which one option has 0.7 in every order, and the others have the rest."""
    probabilities = [0.7, *[0.3 / (options - 1)] * (options - 1)] * orders
    weight = [one / orders for one in probabilities]
    return features_of(of_one_token(probabilities, [*range(options)] * orders, weight))


@pytest.mark.parametrize("options", [2, 4, 7])
def test_how_many_options_there_were_is_no_evidence(options: int) -> None:
    found = all_alike(options, orders=options)
    assert found["share"] == pytest.approx(math.log((16 * 0.7 + 0.5) / (16 * 0.3 + 0.5)))
    assert found["votes"] == pytest.approx(math.log1p(4 * 0.7))
    assert found["guess"] == pytest.approx(1 / options)


def test_only_the_likeliest_option_is_as_good_as_a_guess() -> None:
    """A score may be of another one (`LeafTable.about`)."""
    read = of_one_token([0.9, 0.1, 0.2, 0.8], [0, 1, 1, 0], [0.45, 0.05, 0.1, 0.4])
    assert features_of(read.about(0))["guess"] == 0.5
    other = features_of(read.about(1))
    assert other["guess"] is None
    assert other["mass"] is None, "its letter was read all the same"


def test_options_in_one_order_are_less_evidence() -> None:
    assert all_alike(4, orders=1)["votes"] == pytest.approx(math.log1p(0.7))


@pytest.mark.parametrize("answers", [[0, 1, 2], [0, 1, 1], [0, -1, 1]])
def test_paths_of_one_token_that_were_sampled_have_probabilities_of_their_own(
    answers: list[int],
) -> None:
    sampled = of_one_token([0.5, 0.2, 0.1], answers, [0.5, 0.2, 0.3])
    found = features_of(sampled)
    assert found["mass"] == pytest.approx(math.log(0.5) + math.log(0.5))
    assert found["guess"] is None
    assert found["token_probability"] is not None
    assert found["token_probability"] < 0.5


@pytest.mark.parametrize("letters", [{"A": 0.7, "B": 0.2}, {"A": 1.0}, {"A": 1e-9}, {}])
def test_whatever_a_model_says_its_letters_were_read(letters: dict[str, float]) -> None:
    rest = 1.0 - sum(letters.values())
    with ScriptedModel.from_texts(lambda _: {**letters, "…": rest}) as model:
        result = ask(model, "Is it?\nA) yes\nB) no", decoder=Direct())
    assert result.features["mass"] is None
    assert (result.confidence or 0.0) >= 0.5, "as good as a guess"
