import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.calibration import DriftMonitor
from et_agent.errors import CalibrationError


def test_false_alarms_at_any_time_stay_below_alpha() -> None:
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(300):
        p = rng.random(300)
        alarms += DriftMonitor(0.1).update(p, rng.random(300) < p).drifted
    assert alarms / 300 <= 0.1


@pytest.mark.parametrize(
    ("direction", "slope", "shift"),
    [
        ("overconfident", 1.0, -0.15),
        ("underconfident", 1.0, 0.15),
        ("too extreme", 0.5, 0.0),
        ("too timid", 1.7, 0.0),
    ],
)
def test_each_drift_is_found_and_named(direction: str, slope: float, shift: float) -> None:
    rng = np.random.default_rng(1)
    p = rng.random(600)
    truth = np.clip(0.5 + slope * (p - 0.5) + shift, 0, 1)
    found = DriftMonitor().update(p, rng.random(600) < truth)
    assert found.drifted
    assert found.direction == direction


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=30), st.integers(0, 30))
def test_in_pieces_as_in_one(pairs: list[tuple[float, bool]], cut: int) -> None:
    p, y = [one for one, _ in pairs], [int(other) for _, other in pairs]
    whole = DriftMonitor().update(p, y)
    parts = DriftMonitor().update(p[:cut], y[:cut]).update(p[cut:], y[cut:])
    assert parts.evidence == pytest.approx(whole.evidence)
    assert parts.drifted == whole.drifted
    assert parts.questions == whole.questions == len(pairs)


def test_an_alarm_stays() -> None:
    found = DriftMonitor().update([0.99] * 10, [0] * 10)
    assert found.drifted
    assert found.update([0.5] * 400, [0, 1] * 200).drifted


def test_bad_input() -> None:
    with pytest.raises(CalibrationError, match="alpha"):
        DriftMonitor(0)
    with pytest.raises(CalibrationError, match="NaN"):
        DriftMonitor().update([float("nan")], [1])


def test_way_is_the_old_name_of_direction() -> None:
    found = DriftMonitor().update([0.9] * 50, [0] * 50)
    with pytest.warns(
        DeprecationWarning,
        match="DriftMonitor.way is deprecated and will be removed: use direction",
    ):
        assert found.way == found.direction
