"""Which of equally heavy answers to give: the first, or the one whose tokens are likelier.

    python -m benchmarks.ties

No decoding: stored trees and chains, and what fewer leaves of each would have said. Writes
docs/experiments.md and benchmarks/results/ties.json.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from typing import Final

import numpy as np

from benchmarks.confidence import KINDS, records_of
from benchmarks.documents import put
from benchmarks.machine import describe
from benchmarks.runs import LARGER, RESULTS, SMALL
from benchmarks.tables import signed
from et_agent.arrays import Doubles
from et_agent.evaluation.bootstrap import Interval, Resamples, interval
from et_agent.evaluation.equal_cost import some_chains
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import table
from et_agent.uncertainty.leaves import SHARE_DIGITS

SIZES: Final = (2, 4, 8, 12)
DRAWS: Final = 4
"""Random subsets of each question's chains."""


def first_of_equals(record: QuestionRecord) -> bool:
    """Whether the first of the heaviest answers is right: the rule that `answer_logprobs` replaced."""
    shares = record.leaves.shares
    return bool(shares.size) and record.right[int(shares.round(SHARE_DIGITS).argmax())]


def gain(parts: Sequence[QuestionRecord]) -> tuple[float, float]:
    """Accuracy of the first of equals, and of what is likelier, over parts of one question."""
    return (
        float(np.mean([first_of_equals(one) for one in parts])),
        float(np.mean([one.correct for one in parts])),
    )


def row(records: Sequence[QuestionRecord], decoder: str) -> dict[int, dict[str, Interval]]:
    """By number of leaves: accuracy by the first of equals, and what the tokens' probability adds."""
    counts = Resamples(len(records)).counts / len(records)
    rng = np.random.default_rng(0)
    found = {}
    for size in SIZES:
        parts = [_parts(record, decoder, size, rng) for record in records]
        values: Doubles = np.array([gain(one) for one in parts])
        before, after = counts @ values[:, 0], counts @ values[:, 1]
        found[size] = {
            "first of equals": interval(before, len(records)),
            "likelier tokens minus that": interval(after - before, len(records)),
        }
    return found


def _parts(
    record: QuestionRecord, decoder: str, size: int, rng: np.random.Generator
) -> list[QuestionRecord]:
    if decoder == "entropy-tree":
        return [record.capped(size)]
    total = len(record.leaves)
    return [some_chains(record, np.sort(rng.permutation(total)[:size])) for _ in range(DRAWS)]


def main() -> None:
    rows = {}
    for model, (kind, sets), training in product((SMALL, LARGER), KINDS.items(), (True, False)):
        for decoder in ("entropy-tree", "multi-chain"):
            records = records_of(sets, model, training=training, decoder=decoder)
            if records:
                split = "training" if training else "test"
                name = f"{model}, {kind}, {split}, {decoder}"
                rows[name] = (len(records), row(records, decoder))
    content = {
        "machine": describe(),
        "rows": {
            name: {"questions": size, "leaves": found} for name, (size, found) in rows.items()
        },
    }
    (RESULTS.parent / "ties.json").write_text(
        json.dumps(content, indent=1, default=asdict) + "\n", encoding="utf-8"
    )
    lines = [
        [name, str(size)]
        + [
            f"{one['first of equals'].value:.3f} {signed(one['likelier tokens minus that'])}"
            for one in found.values()
        ]
        for name, (size, found) in rows.items()
    ]
    header = ["model, kind, split, decoder", "questions", *(f"{size} leaves" for size in SIZES)]
    put("docs/experiments.md", "ties", table(header, lines))
    print(f"{len(rows)} rows")


if __name__ == "__main__":
    main()
