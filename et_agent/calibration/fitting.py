"""How each candidate map is fitted, and which one a set of labelled questions can bear.

scikit-learn does the fitting and is imported here alone; using a fitted map needs only numpy.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from et_agent.arrays import Doubles, Ints
from et_agent.calibration.evidence import within_votes
from et_agent.calibration.features import FEATURES, GUESS, check_columns, feature_columns
from et_agent.calibration.fingerprint import Fingerprint
from et_agent.calibration.grounds import PASSAGE_FEATURES
from et_agent.calibration.libraries import sklearn_module
from et_agent.calibration.maps import CalibrationMap, Isotonic, Logistic, VennAbers, rounded
from et_agent.calibration.pooled import Pooled
from et_agent.calibration.rows import row_weights
from et_agent.errors import CalibrationError
from et_agent.renaming import warn_of_old_name

__all__ = [
    "CANDIDATES",
    "Candidate",
    "Choice",
    "Training",
    "beside_the_tree",
    "choose",
    "current_method",
    "folds",
    "isotonic_with",
    "judged",
    "log_loss",
    "renamed_method",
    "unmeasured",
    "usable_features",
]


@dataclass(frozen=True, eq=False, slots=True)
class Training:
    """Labelled rows, and how they are to be fitted.

    Attributes:
        rows: Rows of `feature_row`, float64 [n, columns].
        labels: 1 for right, 0 for wrong, [n].
        groups: Number of each row's question, [n].
        features: Columns to use.
        seed: Seed of the folds.
        start: The general map.
        beside: More columns, which some questions may lack; for maps that bear with that.
    """

    rows: Doubles
    labels: Ints
    groups: Ints
    features: tuple[str, ...]
    seed: int
    start: Pooled
    beside: tuple[str, ...] = ()

    def part(self, places: Ints) -> "Training":
        """The same with some of the rows."""
        return replace(
            self,
            rows=self.rows[places],
            labels=self.labels[places],
            groups=self.groups[places],
        )


Fit = Callable[[Training], CalibrationMap]
"""How a map is fitted."""

_SHARE: Final = ("share",)
_THREE: Final = ("share", "support", "answer_logprob")
"""Few enough for little data: the vote, the paths behind it, and the answer's own probability."""
_FOLDS: Final = 5
_INVERSE_PENALTIES: Final = (0.003, 0.03, 0.3, 3.0)
_CONSTANT: Final = 1e-9
_STEP: Final = 0.05
"""Scores of Venn-Abers are rounded to this, log-odds."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to fit.

    Attributes:
        name: Short name.
        source: Where it is from.
        min_questions: Labelled questions below which it is not tried, since it would overfit.
        required: Features that it is made of: without one of them it is not tried.
        fit: Fits it.
    """

    name: str
    source: str
    min_questions: int
    required: tuple[str, ...]
    fit: Fit

    def missing(self, features: Sequence[str]) -> list[str]:
        """What it requires and is not among these."""
        return [name for name in self.required if name not in features]


def folds(
    labels: Ints, groups: Ints, seed: int, count: int = _FOLDS
) -> Iterator[tuple[Ints, Ints]]:
    """Training and held-out rows of each fold; a group stays together, classes are spread evenly."""
    splitter = sklearn_module("model_selection").StratifiedGroupKFold(
        n_splits=count, shuffle=True, random_state=seed
    )
    for train, held in splitter.split(np.zeros((labels.size, 1)), labels, groups):
        # A fold without both classes teaches nothing.
        if 0 < labels[train].sum() < train.size:
            yield train, held


def log_loss(labels: Ints, probabilities: Doubles) -> Doubles:
    """Log loss of each question, nats, [n]; infinite for certainty that was wrong."""
    with np.errstate(divide="ignore"):
        return -np.log(np.where(labels == 1, probabilities, 1.0 - probabilities))


def _logistic(
    rows: Doubles, labels: Ints, features: tuple[str, ...], inverse_penalty: float
) -> Logistic:
    known = feature_columns()
    values = rows[:, [known.index(name) for name in features]]
    means, scales = values.mean(axis=0), values.std(axis=0)
    # A feature that never changes can tell nothing.
    varying = scales > _CONSTANT
    scales = np.where(varying, scales, 1.0)
    low, high = values.min(axis=0), values.max(axis=0)
    model = sklearn_module("linear_model").LogisticRegression(C=inverse_penalty, max_iter=1000)
    model.fit((values - means) / scales, labels)
    return Logistic(
        features=features,
        means=tuple(means.tolist()),
        scales=tuple(scales.tolist()),
        coefficients=tuple(np.where(varying, model.coef_[0], 0.0).tolist()),
        intercept=float(model.intercept_[0]),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
    )


def _pooled(training: Training) -> Pooled:
    """The general map, moved by the labels; the trees of one question together count once.

    The kind of an answer is known whatever features are asked for.
    """
    right, weights = training.labels.astype(np.float64), row_weights(training.groups)
    kinds = feature_columns()[len(FEATURES) :]
    return training.start.only((*training.features, *training.beside, *kinds)).after(
        training.rows, right, weights
    )


def _platt(training: Training) -> Logistic:
    return _logistic(training.rows, training.labels, ("share",), 10.0)


def _logistic_of_three(training: Training) -> Logistic:
    return _logistic(training.rows, training.labels, _THREE, 1.0)


def _inverse_penalty(training: Training) -> float:
    """The C of scikit-learn, the inverse of the ridge penalty, with the least held-out log loss."""
    rows, labels, features = training.rows, training.labels, training.features
    splits = list(folds(labels, training.groups, training.seed))
    losses = {}
    for inverse_penalty in _INVERSE_PENALTIES:
        parts = [
            (held, _logistic(rows[train], labels[train], features, inverse_penalty))
            for train, held in splits
        ]
        found = [log_loss(labels[held], part.predict(rows[held])) for held, part in parts]
        losses[inverse_penalty] = float(np.concatenate(found).mean())
    return min(losses, key=lambda one: losses[one])


def _regularised(training: Training) -> Logistic:
    return _logistic(training.rows, training.labels, training.features, _inverse_penalty(training))


def _isotonic(training: Training) -> Isotonic:
    labels, shares = training.labels, training.rows[:, feature_columns().index("share")]
    # Never 0 or 1: a rule of succession on the whole set bounds what it can have learnt.
    edge = 1.0 / (labels.size + 2)
    model = sklearn_module("isotonic").IsotonicRegression(
        y_min=edge, y_max=1 - edge, out_of_bounds="clip"
    )
    model.fit(shares, labels)
    return Isotonic(
        feature="share",
        knots=tuple(model.X_thresholds_.tolist()),
        values=tuple(np.clip(model.y_thresholds_, 0.0, 1.0).tolist()),
    )


def _venn_abers(training: Training) -> VennAbers:
    """The score is fitted on all questions, calibrated on scores from outside its own folds."""
    rows, labels, features = training.rows, training.labels, training.features
    inverse_penalty = _inverse_penalty(training)
    whole = _logistic(rows, labels, features, inverse_penalty)
    scores = np.zeros(labels.size)
    for train, held in folds(labels, training.groups, training.seed + 1):
        part = _logistic(rows[train], labels[train], features, inverse_penalty)
        scores[held] = part.log_odds(rows[held])
    # On a grid, so that a thousand questions make a hundred steps, not a thousand.
    scores = rounded(scores, _STEP)
    knots = np.unique(scores)
    gaps = (knots[1:] + knots[:-1]) / 2
    places = np.empty(2 * knots.size + 1)
    places[1::2], places[2:-1:2] = knots, gaps
    places[0], places[-1] = knots[0] - 1.0, knots[-1] + 1.0
    bounds = [isotonic_with(scores, labels, places, label) for label in (0, 1)]
    return VennAbers(
        score=whole,
        step=_STEP,
        knots=tuple(knots.tolist()),
        lower=tuple(bounds[0].tolist()),
        upper=tuple(bounds[1].tolist()),
    )


def isotonic_with(scores: Doubles, labels: Ints, places: Doubles, label: int) -> Doubles:
    """Isotonic regression's value at each place when it joins the scores with `label`, [places].

    By the min-max formula (Robertson, Wright & Dykstra 1988): the largest, over beginnings at or
    below the place, of the least mean up to an end at or above it.
    """
    knots, at = np.unique(scores, return_inverse=True)
    counts = np.bincount(at).astype(np.float64)
    sums = np.bincount(at, labels).astype(np.float64)
    found = np.empty(places.size)
    for number, place in enumerate(places.tolist()):
        below, above = np.searchsorted(knots, place, "left"), np.searchsorted(knots, place, "right")
        right = (
            label + sums[below:above].sum() + _sums_of_beginnings(sums[:below][::-1], sums[above:])
        )
        total = (
            1.0
            + counts[below:above].sum()
            + _sums_of_beginnings(counts[:below][::-1], counts[above:])
        )
        found[number] = (right / total).min(axis=1).max()
    return found


def _sums_of_beginnings(down: Doubles, up: Doubles) -> Doubles:
    """Sums of the first i of one and the first j of the other, [1 + down, 1 + up]."""
    lower, upper = (np.concatenate([[0.0], np.cumsum(part)]) for part in (down, up))
    found: Doubles = lower[:, None] + upper
    return found


CANDIDATES: Final[Mapping[str, Candidate]] = {
    one.name: one
    for one in (
        Candidate(
            "pooled",
            "the general map (`calibration.prior`), moved by the labels",
            0,
            _SHARE,
            _pooled,
        ),
        Candidate(
            "logistic-3",
            "logistic over three features: the share, how many paths stand behind it, and the answer's "
            "own probability; for trees of several sizes",
            0,
            _THREE,
            _logistic_of_three,
        ),
        Candidate("platt", "Platt 1999: logistic in the log-odds of the share", 0, _SHARE, _platt),
        Candidate(
            "logistic",
            "logistic over all features, ridge by cross-validation",
            100,
            (),
            _regularised,
        ),
        Candidate("isotonic", "Zadrozny & Elkan 2002: rising in the share", 200, _SHARE, _isotonic),
        Candidate(
            "venn-abers",
            "Vovk, Petej & Fedorova 2015, over the logistic score",
            200,
            (),
            _venn_abers,
        ),
    )
}
"""Candidates, in order of preference: a later one has to be better by more than one standard error."""
_OLD_NAMES: Final = {"brief": "logistic-3"}
"""What an earlier et-agent called candidates; its calibrators are read silently."""


def current_method(name: str) -> str:
    """What a candidate is called now that may have had another name in an earlier et-agent."""
    return _OLD_NAMES.get(name, name)


def renamed_method(name: str) -> str:
    """A candidate's name that a caller wrote, an old one replaced with a DeprecationWarning."""
    if name in _OLD_NAMES:
        warn_of_old_name(f"the method {name}", _OLD_NAMES[name], stacklevel=4)
    return current_method(name)


@dataclass(frozen=True, slots=True)
class Choice:
    """What cross-validation says of the candidates.

    Attributes:
        name: The first candidate that is no worse than the best by one standard error.
        losses: Mean log loss on held-out questions, nats, by candidate.
    """

    name: str
    losses: Mapping[str, float]


def choose(training: Training) -> Choice:
    """Choose a candidate by its log loss on held-out questions.

    The first, in the order of `CANDIDATES`, whose mean loss exceeds the best one's by no more than the
    standard error of their paired difference: after Breiman et al. 1984, whose order is by simplicity.
    The general map comes first, since it cannot extrapolate; the one of three features stands before
    Platt's, which cannot serve trees of several sizes.

    Raises:
        CalibrationError: No candidate can be made of these features.
    """
    rows, labels, groups = training.rows, training.labels, training.groups
    splits = list(folds(labels, groups, training.seed))
    each: dict[str, Doubles] = {}
    for candidate in CANDIDATES.values():
        if np.unique(groups).size < candidate.min_questions or candidate.missing(training.features):
            continue
        found = np.full(labels.size, np.nan)
        for train, held in splits:
            fitted = candidate.fit(training.part(train))
            found[held] = log_loss(labels[held], judged(fitted, rows[held]))
        each[candidate.name] = _by_group(found, groups)
    if not each:
        raise CalibrationError(
            "no map can be made of so few questions and these features: give the share among them"
        )
    losses = {name: float(found.mean()) for name, found in each.items()}
    best = min(losses, key=lambda name: losses[name])
    for name, found in each.items():
        difference = found - each[best]
        error = float(difference.std(ddof=1)) / math.sqrt(difference.size)
        if losses[name] - losses[best] <= error:
            return Choice(name, losses)
    return Choice(best, losses)


def judged(mapping: CalibrationMap, rows: Doubles) -> Doubles:
    """What a map gives within what votes allow, [n]; maps fitted anew are not bound by them."""
    found = mapping.predict(rows)
    return within_votes(rows, found) if isinstance(mapping, Pooled) else found


def _by_group(values: Doubles, groups: Ints) -> Doubles:
    """Mean of each group, [groups]; rows of NaN, which no fold held out, are left aside."""
    known = ~np.isnan(values)
    _, at = np.unique(groups[known], return_inverse=True)
    return np.asarray(np.bincount(at, values[known]) / np.bincount(at), dtype=np.float64)


def beside_the_tree(rows: Doubles) -> tuple[str, ...]:
    """Features that are not of the tree, if they were measured in some question."""
    columns = feature_columns()
    names = (name for name, feature in FEATURES.items() if feature.value is None)
    return tuple(name for name in names if np.isfinite(rows[:, columns.index(name)]).any())


def unmeasured(rows: Doubles, fingerprint: Fingerprint | None) -> tuple[str, ...]:
    """Features that some question lacks; of those that are not of the tree, that all of them lack.

    Args:
        rows: Rows of `feature_row`, float64 [n, columns].
        fingerprint: What they are of. Answers that are not out of passages need no features of these,
            and none needs that of letters that were read.
    """
    beside = beside_the_tree(rows)
    passages = fingerprint is not None and fingerprint.passages
    finite = np.asarray(np.isfinite(rows[:, : len(FEATURES)]).all(axis=0)).tolist()
    known = (*beside, GUESS, *(() if passages else PASSAGE_FEATURES))
    return tuple(
        name for name, has in zip(FEATURES, finite, strict=True) if not has and name not in known
    )


def usable_features(rows: Doubles, features: Sequence[str] | None) -> tuple[str, ...]:
    """The columns to fit: those asked for, or the usual ones that were measured everywhere.

    Raises:
        CalibrationError: A column that was asked for, or that some map always looks at, was not
            measured.
    """
    known = feature_columns()
    measured = [name for at, name in enumerate(known) if np.isfinite(rows[:, at]).all()]
    usual = tuple(name for name in measured if name not in FEATURES or FEATURES[name].fitted)
    chosen = usual if features is None else check_columns(features)
    missing = [name for name in dict.fromkeys((*_SHARE, *chosen)) if name not in measured]
    if missing:
        raise CalibrationError(
            f"a feature is NaN or infinite in some question: {', '.join(missing)}. Leave it out, or "
            "the questions in which it was not measured"
        )
    return chosen
