"""What a stored question would have been if its roots had come in batches and stopped early."""

from collections.abc import Callable

import numpy as np

from et_agent.calibration import Calibrator
from et_agent.calibration.foresight import Foresight, Standing
from et_agent.calibration.outlook import Outlook
from et_agent.decoding import EntropyTree
from et_agent.decoding.schedules import Rounds
from et_agent.decoding.stopping import ToCome
from et_agent.errors import SettingsError
from et_agent.evaluation.equal_cost import are_chains, some_chains
from et_agent.evaluation.records import QuestionRecord

__all__ = ["RecordRule", "answer_rule", "gate_rule", "outlook_of", "stopped_early"]

RecordRule = Callable[[QuestionRecord, ToCome], float]
"""What there is of a question, and what is to come, to the probability that this changes what is
decided."""


def stopped_early(
    record: QuestionRecord,
    settings: EntropyTree,
    shift: float | None = None,
    *,
    rule: RecordRule | None = None,
) -> QuestionRecord:
    """The record as a tree in batches, with these settings and else decoded alike, would have left it.

    The codes of a tree come in the order of a tree in batches, as far as it can be told afterwards
    (`LeafTable.capped`); independent chains in the order of their making. Forks that follow the codes
    are all there or none, though a tree in batches may stop between their rounds. Answers that are
    equal count as one here; a tree that is being decoded takes two spellings for two.

    Args:
        record: A whole tree, or independent chains.
        settings: Of these `leaves`, `batch`, `stop_risk`, `stop_above` and `stop_below` are used.
        shift: With which code of a tree it begins, as for `QuestionRecord.capped`.
        rule: What is decided, for `stop_risk`.

    Raises:
        SettingsError: They have neither `batch` nor `stop_risk`, or the latter without a rule.
    """
    if not isinstance(settings, Rounds) or not settings.comes_in_batches:
        raise SettingsError("a tree that decodes its roots at once does not stop: give it a batch")
    if settings.stop_risk is not None and rule is None:
        raise SettingsError("stop_risk is about what is decided: pass a rule")
    chains = are_chains([record])
    if not chains:
        record = record.capped(settings.leaves, shift)
    elif len(record.leaves) > settings.leaves:
        record = some_chains(record, np.arange(settings.leaves))
    total = len(record.leaves) if chains else record.leaves.codes
    forks = 0 if chains else settings.leaves - total
    for size in settings.sizes(total):
        part = some_chains(record, np.arange(size)) if chains else record.capped(size, shift)
        if _is_decided(settings.stop_risk, rule, part, ToCome(total - size, forks)):
            return part
        lead = float(part.leaves.shares.max(initial=0.0))
        if settings.stops_at(lead, size) is not None:
            return part
    return record


def _is_decided(
    most: float | None, rule: RecordRule | None, part: QuestionRecord, to_come: ToCome
) -> bool:
    return most is not None and rule is not None and rule(part, to_come) <= most


def answer_rule(foresight: Foresight) -> RecordRule:
    """What is decided is the answer."""

    def rule(record: QuestionRecord, to_come: ToCome) -> float:
        return foresight.answer_changes(_standing(record, to_come))

    return rule


def gate_rule(foresight: Foresight, calibrator: Calibrator, threshold: float) -> RecordRule:
    """What is decided is whether a gate gives the answer, from a confidence on."""

    def rule(record: QuestionRecord, to_come: ToCome) -> float:
        standing = _standing(record, to_come)
        if not standing.votes:
            return 0.0 if standing.ended else 1.0
        return outlook_of(record, standing, foresight, calibrator).changes(threshold)

    return rule


def outlook_of(
    record: QuestionRecord, standing: Standing, foresight: Foresight, calibrator: Calibrator
) -> Outlook:
    """What a gate would see of a stored tree that may still grow."""
    return Outlook(
        foresight=foresight,
        standing=standing,
        leaves=record.leaves,
        features=record.features,
        kind=record.kind,
        calibrator=calibrator,
    )


def _standing(record: QuestionRecord, to_come: ToCome) -> Standing:
    return Standing.of(record.leaves, to_come.leaves, to_come.forks)
