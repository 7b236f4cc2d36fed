"""Which features pay: each article of the calibration split is judged by maps that did not see it.

Readings that were tried once and are made no more are judged alone, by article.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.machine import describe
from benchmarks.retrieval.fitting import CAPS, MODELS, groups, questions_of
from benchmarks.retrieval.keeping import Kept
from benchmarks.retrieval.trees import Rows, tree_of
from benchmarks.runs import PARAMETERS
from et_agent.arrays import Doubles
from et_agent.calibration.evidence import within_votes
from et_agent.calibration.grounds import log_odds
from et_agent.calibration.prior import (
    EXPECTED_OF_PASSAGES,
    Expected,
    PassagePrior,
    fit_prior,
    held_out,
)
from et_agent.evaluation.metrics import METRICS, value_of
from et_agent.storage import write_atomically

OUT: Final = Path(__file__).parents[1] / "results" / "retrieval-study.json"
OTHERS: Final = {"answerable": Expected(0.3, 0.5), "mass": Expected(0.3, -1.5)}
"""Features that were tried besides."""
_EDGE: Final = 1e-6


class _Judged:
    """Held-out confidences of the whole trees of a model."""

    def __init__(self, model: str) -> None:
        self.right: list[Doubles] = []
        self.found: list[Doubles] = []
        self.model = model

    def figures(self) -> dict[str, float | None]:
        """Log loss, AUROC, and of the answers that reach 0.8 how many there are and how many false."""
        right, found = np.concatenate(self.right), np.concatenate(self.found)
        inside = np.clip(found, _EDGE, 1 - _EDGE)
        loss = float(-np.where(right > 0, np.log(inside), np.log(1 - inside)).mean())
        given = found >= 0.8
        return {
            "answers": right.size,
            "log loss": loss,
            "AUROC": value_of(METRICS["AUROC"], right > 0, found),
            "given at 0.8": float(given.mean()),
            "false at 0.8": float(1 - right[given].mean()) if given.any() else None,
        }


def judged_apart(features: Sequence[str]) -> dict[str, _Judged]:
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


def single(model: str) -> dict[str, dict[str, float | None]]:
    """AUROC of each reading alone, by article."""
    read: dict[str, list[tuple[bool, Mapping[str, float | None]]]] = {"all": []}
    for one in questions_of(model, "calibrate"):
        tree = tree_of(one)
        if tree is not None and one.grounding is not None:
            values = {**tree.features, **_tried(one)}
            for place in ("all", one.place.partition("/")[0]):
                read.setdefault(place, []).append((tree.right, values))
    names = ("share", *KNOWN, *TRIED)
    return {name: {at: _area(some, name) for at, some in read.items()} for name in names}


def limits() -> dict[str, Any]:
    """How sure answers fare on articles that were not fitted, and how alike those of an article are."""
    every = list(groups())
    held = held_out(every, PassagePrior)
    assert held is not None, "there are several articles"
    given = {
        f"{one.model}, {one.data}": _given_at(0.8, found, one.right, one.weights)
        for one, found in zip(every, held.found, strict=True)
    }
    return {"design effect": held.effect, "given at 0.8": given}


def _given_at(
    level: float, found: Doubles, right: Doubles, weights: Doubles
) -> dict[str, float | None]:
    """Questions whose confidence reaches a level, smaller trees counted in part, and the false ones."""
    given = found >= level
    total = float(weights[given].sum())
    false = float((weights * (1 - right))[given].sum())
    return {"questions": total, "false": false / total if total else None}


KNOWN: Final = ("token_probability", "answerable", "beside", "chosen", "stated", "asked")
TRIED: Final = ("supported", "gain", "over absence")
"""Asked whether the passages say that it is the answer; how much likelier its tokens are with the
passages than without, nats per token; how much likelier than those of a reply that declines, nats."""


def _tried(kept: Kept) -> dict[str, float | None]:
    read = kept.grounding
    if read is None or "supported" not in read:
        return dict.fromkeys(TRIED)
    inside, alone, absent = (
        math.fsum(read[name]) for name in ("with_passages", "without", "absent")
    )
    gain = (inside - alone) / max(1, len(read["with_passages"]))
    return dict(zip(TRIED, (log_odds(read["supported"]), gain, inside - absent), strict=True))


def _area(some: Sequence[tuple[bool, Mapping[str, float | None]]], name: str) -> float | None:
    known = [(right, value) for right, values in some if (value := values.get(name)) is not None]
    right = np.array([one for one, _ in known], dtype=np.bool_)
    if right.all() or not right.any():
        return None
    return value_of(METRICS["AUROC"], right, np.array([value for _, value in known]))


def study() -> None:
    """Judge all features together, each one left out, others added, and each reading alone."""
    names = list(EXPECTED_OF_PASSAGES)
    sets = {"shipped": names}
    sets |= {f"without {name}": [one for one in names if one != name] for name in names}
    sets |= {f"with {name}": [*names, name] for name in OTHERS}
    together = {}
    for what, features in sets.items():
        together[what] = {model: one.figures() for model, one in judged_apart(features).items()}
        print(what, together[what], flush=True)
    document: dict[str, Any] = {
        "machine": describe(),
        "trees cut to": list(CAPS),
        "together, other articles": together,
        "limits, other articles": limits(),
        "AUROC alone": {model: single(model) for model in MODELS},
    }
    write_atomically(OUT, json.dumps(document, indent=1) + "\n")
