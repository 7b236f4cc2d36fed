"""What the model says when it is asked whether a question can be answered at all.

    ET_AGENT_DATA=…/raw python -m benchmarks.answerable [--model NAME] [--minutes 30]

Every question of the runs of `benchmarks.runs` and of the default runs of `benchmarks.settings` is
asked, with the system prompt that it was decoded with. The probabilities are kept in
benchmarks/results/answerable.json; questions that it holds are not asked again. Runs that are decoded
now measure it themselves.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from et_agent.evaluation.records import QuestionRecord

OUT: Final = Path(__file__).parents[1] / "results" / "answerable.json"


@cache
def known() -> dict[str, dict[str, dict[str, float]]]:
    """P(can be answered) by model, set and item."""
    return json.loads(OUT.read_text("utf-8")) if OUT.is_file() else {}


def joined(model: str, data: str, records: Sequence[QuestionRecord]) -> list[QuestionRecord]:
    """Records with what is known of whether their questions can be answered."""
    found = known().get(model, {}).get(data, {})
    return [
        replace(one, answerable=found.get(one.item)) if one.answerable is None else one
        for one in records
    ]
