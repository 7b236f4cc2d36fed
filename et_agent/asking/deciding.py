"""What more leaves would change of what is decided from a tree: asked by trees that may stop early."""

from collections.abc import Callable
from typing import Final

from et_agent.asking.confidence import Assessment, ConfidenceEstimator
from et_agent.asking.decision_rule import Compared, DecisionRule
from et_agent.calibration.foresight import Foresight, Standing
from et_agent.calibration.outlook import Outlook
from et_agent.decoding.stopping import ToCome
from et_agent.decoding.tree import Tree
from et_agent.results import AnswerForm
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["DecisionForecast", "Measured"]

_WITH_FIELDS: Final[tuple[AnswerForm, ...]] = ("json", "tool_call")

Measured = Callable[[Tree], tuple[LeafTable, AnswerForm]]
"""A tree of which no branch runs to the statistics of its leaves and the form of its answer."""


class DecisionForecast:
    """Risk that what is decided from a tree changes until its end; a `StoppingRule`.

    Args:
        measured: Reads the tree.
        estimator: What gives its confidence.
        rule: What is decided by this confidence; None if it is the answer that matters.
        answerable: Gives the probability that the question can be answered, as the model says; None
            while that is not known.
        foresight: The fitted model; the shipped one if None.

    Raises:
        CalibrationError: The shipped model is missing or damaged.
    """

    def __init__(
        self,
        measured: Measured,
        estimator: ConfidenceEstimator,
        rule: DecisionRule | None = None,
        answerable: Callable[[], float | None] = lambda: None,
        foresight: Foresight | None = None,
    ) -> None:
        self._measured, self._estimator, self._rule = measured, estimator, rule
        self._answerable = answerable
        self._foresight = Foresight.shipped() if foresight is None else foresight

    def __call__(self, tree: Tree, to_come: ToCome) -> float:
        """See `StoppingRule`."""
        leaves, form = self._measured(tree)
        standing = Standing.of(leaves, to_come.leaves, to_come.forks)
        if self._rule is None:
            return self._foresight.answer_changes(standing)
        if not standing.votes:
            return 0.0 if standing.ended else 1.0
        answerable = self._answerable()
        assessment = self._estimator.estimate(leaves, form, answerable=answerable, complete=True)
        compared = self._rule.compared(assessment.calibration)
        if compared is None:
            return 0.0

        outlook = self._outlook(standing, leaves, form, assessment, compared)
        if self._rule.fields and form in _WITH_FIELDS and outlook.now >= self._rule.answer_at:
            # Now the fields decide, and what more leaves make of each was fitted to no trees.
            return 0.0 if standing.ended else 1.0
        risk = outlook.changes(self._rule.answer_at)
        if self._rule.escalate_from > 0.0 and assessment.calibrator is not None:
            passing_on = self._outlook(standing, leaves, form, assessment, "confidence")
            risk += passing_on.changes(self._rule.escalate_from)
        return min(risk, 1.0)

    def _outlook(
        self,
        standing: Standing,
        leaves: LeafTable,
        form: AnswerForm,
        assessment: Assessment,
        compared: Compared,
    ) -> Outlook:
        return Outlook(
            foresight=self._foresight,
            standing=standing,
            leaves=leaves,
            features=assessment.features,
            kind=form,
            calibrator=None if compared == "share" else assessment.calibrator,
            low=compared == "low",
        )
