"""Reads what every system said with et-agent's reader of answers, and compares it with the truth."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.jobs import Reply, Text
from et_agent.answers import Extracted, extract, read_value
from et_agent.evaluation.metrics import auroc, value_of


@dataclass(frozen=True)
class Question:
    """A question of `questions.json`."""

    id: str
    set: str
    question: str
    gold: str


def load_questions() -> list[Question]:
    """Questions, with those of the sets in turn."""
    path = Path(__file__).with_name("questions.json")
    questions = [Question(**one) for one in json.loads(path.read_text(encoding="utf-8"))]
    by_set: dict[str, list[Question]] = {}
    for one in questions:
        by_set.setdefault(one.set, []).append(one)
    return [one for group in zip(*by_set.values(), strict=True) for one in group]


def graded(question: Question, reply: Reply) -> dict[str, Any]:
    """A reply's answer and whether it is right, with its share and confidences."""
    given, share = _voted(reply.texts) if reply.texts else (_read(reply.answer), reply.share)
    gold = _read(question.gold)
    return {
        "id": question.id,
        "answer": None if given is None else given.value,
        "right": given is not None and gold is not None and given.key == gold.key,
        "share": share,
        "confidence": reply.confidence,
        "scores": reply.scores,
    }


def _read(answer: str | None) -> Extracted | None:
    return None if answer is None else read_value(answer, "number")


def _voted(texts: Sequence[Text]) -> tuple[Extracted | None, float | None]:
    """The most frequent answer and its share of all texts; a text by itself has no share."""
    read = [extract(one.text, "number", finished=one.finished) for one in texts]
    if len(read) == 1:
        return read[0], None
    votes = Counter(one.key for one in read if one is not None)
    if not votes:
        return None, 0.0
    ((key, count),) = votes.most_common(1)
    return next(one for one in read if one is not None and one.key == key), count / len(read)


def separation(right: Sequence[bool], confidence: Sequence[float | None]) -> float | None:
    """AUROC of a confidence; None if a question has none, or all answers are right or all wrong."""
    known = [one for one in confidence if one is not None]
    return value_of(auroc, right, known) if len(known) == len(right) else None
