"""Fits the general map for passages that is shipped, on the calibration split."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.retrieval.keeping import Kept, Run
from benchmarks.retrieval.trees import Rows
from benchmarks.runs import LARGER, PARAMETERS, SMALL
from et_agent.calibration import finding
from et_agent.calibration.prior import Group, PassagePrior, Prior, fit_prior

MODELS: Final = (SMALL, LARGER)
CAPS: Final = (4,)
"""Fewer leaves to which trees are cut for the fit."""
PRIOR: Final = Path(finding.__file__).parent / "shipped" / "general" / PassagePrior.file_name


def questions_of(model: str, split: str) -> list[Kept]:
    """What was decoded."""
    return list(Run.of(model, split).kept.values())


def groups(models: tuple[str, ...] = MODELS) -> Iterator[Group]:
    """A group per model and article."""
    for model in models:
        by_article: dict[str, list[Kept]] = {}
        for one in questions_of(model, "calibrate"):
            by_article.setdefault(one.place.partition("/")[0], []).append(one)
        for article, some in sorted(by_article.items()):
            found = Rows.of(some, CAPS)
            if found.right.size < 2 * len(CAPS):
                continue
            yield Group(
                model=model,
                data=f"squad2, {article}",
                variant="",
                parameters=PARAMETERS[model],
                rows=found.rows,
                right=found.right.astype(np.float64),
                weights=found.weights,
            )


def prior(models: tuple[str, ...] = MODELS) -> Prior:
    """The general map of the questions of these models."""
    return fit_prior(list(groups(models)), PassagePrior)


def fit() -> None:
    """Fit and write it."""
    made = prior()
    made.save(PRIOR)
    PassagePrior.shipped.cache_clear()
    print(f"general: {made.labels} questions, {np.round(made.weights.mean, 2)}")
