import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from et_agent.decoding.sampling import Distribution, StepDistributions
from et_agent.errors import DecodeError

SIZES = (1, 2, 7, 127, 128, 129, 300, 1000)


def made(logits: NDArray[np.float32], temperature: float = 1.0) -> Distribution:
    return Distribution.of(logits.copy(), temperature)


def exact(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float64]:
    scaled = logits.astype(np.float64) / temperature
    mass = np.exp(scaled - scaled.max())
    result: NDArray[np.float64] = mass / mass.sum()
    return result


def random_logits(seed: int, size: int, spread: float = 3.0) -> NDArray[np.float32]:
    generator = np.random.default_rng(seed)
    return (generator.normal(size=size) * spread).astype(np.float32)


@pytest.mark.parametrize("size", [*SIZES, 151_936])
@pytest.mark.parametrize("temperature", [1.0, 0.7, 2.5])
def test_entropies_and_probabilities_equal_a_float64_softmax(size: int, temperature: float) -> None:
    logits = random_logits(size, size)
    found, model = made(logits, temperature), exact(logits)
    surprise = -np.log(model)
    mean = float(model @ surprise)
    assert found.statistics.entropy == pytest.approx(mean, abs=2e-5)
    assert found.statistics.varentropy == pytest.approx(
        float(model @ (surprise - mean) ** 2), abs=2e-4
    )
    at = exact(logits, temperature)
    for token in {0, size // 2, size - 1, int(logits.argmax())}:
        assert found.probability(token) == pytest.approx(at[token], rel=1e-5)
        assert found.log_probability(token) == pytest.approx(np.log(model[token]), abs=1e-4)
    assert found.most_likely() == int(logits.argmax())


@pytest.mark.parametrize("size", SIZES)
def test_draw_inverts_the_cumulative_distribution(size: int) -> None:
    logits = random_logits(size, size)
    found, cumulative = made(logits, 0.7), np.cumsum(exact(logits, 0.7))
    for u in (np.arange(400) + 0.5) / 400:
        token = found.draw(float(u))
        low = cumulative[token - 1] if token else 0.0
        assert low - 1e-6 <= u <= cumulative[token] + 1e-6
    assert 0 <= found.draw(0.0) <= found.draw(np.nextafter(1.0, 0.0)) < size


def test_draws_have_the_frequencies_of_the_distribution() -> None:
    logits = random_logits(3, 12, 1.5)
    found = made(logits, 0.7)
    draws = [found.draw(u) for u in np.random.default_rng(0).random(20_000)]
    frequency = np.bincount(draws, minlength=12) / 20_000
    error = np.sqrt(exact(logits, 0.7) / 20_000)
    assert (np.abs(frequency - exact(logits, 0.7)) < 4.5 * error + 1e-9).all()


@pytest.mark.parametrize("size", [2, 5, 130, 300])
def test_draw_excluding_draws_from_the_rest(size: int) -> None:
    logits = random_logits(size, size, 1.0)
    found = made(logits)
    hidden = sorted({0, size - 1})[: size - 1]
    rest = exact(logits)
    rest[hidden] = 0.0
    cumulative = np.cumsum(rest / rest.sum())
    for u in (np.arange(200) + 0.5) / 200:
        token = found.draw_excluding(float(u), hidden)
        assert token is not None
        assert token not in hidden
        assert cumulative[token] >= u - 1e-6
        assert token == 0 or cumulative[token - 1] <= u + 1e-6
    # What was hidden is back.
    assert found.probability(hidden[0]) == pytest.approx(exact(logits)[hidden[0]], rel=1e-5)


def test_nothing_is_left_when_everything_is_excluded() -> None:
    found = made(np.array([0.0, 1.0, -1e9], dtype=np.float32))
    assert found.draw_excluding(0.3, [0, 1]) is None
    assert found.draw_excluding(0.999, [0, 1, 1]) is None
    assert found.draw_excluding(0.5, [1]) == 0
    assert found.probability(1) == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-6)


def test_top_is_in_falling_order_without_the_excluded() -> None:
    logits = np.array([0.0, 3.0, 1.0, 2.0, -1e9], dtype=np.float32)
    found = made(logits)
    assert found.top(2) == [1, 3]
    assert found.top(9) == [1, 3, 2, 0]  # a token without probability is none
    assert found.top(2, excluding=[1]) == [3, 2]
    assert found.top(2, excluding=[3, 3]) == [1, 2]
    assert found.top(0) == []
    assert found.top(3) == [1, 3, 2]  # earlier calls changed nothing


@pytest.mark.parametrize("temperature", [1.0, 0.7, 0.001])
@pytest.mark.parametrize("size", SIZES)
def test_one_token_has_everything(size: int, temperature: float) -> None:
    logits = np.full(size, -1e9, dtype=np.float32)
    logits[size // 2] = 17.0
    found = made(logits, temperature)
    assert (found.statistics.entropy, found.statistics.varentropy) == (0.0, 0.0)
    assert {found.draw(u) for u in (0.0, 0.5, 1 - 2**-53)} == {size // 2}
    assert found.top(3) == [size // 2]
    assert found.draw_excluding(0.5, [size // 2]) is None
    assert found.probability(size // 2) == 1.0
    assert found.log_probability(size // 2) == 0.0
    if size > 1:
        assert found.probability(0) == 0.0
        assert np.isfinite(found.log_probability(0))


def test_tokens_that_the_model_rules_out_with_infinity_have_no_probability() -> None:
    logits = np.array([-np.inf, 0.0, 0.0, -np.inf], dtype=np.float32)
    found = made(logits, 0.7)
    assert found.statistics.entropy == pytest.approx(np.log(2), abs=1e-6)
    assert found.statistics.varentropy == pytest.approx(0.0, abs=1e-6)
    assert {found.draw(u) for u in np.linspace(0, 0.999, 50)} == {1, 2}


@pytest.mark.parametrize("wrong", [[np.nan, 1.0], [np.inf, 1.0], [-np.inf, -np.inf]])
def test_unusable_logits_are_an_error_and_never_certain(wrong: list[float]) -> None:
    with pytest.raises(DecodeError, match="unusable logits"):
        made(np.array(wrong, dtype=np.float32))


def test_step_distributions_work_in_place_row_by_row() -> None:
    logits = np.stack([random_logits(seed, 300) for seed in range(3)])
    before = logits.copy()
    found = StepDistributions().analyse(logits, [1.0, 0.7, 1.0])
    for row, one, temperature in zip(before, found, [1.0, 0.7, 1.0], strict=True):
        assert one.temperature == temperature
        assert one.probability(5) == pytest.approx(exact(row, temperature)[5], rel=1e-5)
    assert not np.array_equal(before, logits)


codes_strategy = st.lists(
    st.floats(0, 1, exclude_max=True, allow_subnormal=False), min_size=1, max_size=12, unique=True
).map(sorted)


@example(seed=1, size=128, codes=[0.99999, 1 - 2**-53])  # on the last token's very edge
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.sampled_from([1, 2, 5, 128, 200]), codes=codes_strategy)
def test_every_code_goes_to_the_token_whose_interval_holds_it(
    seed: int, size: int, codes: list[float]
) -> None:
    logits = random_logits(seed, size)
    found, mass = made(logits), exact(logits)
    edges = np.concatenate([[0.0], np.cumsum(mass)])
    at = 0
    previous = -1
    for token, inside in found.send(np.array(codes)):
        assert token > previous, "tokens come in order, each once"
        previous = token
        assert (np.diff(inside) >= 0).all()
        assert inside.min() >= 0.0
        assert inside.max() < 1.0
        for code, rescaled in zip(codes[at : at + inside.size], inside, strict=True):
            assert edges[token] - 1e-6 <= code <= edges[token + 1] + 1e-6
            assert edges[token] + rescaled * mass[token] == pytest.approx(code, abs=2e-6)
        at += inside.size
    assert at == len(codes), "no code is lost"


def test_codes_on_the_edges_of_intervals_and_blocks() -> None:
    logits = np.full(256, -1e9, dtype=np.float32)
    logits[[127, 128, 255]] = 0.0
    found = made(logits)
    parts = list(found.send(np.array([0.0, 1 / 3, 2 / 3, 1 - 2**-53])))
    assert sum(inside.size for _, inside in parts) == 4
    assert {token for token, _ in parts} <= {127, 128, 255}
    assert [found.draw(u) for u in (0.0, 0.5, 0.9)] == [127, 128, 255]
