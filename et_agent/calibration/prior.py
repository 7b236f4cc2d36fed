"""The general map: what a tree says of any model, kind and prompt, from many groups of questions.

A group is a model on a set of questions with one prompt. Its map (`pooled`) has weights of its own;
those of all groups are normally distributed around common ones, and the intercept also grows with the
logarithm of the model's parameters. Means and covariances are found by expectation maximisation, with
Laplace's approximation for each group (Dempster, Laird & Rubin 1977; Gelman & Hill 2007, chapter 13).
The weights of a new group have that distribution. Labels of its own questions move them (`updated`).
Groups of the same model and set, under several prompts, count as one group together.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from pydantic import Field

from et_agent.arrays import Doubles
from et_agent.calibration.evidence import LEVELS, Limit, design_effect, limits_of
from et_agent.calibration.features import NOT_TEXT, Column
from et_agent.calibration.fingerprint import Fingerprint
from et_agent.calibration.pooled import Gaussian, Pooled, read_columns, updated
from et_agent.calibration.shipped_file import ShippedFile
from et_agent.errors import CalibrationError
from et_agent.validation import Frozen

__all__ = [
    "EXPECTED",
    "EXPECTED_OF_FIELDS",
    "EXPECTED_OF_PASSAGES",
    "Expected",
    "FieldPrior",
    "Group",
    "GroupUsed",
    "HeldOut",
    "PassagePrior",
    "Prior",
    "fit_prior",
    "held_out",
    "prior_of",
]

_SCHEMA: Final = 1
_ROUNDS: Final = 60
_LEAST_GROUPS: Final = 2
_MOST_PARAMETERS: Final = 10**15
_REFERENCE: Final = 5e8
"""Parameters of the model whose intercept is the prior's own."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of a feature before any question is seen.

    Attributes:
        weight: Its weight in log-odds per unit.
        centre: Its value at a question of middling difficulty, where the intercept is measured.
    """

    weight: float
    centre: float


EXPECTED: Final[Mapping[str, Expected]] = {
    "share": Expected(1.0, 0.0),
    "votes": Expected(0.3, 1.5),
    "mass": Expected(0.5, -1.5),
    "token_probability": Expected(2.5, 0.6),
    "answerable": Expected(0.3, 0.25),
    NOT_TEXT: Expected(1.0, 0.0),
}
"""Features of the general map. The share is the first guess at the probability, so its log-odds
weigh 1; the others are weak guesses that every group corrects. Short texts are recalled, and right
less often than their votes say; of other kinds an answer is worked out, or chosen from a few."""
EXPECTED_OF_PASSAGES: Final[Mapping[str, Expected]] = {
    "share": Expected(0.5, 1.0),
    "token_probability": Expected(1.0, 0.8),
    "beside": Expected(2.0, 0.5),
    "chosen": Expected(1.0, 0.3),
    "stated": Expected(1.0, 1.0),
    "asked": Expected(0.2, -8.0),
}
"""The same of the general map for answers out of passages. Others do not pay beside these
(`python -m benchmarks.retrieval study`)."""
EXPECTED_OF_FIELDS: Final[Mapping[str, Expected]] = {
    "share": Expected(0.5, 1.0),
    "votes": Expected(0.3, 1.5),
    "answer_logprob": Expected(0.6, 1.0),
}
"""The same of the general map for fields of a structured answer. Others do not pay beside these
(`python -m benchmarks.fields_fit study`)."""
_SIZE: Final = 0.5
"""Expected growth of the intercept per factor e of parameters, a weak guess: the log-odds of Qwen2.5's
accuracy on GSM8K grow by about 0.9 (arXiv 2412.15115), and votes show about half of that."""
_SPREAD_OF_LEVEL: Final = 1.0
"""Standard deviation of what is expected of the mean intercept."""
_SPREAD: Final = (1.0, 0.6)
"""Standard deviations among groups that are expected, of the intercept and of the others."""
_STRENGTH: Final = 4.0
"""Groups that this expectation of the spread counts as."""
_OUTSIDE: Final = {
    "votes": (0.0, math.log(65.0)),
    "token_probability": (0.0, 1.0),
    "answerable": (-2.0, 2.0),
    NOT_TEXT: (0.0, 1.0),
}
"""Ranges of features that are bounded, by themselves or here; those of the others are the fitted
ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Labelled questions of one model, set and prompt.

    Attributes:
        model, data, variant: Their names; the last is empty for the default prompt and settings.
        parameters: Parameters of the model.
        rows: Features, float64 [n, columns].
        right: 1 where the answer is right, [n].
        weights: How much each row counts, [n]; the rows of one question together count 1.
    """

    model: str
    data: str
    variant: str
    parameters: int
    rows: Doubles
    right: Doubles
    weights: Doubles


class GroupUsed(Frozen):
    """A group that a prior was fitted on."""

    model: str
    """Name of the model."""
    data: str
    """Data set and split."""
    variant: str = ""
    """What differed from the default settings."""
    questions: int
    """Number of questions with an answer."""
    right: int
    """Number of those whose answer was right."""


class Prior(ShippedFile):
    """Distribution of a map's weights over models, sets and prompts."""

    file_name: ClassVar[str] = "prior.json"
    expected: ClassVar[Mapping[str, Expected]] = EXPECTED
    """Its features, and what is expected of them before any question is seen."""
    odds: ClassVar[tuple[str, ...]] = ()
    """Those that are the logarithm of a probability, and count as its log-odds."""
    doubt: ClassVar[float] = 0.3
    """Standard deviation of what is expected of a weight's mean, in z."""
    wary: ClassVar[bool] = False
    """Whether the fitted questions allow only the lower end of what they show (`Limit.wary`), of a
    source that was not fitted."""

    schema_version: int = _SCHEMA
    """Version of this format."""
    features: tuple[Column, ...]
    """Columns that it reads."""
    centres: tuple[float, ...]
    """Where they are centred."""
    low: tuple[float, ...]
    """Smallest values that count."""
    high: tuple[float, ...]
    """Largest values that count."""
    weights: Gaussian
    """Of b, the z of each feature, and the growth of b per factor e of parameters."""
    size_spread: float = Field(gt=0)
    """Standard deviation of log(parameters), for a model of unknown size."""
    limits: tuple[Limit, ...]
    """What the fitted questions allow at most."""
    groups: tuple[GroupUsed, ...]
    """What it was fitted on."""

    @property
    def labels(self) -> int:
        """Number of labelled questions of all groups."""
        return sum(group.questions for group in self.groups)

    def at(self, parameters: int) -> Gaussian:
        """Distribution of (b, z) for a model of so many parameters; 0 if that is not known.

        Raises:
            CalibrationError: That is no number of parameters.
        """
        if (
            isinstance(parameters, bool)
            or not isinstance(parameters, int | np.integer)
            or not 0 <= parameters <= _MOST_PARAMETERS
        ):
            raise CalibrationError(
                f"parameters is {parameters!r:.40}: give the number of weights of the model, or 0 if "
                "it is not known"
            )
        mean, covariance = np.array(self.weights.mean), np.array(self.weights.covariance)
        size = math.log(parameters / _REFERENCE) if parameters else 0.0
        turn = np.eye(mean.size)[:-1]
        turn[0, -1] = size
        found = turn @ covariance @ turn.T
        if not parameters:
            found[0, 0] += (mean[-1] ** 2 + covariance[-1, -1]) * self.size_spread**2
        return Gaussian.of(turn @ mean, found)

    def map_for(self, parameters: int) -> Pooled:
        """The general map of a model of so many parameters; 0 if that is not known."""
        return Pooled(
            features=self.features,
            centres=self.centres,
            low=self.low,
            high=self.high,
            odds=self.odds,
            posterior=self.at(parameters),
        )


class PassagePrior(Prior):
    """The same for answers out of given passages."""

    file_name: ClassVar[str] = "passages.json"
    expected: ClassVar[Mapping[str, Expected]] = EXPECTED_OF_PASSAGES
    doubt: ClassVar[float] = 0.5
    # Questions that no passage answers are alike within an article, since one person wrote them, and
    # unlike those of the next; so were those of the judged articles (docs/confidence.md).
    wary: ClassVar[bool] = True


class FieldPrior(Prior):
    """The same for fields of a structured answer.

    A field is copied or worked out, like an answer, but the path says much else besides. What its own
    tokens say counts, and what the whole path says does not. The share alone cannot tell values on
    which all leaves agree.
    """

    file_name: ClassVar[str] = "fields.json"
    expected: ClassVar[Mapping[str, Expected]] = EXPECTED_OF_FIELDS
    odds: ClassVar[tuple[str, ...]] = ("answer_logprob",)
    doubt: ClassVar[float] = 0.5


def prior_of(fingerprint: Fingerprint | None, *, of_fields: bool = False) -> Prior:
    """What the package contains for such answers; for None, for any but those out of passages.

    Args:
        fingerprint: What the answers are decoded with.
        of_fields: Whether their fields are judged, and not the answers as a whole.

    Raises:
        CalibrationError: The file is missing or damaged.
    """
    if of_fields:
        return FieldPrior.shipped()
    return PassagePrior.shipped() if fingerprint and fingerprint.passages else Prior.shipped()


def fit_prior(groups: Sequence[Group], kind: type[Prior] = Prior) -> Prior:
    """Fit the general map to groups of labelled questions.

    Args:
        groups: The groups.
        kind: What is made: the general map for questions alone, for passages or for fields.

    Raises:
        CalibrationError: There are fewer than two groups.
    """
    if len(groups) < _LEAST_GROUPS:
        raise CalibrationError("a prior needs at least two groups of questions")
    prior = _fitted(groups, kind)
    return prior.model_copy(update={"limits": _limits(groups, prior)})


def _fitted(groups: Sequence[Group], kind: type[Prior]) -> Prior:
    """The prior without its limits."""
    expected = kind.expected
    names = tuple(expected)
    centres = np.array([expected[name].centre for name in names])
    columns = [read_columns(group.rows, names, kind.odds) for group in groups]
    stacked = np.concatenate(columns)
    low, high = np.empty(len(names)), np.empty(len(names))
    for at, name in enumerate(names):
        column = stacked[:, at]
        low[at], high[at] = _OUTSIDE.get(name) or (np.nanmin(column), np.nanmax(column))
    inputs = []
    for group, values in zip(groups, columns, strict=True):
        found = np.clip(values, low, high) - centres
        size = math.log(group.parameters / _REFERENCE)
        inputs.append((np.where(np.isnan(found), 0.0, found), size))
    weights = _expectation_maximisation(groups, inputs, kind)
    sizes = [math.log(group.parameters) for group in groups]
    return kind(
        features=names,
        centres=tuple(centres.tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        weights=weights,
        size_spread=max(0.5, float(np.std(sizes))),
        limits=(),
        groups=tuple(_used(group) for group in groups),
    )


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Groups as they look to priors that were fitted without their source, the set of data.

    Attributes:
        found: P(correct) of each group's rows, [groups][n].
        effect: How many of their sure questions tell as much as one that is alone in its source
            (`design_effect`); infinite for a single source.
    """

    found: tuple[Doubles, ...]
    effect: float


def held_out(groups: Sequence[Group], kind: type[Prior]) -> HeldOut | None:
    """Judge each set of data by a prior without it; None where too little is left to fit one.

    Questions of one set are alike whichever model is asked, so that its models are one source.
    """
    priors: dict[str, Prior] = {}
    sources = list(dict.fromkeys(group.data for group in groups))
    for data in sources:
        rest = [group for group in groups if group.data != data]
        if len(rest) < _LEAST_GROUPS:
            return None
        priors[data] = _fitted(rest, kind)
    found = [priors[one.data].map_for(one.parameters).predict(one.rows) for one in groups]
    every = np.concatenate(found)
    source = np.repeat(
        [sources.index(group.data) for group in groups], [group.right.size for group in groups]
    )
    right, weights = _labels(groups)
    sure = every >= LEVELS[0]
    return HeldOut(tuple(found), design_effect(right[sure], weights[sure], source[sure]))


def _limits(groups: Sequence[Group], prior: Prior) -> tuple[Limit, ...]:
    """What the questions of all groups allow; for a wary kind, of data that it was not fitted on.

    A question then counts as what it is worth beside others of its set, so that the lower end allows
    for sets that are harder than these. Where no set can be held out, nothing is known of others.
    """
    right, weights = _labels(groups)
    if not prior.wary:
        found = [prior.map_for(one.parameters).predict(one.rows) for one in groups]
        return limits_of(np.concatenate(found), right, weights)
    held = held_out(groups, type(prior))
    if held is None:
        return limits_of(np.zeros(0), np.zeros(0), np.zeros(0), wary=True)
    return limits_of(np.concatenate(held.found), right, weights / held.effect, wary=True)


def _labels(groups: Sequence[Group]) -> tuple[Doubles, Doubles]:
    """Whether each row of all groups is right, and how much it counts, [rows] each."""
    parts = _parts(groups)
    weights = [part * group.weights for part, group in zip(parts, groups, strict=True)]
    return np.concatenate([group.right for group in groups]), np.concatenate(weights)


def _parts(groups: Sequence[Group]) -> list[float]:
    """How much of a group each counts: one of several variants, only its part."""
    counts = Counter((group.model, group.data) for group in groups)
    return [1.0 / counts[group.model, group.data] for group in groups]


def _used(group: Group) -> GroupUsed:
    return GroupUsed(
        model=group.model,
        data=group.data,
        variant=group.variant,
        questions=round(float(group.weights.sum())),
        right=round(float((group.weights * group.right).sum())),
    )


def _expectation_maximisation(
    groups: Sequence[Group],
    inputs: Sequence[tuple[Doubles, float]],
    kind: type[Prior],
) -> Gaussian:
    """Distribution of (b, z, growth with size) for a new group."""
    count = len(kind.expected)
    weights = [math.log(math.expm1(one.weight)) for one in kind.expected.values()]
    # The last unknown, growth with size, is common to all groups.
    mean = np.array([0.0, *weights, _SIZE])
    scatter = np.diag([_SPREAD_OF_LEVEL**2, *[kind.doubt**2] * (count + 1)])
    usual = np.diag([_SPREAD[0] ** 2, *[_SPREAD[1] ** 2] * count])
    first, spread = mean.copy(), usual.copy()
    prior_precision = np.linalg.inv(scatter)
    parts = _parts(groups)
    for _ in range(_ROUNDS):
        total, weighted = prior_precision.copy(), prior_precision @ first
        found = []
        precision = np.linalg.inv(spread)
        for group, part, (features, size) in zip(groups, parts, inputs, strict=True):
            turn = np.eye(count + 2)[:-1]
            turn[0, -1] = size
            own = updated(Gaussian.of(turn @ mean, spread), features, group.right, group.weights)
            own_mean = np.array(own.mean)
            found.append((part, turn, own_mean, np.array(own.covariance)))
            total += part * turn.T @ precision @ turn
            weighted += part * turn.T @ precision @ own_mean
        mean = np.linalg.solve(total, weighted)
        sums = _STRENGTH * usual
        for part, turn, own_mean, own_covariance in found:
            away = own_mean - turn @ mean
            sums += part * (np.outer(away, away) + own_covariance)
        spread = sums / (sum(parts) + _STRENGTH)
    # A new group differs from the mean, which is not known exactly either.
    covariance: Doubles = np.linalg.inv(total).astype(np.float64)
    covariance[:-1, :-1] += spread
    return Gaussian.of(mean, covariance)
