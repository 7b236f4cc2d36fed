"""Decodes the questions and checks the claims; a series that is kept in one file per model."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.kept import Row, decode, head_of, read
from et_agent.asking import ask
from et_agent.asking.prompting import LONG_DECODER
from et_agent.engines.base import LanguageModel
from et_agent.results import AskResult

__all__ = ["QUESTIONS", "decode_questions", "head_of_series", "kept_path", "results_of"]

_ROOT: Final = Path(__file__).parents[1]
QUESTIONS: Final = [
    json.loads(line)["question"]
    for line in (_ROOT / "questions" / "long.jsonl").read_text().splitlines()
]
DECODER: Final = LONG_DECODER.model_copy(update={"max_tokens": 160})
_AT_ONCE: Final = 8


def kept_path(model: str) -> Path:
    """Where a model's trees are kept."""
    return _ROOT / "results" / "claims" / f"{model}.jsonl.xz"


def decode_questions(model: LanguageModel, name: str, minutes: float | None) -> None:
    """Decode what is missing."""

    def decoded(numbers: Sequence[int]) -> Iterator[Row]:
        questions = [QUESTIONS[number] for number in numbers]
        results = ask(model, questions, kind="long", decoder=DECODER, calibrator=None)
        for number, one in zip(numbers, results, strict=True):
            result = one.model_dump(mode="json", exclude_defaults=True)
            result["tree"]["nodes"] = []  # most of the file, and of no use here
            yield {"number": number, "tokens": one.usage.tokens_decoded, "result": result}

    decode(
        kept_path(name),
        head_of(model, DECODER, 0),
        len(QUESTIONS),
        decoded,
        lambda rows: f"{len(rows)} replies",
        at_once=_AT_ONCE,
        minutes=minutes,
    )


def results_of(model: str) -> list[tuple[int, AskResult]]:
    """Question numbers and results that were decoded."""
    rows = _kept(model)[1]
    for row in rows:
        _give_leaves_a_node(row["result"]["tree"])
    return [(row["number"], AskResult.model_validate(row["result"])) for row in rows]


def _give_leaves_a_node(tree: dict[str, Any]) -> None:
    """Let all leaves of a tree that was kept without nodes end in an empty one."""
    if not tree["nodes"]:
        empty = dict.fromkeys(("parent", "fork", "received", "prompt_attention"))
        root = {"start": 0, "text": "", "weight": 1.0, "share": 1.0}
        root |= {"tokens": [], "entropies": [], "log_probs": []}
        tree["nodes"] = [empty | root]
        for leaf in tree["leaves"]:
            leaf["node"] = 0


def head_of_series(model: str) -> Row | None:
    """How a model's series was decoded; None if it was not."""
    return _kept(model)[0] if kept_path(model).exists() else None


def _kept(model: str) -> tuple[Row, list[Row]]:
    found = read(kept_path(model))
    if found is None:
        sys.exit(f"{kept_path(model)} is missing: decode first")
    return found
