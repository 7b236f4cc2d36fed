"""Claims that were decoded, with what is known of them and whether they are true."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.claims.decoding import kept_path, results_of
from benchmarks.runs import LARGER, SMALL
from et_agent.asking.claims import distinct, words_held
from et_agent.calibration.claims import ClaimEvidence
from et_agent.results import AskResult, ClaimReport

__all__ = ["MODELS", "Labelled", "labelled", "unlabelled"]

MODELS: Final = (SMALL, LARGER)
_LABELS: Final = Path(__file__).parent / "labels.jsonl"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A claim with its label.

    Attributes:
        model: Whose claim it is.
        number: Number of the question.
        right: Whether it is true.
        evidence: What is known of it.
    """

    model: str
    number: int
    right: bool
    evidence: ClaimEvidence


def labelled() -> list[Labelled]:
    """All claims with a label, those that cannot be told left out."""
    known = {_key(row): row["true"] for row in _rows()}
    return [
        Labelled(model, number, label, _evidence(result, claim))
        for model, number, result, claim in _claims()
        if (label := known.get((model, number, claim.text))) is not None
    ]


def unlabelled() -> Iterator[dict[str, Any]]:
    """Claims without a label, as lines of the labels' file."""
    known = {_key(row) for row in _rows()}
    for model, number, result, claim in _claims():
        if (model, number, claim.text) not in known:
            yield {
                "model": model,
                "number": number,
                "question": result.question,
                "claim": claim.text,
                "true": None,
            }


def _key(row: dict[str, Any]) -> tuple[str, int, str]:
    return row["model"], row["number"], row["claim"]


def _rows() -> list[dict[str, Any]]:
    if not _LABELS.exists():
        return []
    return [json.loads(line) for line in _LABELS.read_text(encoding="utf-8").splitlines()]


def _claims() -> Iterator[tuple[str, int, AskResult, ClaimReport]]:
    """All claims, of one that a reply repeats the first."""
    for model in MODELS:
        if kept_path(model).exists():
            for number, result in results_of(model):
                first = {claim.text: claim for claim in reversed(result.claims)}
                for claim in result.claims:
                    if first[claim.text] is claim:
                        yield model, number, result, claim


def _evidence(result: AskResult, claim: ClaimReport) -> ClaimEvidence:
    """What a result says of a claim, and how many of its words the other leaves have."""
    shown = result.best_leaf
    assert result.tree is not None
    others = [leaf for leaf in result.tree.leaves if leaf is not shown and leaf.answer is not None]
    texts, weights = distinct(
        [leaf.text for leaf in others], np.array([leaf.weight for leaf in others])
    )
    return ClaimEvidence(
        support=_number(claim.support),
        contradicted=_number(claim.contradicted),
        told_true=_number(claim.told_true),
        words=words_held(claim.text, result.question, texts, weights),
        log_prob=_number(claim.log_prob),
        parameters=result.model.parameters,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value
