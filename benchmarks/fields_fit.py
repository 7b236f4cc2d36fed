"""Fits the general map for fields that is shipped, on the notices of `benchmarks.notices`.

    python -m benchmarks.fields_fit study    # which features rank and calibrate fields of another task
    python -m benchmarks.fields_fit fit      # writes the map

`benchmarks.fields decode --task …` decodes what it is fitted on. The invoices, which judge, are not
among it.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks import kept
from benchmarks.fields import file_of
from benchmarks.notices import TASKS
from benchmarks.runs import LARGER, PARAMETERS, SMALL
from et_agent.calibration import finding
from et_agent.calibration.evidence import design_effect
from et_agent.calibration.features import feature_row
from et_agent.calibration.prior import Expected, FieldPrior, Group, Prior, fit_prior, held_out
from et_agent.evaluation.metrics import auroc, brier, ece

PRIOR: Final = Path(finding.__file__).parent / "shipped" / "general" / FieldPrior.file_name
_SHARE, _VOTES, _MASS = Expected(0.5, 1.0), Expected(0.3, 1.5), Expected(0.6, 1.0)
WAYS: Final[Mapping[str, Mapping[str, Expected]]] = {
    "share": {"share": Expected(1.0, 0.0)},
    "share, votes": {"share": _SHARE, "votes": _VOTES},
    "mass": {"mass": _MASS},
    "votes, mass": {"votes": _VOTES, "mass": _MASS},
    "share, mass": {"share": _SHARE, "mass": _MASS},
    "share, votes, mass": {"share": _SHARE, "votes": _VOTES, "mass": _MASS},
    "share, answer_logprob": {"share": _SHARE, "answer_logprob": _MASS},
    "share, votes, answer_logprob": {"share": _SHARE, "votes": _VOTES, "answer_logprob": _MASS},
    "mass, margin": {"mass": _MASS, "margin": Expected(0.5, 0.7)},
    "mass, token_probability": {"mass": _MASS, "token_probability": Expected(1.0, 0.85)},
}
"""Features that are tried."""
_ODDS: Final = ("mass", "answer_logprob")


def groups() -> Iterator[Group]:
    """A group per model and task. Fields of one record count as what they tell together."""
    for model in (SMALL, LARGER):
        for task in TASKS:
            found = kept.read(file_of(model, task))
            if found is None:
                raise SystemExit(f"decode {task} with {model} first: see benchmarks.fields")
            _, rows = found
            fields = [(row["number"], one) for row in rows for one in row["fields"].values()]
            right = np.array([float(one["right"]) for _, one in fields])
            records = np.array([number for number, _ in fields], dtype=np.int64)
            effect = design_effect(right, np.ones_like(right), records)
            yield Group(
                model=model,
                data=task,
                variant="",
                parameters=PARAMETERS[model],
                rows=np.array([feature_row(one["features"], "json") for _, one in fields]),
                right=right,
                weights=np.full(right.size, 1.0 / effect),
            )


def study() -> None:
    """Print how well each way judges the fields of a task that it was not fitted on."""
    every = list(groups())
    shipped = [Prior.shipped().map_for(one.parameters).predict(one.rows) for one in every]
    print(f"{'general map for answers':32}", _figures(every, shipped))
    for name, expected in WAYS.items():
        kind = type("Studied", (FieldPrior,), {"expected": expected, "odds": _ODDS})
        held = held_out(every, kind)
        assert held is not None
        print(f"{name:32}", _figures(every, held.found))


def _figures(every: Sequence[Group], found: Sequence[np.ndarray]) -> str:
    told = []
    for group, predicted in zip(every, found, strict=True):
        right, counts = group.right > 0.5, np.ones((1, group.right.size))
        told.append([float(metric(right, predicted, counts)[0]) for metric in (auroc, ece, brier)])
    means = np.mean(told, axis=0)
    return f"AUROC {means[0]:.3f}  ECE {means[1]:.3f}  Brier {means[2]:.3f}  " + " ".join(
        f"{one[0]:.2f}" for one in told
    )


def fit() -> None:
    """Fit and write it."""
    made = fit_prior(list(groups()), FieldPrior)
    made.save(PRIOR)
    FieldPrior.shipped.cache_clear()
    print(f"{made.labels} fields, {np.round(made.weights.mean, 2)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["study", "fit"])
    {"study": study, "fit": fit}[parser.parse_args().command]()


if __name__ == "__main__":
    main()
