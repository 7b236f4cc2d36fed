"""Shipped and general maps on stored trees of questions that only a guess can answer."""

import numpy as np
import pytest

from benchmarks.runs import LARGER, SMALL
from benchmarks.settings import runs_of
from benchmarks.settings.tables import confidences
from et_agent.evaluation.records import QuestionRecord


def stored(model: str, group: str) -> list[QuestionRecord]:
    """Trees of a set, with what the model said of whether the questions can be answered."""
    found = {name: records for name, which, records in runs_of(model) if which == "default"}
    assert all(one.answerable is not None for one in found[group])
    return found[group]


@pytest.mark.parametrize("model", [SMALL, LARGER])
def test_a_guess_is_never_sure(model: str) -> None:
    records = stored(model, "guesses")
    assert len(records) >= 60
    found = confidences(model, records)
    assert np.mean(found > 0.7) <= 0.05
    assert found.max() <= 0.9


@pytest.mark.parametrize(("model", "most"), [(SMALL, 0.05), (LARGER, 0.2)])
def test_word_problems_that_lack_a_number_are_seldom_sure(model: str, most: float) -> None:
    """Votes cannot see this, so some are; whole ones must be surer."""
    records = stored(model, "missing")
    found = confidences(model, records)
    lacks = np.array([one.subject == "missing" for one in records])
    assert np.mean(found[lacks] > 0.8) <= most + 1e-9
    assert found[~lacks].mean() > found[lacks].mean() + 0.05
