"""What a stored question would have been if its roots had come in batches and stopped early."""

import numpy as np

from et_agent.decoding import EntropyTree
from et_agent.decoding.schedules import Rounds
from et_agent.errors import SettingsError
from et_agent.evaluation.equal_cost import are_chains, some_chains
from et_agent.evaluation.records import QuestionRecord

__all__ = ["stopped_early"]


def stopped_early(
    record: QuestionRecord, settings: EntropyTree, shift: float | None = None
) -> QuestionRecord:
    """The record as a tree in batches, with these settings and else decoded alike, would have left it.

    The codes of a tree come in the order of a tree in batches, as far as it can be told afterwards
    (`LeafTable.capped`); independent chains in the order of their making. Forks that follow the codes
    are all there or none, though a tree in batches may stop between their rounds. Answers that are
    equal count as one here; a tree that is being decoded takes two spellings for two.

    Args:
        record: A whole tree, or independent chains.
        settings: Of these `leaves`, `batch`, `stop_above` and `stop_below` are used.
        shift: With which code of a tree it begins, as for `QuestionRecord.capped`.

    Raises:
        SettingsError: They have no `batch`.
    """
    if not isinstance(settings, Rounds) or settings.batch is None:
        raise SettingsError("a tree that decodes its roots at once does not stop: give it a batch")
    chains = are_chains([record])
    if not chains:
        record = record.capped(settings.leaves, shift)
    elif len(record.leaves) > settings.leaves:
        record = some_chains(record, np.arange(settings.leaves))
    total = len(record.leaves) if chains else record.leaves.codes
    for size in settings.sizes(total):
        part = some_chains(record, np.arange(size)) if chains else record.capped(size, shift)
        lead = float(part.leaves.shares.max(initial=0.0))
        if settings.stops_at(lead, size) is not None:
            return part
    return record
