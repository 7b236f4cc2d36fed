"""Joins the answers of the stored runs that say the same, and grades them by today's rule.

    ET_AGENT_DATA=…/raw python -m benchmarks.meaning.join

Runs that are joined already stay as they are. What joining changes is measured before, by
`benchmarks.meaning.measure`. Maps, tables and pictures are made anew from the runs afterwards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.runs import LARGER, RESULTS, SMALL
from et_agent.answers import AnswerClasses, AnswerKind
from et_agent.answers.joining import join_classes
from et_agent.evaluation.archive import RunArchive
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.grading import is_right
from et_agent.evaluation.items import Item
from et_agent.evaluation.records import QuestionRecord

__all__ = ["RULE", "joined"]

RULE = "tests"
"""What makes answers one in runs that are joined, as `AskResult.same` has it."""


def joined(record: QuestionRecord, item: Item) -> QuestionRecord:
    """A question whose answers that say the same are one, graded anew."""
    index = [None if one < 0 else one for one in record.leaves.answer.tolist()]
    classes = join_classes(
        AnswerClasses(record.answers, tuple(index)),
        record.leaves.weight.tolist(),
        item.question,
        AnswerKind.TEXT,
    ).classes
    numbers = [-1 if one is None else one for one in classes.index_of_leaf]
    return replace(
        record,
        answers=tuple(classes.labels),
        right=tuple(is_right(one, item) for one in classes.labels),
        leaves=record.leaves.part(slice(None), answer=np.array(numbers)),
    )


def _all(
    records: Sequence[QuestionRecord], items: Mapping[str, Item]
) -> tuple[QuestionRecord, ...]:
    return tuple(joined(one, items[one.question]) for one in records)


def main() -> None:
    for model in (SMALL, LARGER):
        archive = RunArchive(RESULTS / f"{model}-nq-open.jsonl.xz")
        changed = {}
        for key, run in archive.items():
            if run.config.get("same") == RULE:
                continue
            items = {one.fingerprint: one for one in load_items(run.config["data"])}
            config = {**run.config, "same": RULE}
            changed[key] = replace(run, config=config, records=_all(run.records, items))
            before, after = (
                float(np.mean([one.correct for one in some]))
                for some in (run.records, changed[key].records)
            )
            print(f"{model} {key}: accuracy {before:.4f} -> {after:.4f}", flush=True)
        archive.put(changed)


if __name__ == "__main__":
    main()
