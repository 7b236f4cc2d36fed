"""Fits the map of claims on one half of the questions, and judges it on the other."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.claims.decoding import head_of_series
from benchmarks.claims.labelled import MODELS, Labelled, labelled
from benchmarks.documents import put
from et_agent.arrays import Doubles
from et_agent.calibration import finding
from et_agent.calibration.claims import ClaimMap
from et_agent.evaluation.metrics import METRICS, value_of
from et_agent.storage import write_atomically

__all__ = ["fit", "judge"]

_OUT: Final = Path(__file__).parents[1] / "results" / "claims.json"
_MAP: Final = Path(finding.__file__).parent / "shipped" / "general" / ClaimMap.file_name
_COLUMNS: Final = {
    "log_prob": "of the token probability",
    "support": "of the support",
    "told_true": "of P(true)",
}
_ALONE: Final = (*_COLUMNS, "words", "unopposed")
"""Features that are judged by themselves; the first is the baseline."""
_RESAMPLES: Final = 2000


def fit() -> None:
    """Fit the map and write it."""
    claims = [one for one in labelled() if one.number % 2]
    rows, right = _rows(claims)
    models = sorted({one.model for one in claims})
    replies = [(one.model, one.number) for one in claims]
    made = ClaimMap.fit(rows, right, models=models, replies=replies)
    made.save(_MAP)
    ClaimMap.shipped.cache_clear()
    print(f"{made.labels} claims, {right.mean():.1%} true")
    print({name: round(value, 3) for name, value in made.weights.items()})


def judge() -> None:
    """Judge the shipped map on the questions that it has not seen, and write the figures."""
    every = labelled()
    unseen = [one for one in every if not one.number % 2]
    groups = {"both": unseen, **{m: [one for one in unseen if one.model == m] for m in MODELS}}
    found = {
        "series": {model: head_of_series(model) for model in MODELS},
        "questions": {
            model: len({one.number for one in every if one.model == model}) for model in MODELS
        },
        "claims": {"labelled": len(every), "fitted": len(every) - len(unseen)},
        "judged": {name: _figures(some) for name, some in groups.items() if some},
    }
    write_atomically(_OUT, json.dumps(found, indent=1) + "\n")
    put("docs/howto/long-answers.md", "claims", list(_table(found)))


def _table(found: Mapping[str, Any]) -> Iterator[str]:
    labelled, fitted = found["claims"]["labelled"], found["claims"]["fitted"]
    both = found["judged"]["both"]
    answered = " and ".join(
        f"{count} replies by {model}" for model, count in found["questions"].items()
    )
    low, high = both["auroc_above_baseline"]
    yield (
        f"{labelled} claims were labelled by hand, without a look at their confidences: those of "
        f"{answered}. Questions "
        f"with odd numbers fitted the map ({fitted} claims), the others judge it. AUROC is the chance "
        "that a true claim has more of it than a false one; the token probability is the mean "
        "log-probability of the claim's sentence. Brackets hold 95 % bootstrap intervals over "
        "questions. The confidence's AUROC is above that of the token probability by "
        f"{low:.2f} to {high:.2f} (`python -m benchmarks.claims judge`, "
        "[claims.json](../../benchmarks/results/claims.json))."
    )
    yield ""
    names = {"confidence": "AUROC", **_COLUMNS}
    yield f"| model | claims | true | {' | '.join(names.values())} | mean confidence | ECE | Brier |"
    yield "|---" * (len(names) + 6) + "|"
    for model, one in found["judged"].items():
        areas = [_shown(one["auroc"][name]) for name in names]
        yield (
            f"| {model} | {one['claims']} | {one['true']:.0%} | {' | '.join(areas)} | "
            f"{one['mean_confidence']:.0%} | {one['ece']:.3f} | {one['brier']:.3f} |"
        )


def _shown(area: Mapping[str, Any]) -> str:
    low, high = area["interval"]
    return f"{area['value']:.3f} [{low:.2f}, {high:.2f}]"


def _figures(claims: Sequence[Labelled]) -> dict[str, Any]:
    rows, right = _rows(claims)
    confidence = np.array([value for value, _ in ClaimMap.shipped().confidences(rows)])
    scores = {
        "confidence": confidence,
        **{name: np.array([row[name] for row in rows]) for name in _ALONE},
    }
    questions = np.array([one.number for one in claims])
    areas = {name: _area(right, score) for name, score in scores.items()}
    drawn = _resampled(right, scores, questions)
    better = [one["confidence"] - one["log_prob"] for one in drawn]
    return {
        "claims": len(claims),
        "questions": int(np.unique(questions).size),
        "true": round(float(right.mean()), 4),
        "mean_confidence": round(float(confidence.mean()), 4),
        "auroc": {
            name: {"value": areas[name], "interval": _interval([one[name] for one in drawn])}
            for name in scores
        },
        "auroc_above_baseline": _interval(better),
        "ece": round(value_of(METRICS["ECE"], right > 0, confidence) or 0.0, 4),
        "brier": round(float(((confidence - right) ** 2).mean()), 4),
        "brier_of_the_rate": round(float(((right.mean() - right) ** 2).mean()), 4),
    }


def _rows(claims: Sequence[Labelled]) -> tuple[list[Mapping[str, float]], Doubles]:
    right = np.array([one.right for one in claims], dtype=np.float64)
    return [one.evidence.features() for one in claims], right


def _area(right: Doubles, score: Doubles) -> float | None:
    known = ~np.isnan(score)
    value = value_of(METRICS["AUROC"], right[known] > 0, score[known])
    return None if value is None else round(value, 4)


def _resampled(
    right: Doubles, scores: Mapping[str, Doubles], questions: Doubles
) -> list[dict[str, float]]:
    """AUROCs of resamples of the questions: claims of one reply stand and fall together."""
    generator = np.random.default_rng(0)
    names = np.unique(questions)
    members = {name: np.flatnonzero(questions == name) for name in names.tolist()}
    found = []
    for _ in range(_RESAMPLES):
        drawn = np.concatenate([members[one] for one in generator.choice(names, names.size)])
        areas = {name: _area(right[drawn], score[drawn]) for name, score in scores.items()}
        if all(area is not None for area in areas.values()):
            found.append({name: area for name, area in areas.items() if area is not None})
    return found


def _interval(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975)).round(4).tolist()
    return low, high
