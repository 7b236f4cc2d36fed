"""The features that calibrators use: what leaves say together, and the model of the question."""

import functools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final

import numpy as np
from pydantic import AfterValidator

from et_agent.answers import AnswerKind
from et_agent.arguments import checks_arguments
from et_agent.arrays import Doubles
from et_agent.calibration.grounds import PASSAGE_FEATURES, log_odds
from et_agent.errors import CalibrationError
from et_agent.renaming import warn_of_old_name
from et_agent.uncertainty.effective_sample_size import effective_sample_size
from et_agent.uncertainty.estimators import ESTIMATORS
from et_agent.uncertainty.leaf_table import FORKS, LeafTable
from et_agent.uncertainty.leaves import check_leaves
from et_agent.validation import shown

__all__ = [
    "FEATURES",
    "GUESS",
    "NOT_TEXT",
    "Column",
    "Feature",
    "FeatureValues",
    "check_columns",
    "current_feature",
    "feature_columns",
    "feature_row",
    "features_of",
    "renamed_features",
    "taken",
]

_FORMS: Final = ("json", "tool_call")
_LEAST_SHARE: Final = 1e-9
_DISTINCT: Final = FORKS.index("distinct")
_OPTIONS: Final = 4
"""Options of the questions of which letters were read for the maps of the package."""
_SAME_WEIGHT: Final = 1e-3
"""How far a weight may be from a probability, for figures that were rounded where they are kept."""
GUESS: Final = "guess"
"""Feature that only the likeliest of answers whose letters were read has."""
NOT_TEXT: Final = "kind_not_text"
"""Column that parts what is worked out or chosen from short texts, which are recalled."""
_NOT_TEXT_OF: Final[Mapping[str, float]] = {"text": 0.0, "number": 1.0, "choice": 1.0}
"""Its value of the kinds that the general map was fitted to; that of others is not known, 0.5."""
_OLD_NAMES: Final = {"words": "answer_logprob"}
"""What an earlier et-agent called features; its results and calibrators are read silently."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of a tree.

    Attributes:
        name: Short name.
        meaning: Description for a person, with the unit.
        value: Computes it from a tree with at least one answer; NaN if it was not measured. None for
            one that is not of the tree.
        attention: Whether it needs attention, which is read only where it is asked for.
        fitted: Whether fits use it unless told which features to use. Not the length, which a prompt
            moves at will, nor what needs attention, which never paid (docs/confidence.md). What is not
            of the tree is often not measured, which only the general map bears with.
    """

    name: str
    meaning: str
    value: Callable[[LeafTable], float] | None
    attention: bool = False
    fitted: bool = True


def _estimated(
    name: str, transform: Callable[[float], float] = lambda value: value
) -> Callable[[LeafTable], float]:
    score = ESTIMATORS[name].score

    def value(leaves: LeafTable) -> float:
        found = score(leaves, {})
        return math.nan if found is None else transform(found)

    return value


def _top_share(leaves: LeafTable) -> float:
    return 0.0 if leaves.top is None else float(leaves.shares[leaves.top])


def _share(leaves: LeafTable) -> float:
    """Log-odds of the top share, drawn in by half a leaf so that unanimity stays finite."""
    size = _OPTIONS * _readings(leaves) if _is_read(leaves) else float(leaves.count.sum())
    share = _top_share(leaves)
    return math.log((share * size + 0.5) / ((1.0 - share) * size + 0.5))


def _support(leaves: LeafTable) -> float:
    """Log of Kish's effective number of winning paths: half of two paths is less than of sixteen."""
    winning = leaves.answer == leaves.top
    weights, counts = leaves.top_weights()[winning], leaves.count[winning]
    return math.log(effective_sample_size(check_leaves([0] * counts.size, weights, counts)))


def _answer_logprob(leaves: LeafTable) -> float:
    top = leaves.top
    return math.nan if top is None else float(leaves.answer_logprobs[top])


def _is_read(leaves: LeafTable) -> bool:
    """Whether the answers' own tokens were read, and nothing was sampled (`decoding.direct`).

    Then there is a path for each answer in each order, and its weight is its probability within the
    order, so that the latter says nothing beside the share. Paths of one token that were sampled may
    fork alike, but the last of them weighs what the others leave.
    """
    answers = leaves.classes
    if len(leaves) < 2 or not answers or len(leaves) % answers:
        return False
    if (leaves.tokens != 1).any() or (leaves.fork[1:] != _DISTINCT).any():
        return False
    orders = leaves.answer.reshape(-1, answers)
    if (np.sort(orders, axis=1) != np.arange(answers)).any():
        return False
    read = np.exp(leaves.log_prob).reshape(-1, answers)
    sums = read.sum(axis=1, keepdims=True)
    away = np.abs(leaves.weight.reshape(read.shape) * len(read) * sums - read)
    return bool((away <= _SAME_WEIGHT * sums).all())


def _readings(leaves: LeafTable) -> float:
    """How many times the options were read, in all their orders as often as if they were four.

    That there are more orders of more options is no more evidence.
    """
    return _OPTIONS * len(leaves) / leaves.classes**2


def _votes(leaves: LeafTable) -> float:
    """More for an answer with a larger share, or one that more paths could have contradicted.

    Of answers that were read, each reading is a path.
    """
    if _is_read(leaves):
        return math.log1p(_top_share(leaves) * _readings(leaves))
    return math.log1p(_top_share(leaves) * effective_sample_size(leaves.checked))


def _mass(leaves: LeafTable) -> float:
    if _is_read(leaves):
        return math.nan
    return math.log(max(_top_share(leaves), _LEAST_SHARE)) + _answer_logprob(leaves)


def _token_probability(leaves: LeafTable) -> float:
    if _is_read(leaves):
        return math.nan
    per_token = leaves.log_prob / np.maximum(leaves.tokens, 1)
    # numpy's minimum keeps NaN, where Python's would read it as certain.
    return math.exp(float(np.minimum(0.0, leaves.weight @ per_token)))


def _guess(leaves: LeafTable) -> float:
    """Only of the likeliest answer: another one may be worse than a guess."""
    leads = leaves.top == leaves.leading(leaves.shares)
    return 1.0 / leaves.classes if leads and _is_read(leaves) else math.nan


def _unanswered(leaves: LeafTable) -> float:
    return float(leaves.weight[leaves.answer < 0].sum())


def _tail(leaves: LeafTable) -> float:
    return float(leaves.top_weights() @ leaves.tail_log_prob)


def _length(leaves: LeafTable) -> float:
    return math.log(max(1.0, float(leaves.top_weights() @ leaves.tokens)))


FEATURES: Final[dict[str, Feature]] = {
    one.name: one
    for one in (
        Feature("share", "log-odds of the answer's share by path weight", _share),
        Feature("support", "log of the effective number of winning paths", _support),
        Feature("entropy", "predictive entropy by path weight, nats", _estimated("et-pe")),
        Feature(
            "margin", "share of the first answer minus share of the second", _estimated("margin")
        ),
        Feature("ess", "log of the effective sample size", _estimated("ess", math.log)),
        Feature("cut_off", "weight of paths that did not end by themselves", _estimated("cut-off")),
        Feature("unanswered", "weight of the paths that gave no answer", _unanswered),
        Feature(
            "log_prob",
            "mean log-probability of the winning paths, nats per token",
            _estimated("perplexity", lambda value: -math.log(value)),
        ),
        Feature("tail_log_prob", "the same over their last 64 tokens, nats per token", _tail),
        Feature(
            "certainty", "self-certainty of the winning paths, nats", _estimated("self-certainty")
        ),
        Feature(
            "rauq",
            "RAUQ of the winning paths, nats per token; needs attention",
            _estimated("rauq"),
            attention=True,
            fitted=False,
        ),
        Feature(
            "answer_logprob",
            "log of the mean probability of the answer's own tokens, nats",
            _answer_logprob,
        ),
        Feature("length", "log of the winning paths' mean length in tokens", _length, fitted=False),
        Feature("votes", "log of 1 + share x effective number of paths", _votes),
        Feature("mass", "log of share x probability of the answer's own tokens", _mass),
        Feature(
            "token_probability",
            "geometric mean of the probability of a token, over all paths",
            _token_probability,
        ),
        Feature(
            GUESS,
            "probability that a guess among the options is right, where the likeliest letter was read",
            _guess,
            fitted=False,
        ),
        Feature(
            "answerable",
            "log-odds that the question can be answered, as the model says when it is asked",
            None,
            fitted=False,
        ),
        *(Feature(name, meaning, None, fitted=False) for name, meaning in PASSAGE_FEATURES.items()),
    )
}
"""Features by name: of the tree, and what was asked beside it. `feature_columns` adds those of the
answer kind."""


@functools.cache
def feature_columns() -> tuple[str, ...]:
    """Names of the columns of `feature_row`: `FEATURES`, one 0/1 column per kind, `NOT_TEXT`."""
    kinds = (kind for kind in AnswerKind if kind is not AnswerKind.AUTO)
    return (*FEATURES, *(f"kind_{kind.value}" for kind in kinds), NOT_TEXT)


def current_feature(name: str) -> str:
    """What a feature is called now that may have had another name in an earlier et-agent."""
    return _OLD_NAMES.get(name, name)


def renamed_features(names: Iterable[str]) -> tuple[str, ...]:
    """Names that a caller wrote, old ones replaced with a DeprecationWarning."""
    given = tuple(names)
    for name in _OLD_NAMES.keys() & set(given):
        warn_of_old_name(f"the feature {name}", _OLD_NAMES[name], stacklevel=4)
    return tuple(map(current_feature, given))


class FeatureValues(dict[str, float | None]):
    """Features of a tree by name, None where one was not measured.

    Names of an earlier et-agent are replaced where they are put in, and looked up with a
    DeprecationWarning.
    """

    def __init__(self, values: Mapping[str, float | None] | None = None) -> None:
        super().__init__({current_feature(name): one for name, one in (values or {}).items()})

    def __missing__(self, name: str) -> float | None:
        if current_feature(name) not in self:
            raise KeyError(name)
        warn_of_old_name(f"the feature {name}", _OLD_NAMES[name])
        return self[_OLD_NAMES[name]]


@checks_arguments(error=CalibrationError)
def features_of(
    leaves: LeafTable,
    names: Collection[str] | None = None,
    *,
    answerable: float | None = None,
    beside: Mapping[str, float] = MappingProxyType({}),
) -> FeatureValues:
    """Return the features of a tree by name; None for a feature that was not measured.

    Args:
        leaves: The tree. Features of the answer are those of the class `leaves.top`.
        names: Only these, which takes less time; all if None.
        answerable: Probability that the question can be answered, as the model says
            (`p_answerable`); None if it was not asked.
        beside: Other features that are not of the tree, by name; those that are not given were not
            measured.

    Raises:
        CalibrationError: No leaf gave an answer.
    """
    measured = {"answerable": log_odds(answerable), **beside}
    if leaves.top is None:
        raise CalibrationError(
            "no leaf gave an answer, so there are no features: leave this question out"
        )
    values = {
        name: measured.get(name, math.nan) if feature.value is None else feature.value(leaves)
        for name, feature in FEATURES.items()
        if names is None or name in names
    }
    return FeatureValues(
        {name: value if math.isfinite(value) else None for name, value in values.items()}
    )


@checks_arguments(error=CalibrationError)
def feature_row(features: Mapping[str, float | None], kind: str) -> Doubles:
    """Return the features of a tree as a row, float64 [columns]; NaN for one that was not measured.

    Args:
        features: Features from `features_of` or `AskResult.features`.
        kind: Answer kind, or "json" or "tool_call", which have no column of their own.

    Raises:
        CalibrationError: The kind is unknown.
    """
    kinds = feature_columns()[len(FEATURES) : -1]
    if f"kind_{kind}" not in kinds and kind not in _FORMS:
        raise CalibrationError(f"there is no answer kind {shown(kind)}")
    known = FeatureValues(features)
    # Results of an earlier et-agent have fewer.
    values = [math.nan if (one := known.get(name)) is None else float(one) for name in FEATURES]
    own = (float(name == f"kind_{kind}") for name in kinds)
    return np.array([*values, *own, _NOT_TEXT_OF.get(kind, 0.5)])


Column = Annotated[str, AfterValidator(current_feature)]
"""A name of `feature_columns`; what an earlier et-agent stored is read too."""


def taken(rows: Doubles, names: Sequence[str]) -> Doubles:
    """Columns of `feature_row`s by name, float64 [n, names]."""
    known = feature_columns()
    return np.asarray(rows, dtype=np.float64)[:, [known.index(name) for name in names]]


def check_columns(features: Sequence[str]) -> tuple[str, ...]:
    """Refuse names of columns that do not exist.

    Raises:
        CalibrationError: One is unknown, or none is given.
    """
    unknown = sorted(set(features) - set(feature_columns()))
    if unknown or not features:
        raise CalibrationError(
            f"unknown features: {', '.join(unknown) or 'none given'}; "
            f"choose from {', '.join(feature_columns())}"
        )
    return tuple(features)
