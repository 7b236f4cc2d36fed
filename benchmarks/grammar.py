"""Constrained decoding: reading the vocabulary, compiling a schema, a mask, a fork.

    python -m benchmarks.grammar [--model qwen2.5-coder-0.5b] [--repeats 5]

A mask is `allowed` of a path whose beginning is known, as the scheduler asks for it: parser state and
bool [V]. Texts are walked token by token, each schema's text `--repeats` times with a new constraint.
Writes "now" into benchmarks/results/grammar.json. "before" there is the same walk with llama.cpp's
grammar, measured at commit 5d81681 on the same machine in the same hour.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from benchmarks.machine import describe
from et_agent.engines.base import Tokenizer
from et_agent.engines.loading import load_model
from et_agent.errors import SettingsError
from et_agent.grammar import GrammarConstraint, json_rule

T = TypeVar("T")

OUT: Final = Path(__file__).parent / "results" / "grammar.json"
PERSON: Final = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "mood": {"enum": ["glad", "sad", "neither"]},
        "notes": {"type": "array", "items": {"type": "string", "maxLength": 80}},
    },
    "required": ["name", "age", "mood", "notes"],
}
CASES: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "object": (
        PERSON,
        '{"name": "Ann Smith of Leeds", "age": 33, "mood": "glad", "notes": ["likes tea, and '
        'walks by the sea", "was born in 1990 \\"or so\\"", "été 猫 😀"]}',
    ),
    "any object": (
        {"type": "object"},
        '{"a": {"b": [1, 2.5, "three", null, {"c": true}]}, "d": "Why did the hen cross?"}',
    ),
    "long string": ({"type": "string"}, f'"{"The quick brown fox jumps. " * 40}"'),
    "length": ({"type": "string", "maxLength": 500}, f'"{"a word or two, " * 30}"'),
    "pattern": (
        {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}( [a-z]+)*$"},
        f'"2024-02-29{" word" * 40}"',
    ),
}
LARGE: Final = {"enum": [f"value {number}" for number in range(200_000)]}


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """A result and the milliseconds of this thread, which other programs do not lengthen."""
    began = time.thread_time()
    found = work()
    return found, 1000 * (time.thread_time() - began)


def constraint(model: Tokenizer, schema: Any) -> GrammarConstraint:
    """A schema's grammar over a vocabulary that was read before."""
    return GrammarConstraint(model, f"start: {json_rule(schema)}")


def walk(made: GrammarConstraint, tokens: Sequence[int]) -> tuple[list[float], list[float]]:
    """Milliseconds of the mask after each beginning of a path, and of a copy of its parser state."""
    masks: list[float] = []
    copies: list[float] = []
    for count in range(len(tokens) + 1):
        path = list(tokens[:count])
        mask, spent = timed(partial(made.allowed, path))
        masks.append(spent)
        copies.append(timed(made._states[tuple(path)].deep_copy)[1])
        assert count == len(tokens) or mask[tokens[count]]
    return masks, copies


def measured(name: str, repeats: int) -> dict[str, Any]:
    """All times of a model's vocabulary."""
    rows: dict[str, Any] = {}
    with load_model(name, context=512, max_sequences=1, attention=False) as model:
        _, first = timed(partial(GrammarConstraint, model, 'start: "a"'))
        for case, (schema, text) in CASES.items():
            tokens = model.tokenize(text)
            compiled: list[float] = []
            masks: list[float] = []
            copies: list[float] = []
            for _ in range(repeats):
                made, spent = timed(partial(constraint, model, schema))
                compiled.append(spent)
                for into, times in zip((masks, copies), walk(made, tokens), strict=True):
                    into += times
            rows[case] = summary(compiled, masks, copies)
            print(case, rows[case], flush=True)
        return {"vocabulary": model.info.vocabulary, "reading_s": round(first / 1000, 2)} | {
            "cases": rows,
            "200000_enum_values": refused(lambda: json_rule(LARGE)),
        }


def summary(
    compiled: list[float], masks: list[float], copies: list[float]
) -> dict[str, float | int]:
    """Medians and the longest, compiled without the first."""
    return {
        "compile_ms": round(statistics.median(compiled), 2),
        "mask_ms_median": round(statistics.median(masks), 3),
        "mask_ms_max": round(max(masks), 2),
        "copy_us_median": round(1000 * statistics.median(copies), 1),
        "masks": len(masks),
    }


def refused(work: Callable[[], object]) -> dict[str, Any]:
    """How long it takes to refuse a schema, and in what words."""
    began = time.perf_counter()
    try:
        work()
    except SettingsError as error:
        return {"s": round(time.perf_counter() - began, 2), "says": str(error)}
    raise AssertionError("it was taken")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    kept = json.loads(OUT.read_text()) if OUT.is_file() else {}
    kept["now"] = {
        "machine": describe(),
        "model": given.model,
        **measured(given.model, given.repeats),
    }
    OUT.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
