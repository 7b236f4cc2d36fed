"""Which features pay: each article of the calibration split is judged by maps that did not see it."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from benchmarks.retrieval.fitting import CAPS, MODELS, groups, questions_of
from benchmarks.retrieval.trees import Rows
from benchmarks.runs import PARAMETERS
from et_agent.arrays import Doubles
from et_agent.calibration.evidence import within_votes
from et_agent.calibration.prior import EXPECTED_OF_PASSAGES, Expected, PassagePrior, fit_prior
from et_agent.evaluation.metrics import METRICS, value_of

OTHERS: Final = {"answerable": Expected(0.3, 0.5), "mass": Expected(0.3, -1.5)}
"""Features that were tried besides."""
_EDGE: Final = 1e-6


class _Judged:
    """Held-out confidences of the whole trees of a model."""

    def __init__(self, model: str) -> None:
        self.right: list[Doubles] = []
        self.found: list[Doubles] = []
        self.model = model

    def figures(self) -> str:
        """Log loss, AUROC and what is false among the answers given at 0.8."""
        right, found = np.concatenate(self.right), np.concatenate(self.found)
        inside = np.clip(found, _EDGE, 1 - _EDGE)
        loss = float(-np.where(right > 0, np.log(inside), np.log(1 - inside)).mean())
        area = value_of(METRICS["AUROC"], right > 0, found)
        given = found >= 0.8
        false = float(1 - right[given].mean()) if given.any() else float("nan")
        return f"loss {loss:.4f}  AUROC {area or 0:.3f}  false {false:.3f} of {given.mean():.2f}"


def held_out(features: Sequence[str]) -> dict[str, _Judged]:
    """Judge a set of features, by model."""
    known = {**OTHERS, **EXPECTED_OF_PASSAGES}
    expected = {name: known[name] for name in features}
    kind = type("Studied", (PassagePrior,), {"expected": expected})
    every = list(groups())
    found = {model: _Judged(model) for model in MODELS}
    for article in sorted({one.data for one in every}):
        rest = [one for one in every if one.data != article]
        prior = fit_prior(rest, kind)
        for model in {one.model for one in every}:
            own = [one for one in rest if one.model == model]
            some = [
                one
                for one in questions_of(model, "calibrate")
                if f"squad2, {one.place.partition('/')[0]}" == article
            ]
            judged = Rows.of(some)
            if not own or not judged.right.size:
                continue
            taught = prior.map_for(PARAMETERS[model]).after(
                np.concatenate([one.rows for one in own]),
                np.concatenate([one.right for one in own]),
                np.concatenate([one.weights for one in own]),
            )
            confidence = within_votes(judged.rows, taught.predict(judged.rows))
            found[model].right.append(judged.right.astype(np.float64))
            found[model].found.append(confidence)
    return {model: one for model, one in found.items() if one.right}


def study() -> None:
    """Print all features together, each one left out, and the share with each one."""
    names = list(EXPECTED_OF_PASSAGES)
    sets = {"shipped": names}
    sets |= {f"without {name}": [one for one in names if one != name] for name in names}
    sets |= {f"with {name}": [*names, name] for name in OTHERS}
    print(f"trees cut to {CAPS} leaves are fitted, too")
    for what, features in sets.items():
        for model, one in held_out(features).items():
            print(f"{what:24} {model:20} {one.figures()}", flush=True)
