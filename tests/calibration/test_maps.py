import pytest

from et_agent.calibration.maps import Isotonic, Logistic
from et_agent.errors import CalibrationError
from tests.calibration.conftest import questions


@pytest.mark.parametrize("changes", [{"scales": [5e-324]}, {"coefficients": [1e308]}])
def test_figures_beyond_all_bounds_give_no_confidence(changes: dict[str, list[float]]) -> None:
    given = {"features": ["share"], "means": [1e10], "scales": [1.0], "coefficients": [1.0]}
    mapping = Logistic.model_validate({**given, **changes, "intercept": 0.0})
    with pytest.raises(CalibrationError, match="no finite log-odds: fit it again"):
        mapping.predict(questions(3)[0])


def test_isotonic_knots_must_rise() -> None:
    with pytest.raises(ValueError, match="knots must rise"):
        Isotonic(feature="share", knots=(1.0, 0.0), values=(0.1, 0.2))
