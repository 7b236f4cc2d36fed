"""Pictures: what is drawn, and that no two series look alike."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from et_agent.evaluation import plots
from et_agent.evaluation.bootstrap import Interval
from et_agent.evaluation.plots import draw_reliability
from et_agent.evaluation.summaries import summarise
from tests.evaluation.conftest import record, table


def test_entropies_leave_out_questions_without_an_answer() -> None:
    records = [
        record("x/1", table([0, 0]), [True]),
        record("x/2", table([0, 1]), [False, True]),
        record("x/3", table([-1, -1]), []),
    ]
    axes = Figure(layout="constrained").add_subplot()
    assert plots._entropies(axes, records, "one")
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert sum(bar.get_height() for bar in bars) == 2
    figure = axes.get_figure()
    assert figure is not None
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "without an answer, not shown: 1"
    assert not plots._entropies(Figure().add_subplot(), records[2:], "none")


def test_no_two_series_look_alike() -> None:
    assert len({tuple(plots._style(at).items()) for at in range(24)}) == 24


def test_intervals_are_wilsons() -> None:
    low, high = plots._wilson(np.array([5.0, 0.0]), np.array([10.0, 10.0]))
    assert (low[0], high[0]) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert (low[1], high[1]) == pytest.approx((0.0, 0.2775), abs=1e-4)


def test_the_legend_covers_no_data(tmp_path: Path) -> None:
    names = {f"model-{number}": ((0.2, 0.25, 20), (0.8, 0.75, 20)) for number in range(8)}
    assert draw_reliability(names, tmp_path / "r.png").read_bytes()[1:4] == b"PNG"
    axes = Figure(layout="constrained").add_subplot()
    plots._reliability(axes, names, "confidence")
    assert axes.get_legend() is None
    figure = axes.get_figure()
    assert figure is not None
    assert [one.get_text() for one in figure.legends[0].get_texts()][1] == "model-0 (n=40)"


def test_an_interval_that_is_not_known_is_its_value() -> None:
    known, unknown = Interval(0.5, 0.25, 0.75, 9), Interval(0.5, None, None, 1)
    assert plots._ends([known, unknown]) == ([0.25, 0.5], [0.75, 0.5])


def test_the_legend_names_only_what_is_drawn() -> None:
    records = [
        record("x/1", table([0, 0]), [True]),
        record("x/2", table([0, 1]), [False, True]),
    ] * 20
    summaries = {"both": summarise(records), "all right": summarise(records[:1])}
    axes = Figure(layout="constrained").add_subplot()
    assert plots._estimators(axes, summaries)
    figure = axes.get_figure()
    assert figure is not None
    assert [one.get_text() for one in figure.legends[0].get_texts()] == ["both (n=40)"]
