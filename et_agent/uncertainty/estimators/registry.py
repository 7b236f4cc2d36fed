"""All estimators by name."""

from typing import Final

from et_agent.errors import SettingsError
from et_agent.uncertainty.estimators.answer_mass import ANSWER_MASS
from et_agent.uncertainty.estimators.base import Estimator
from et_agent.uncertainty.estimators.et_pe import ET_PE, ET_PE_COUNT
from et_agent.uncertainty.estimators.lexical_similarity import LEXICAL_SIMILARITY
from et_agent.uncertainty.estimators.p_true import P_TRUE
from et_agent.uncertainty.estimators.perplexity import BEST_PATH, PERPLEXITY
from et_agent.uncertainty.estimators.sample_size import CUT_OFF, ESS
from et_agent.uncertainty.estimators.self_consistency import MARGIN, TOP_SHARE, TOP_SHARE_COUNT
from et_agent.uncertainty.estimators.semantic_entropy import (
    SEMANTIC_ENTROPY,
    SEMANTIC_ENTROPY_ENTAILED,
)
from et_agent.uncertainty.estimators.sequence_entropy import LN_PE, PE
from et_agent.uncertainty.estimators.token_certainty import TOKEN_ESTIMATORS

__all__ = ["ESTIMATORS", "find_estimator"]

ESTIMATORS: Final[dict[str, Estimator]] = {
    one.name: one
    for one in (
        ET_PE,
        ET_PE_COUNT,
        TOP_SHARE,
        TOP_SHARE_COUNT,
        MARGIN,
        ANSWER_MASS,
        PE,
        LN_PE,
        SEMANTIC_ENTROPY,
        SEMANTIC_ENTROPY_ENTAILED,
        PERPLEXITY,
        BEST_PATH,
        *TOKEN_ESTIMATORS,
        ESS,
        CUT_OFF,
        LEXICAL_SIMILARITY,
        P_TRUE,
    )
}
"""All estimators by name."""


def find_estimator(name: str) -> Estimator:
    """The estimator of this name.

    Raises:
        SettingsError: There is none.
    """
    if name in ESTIMATORS:
        return ESTIMATORS[name]
    raise SettingsError(f"there is no estimator {name!r}: choose one of {', '.join(ESTIMATORS)}")
