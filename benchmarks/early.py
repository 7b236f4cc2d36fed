"""Seconds and tokens of trees that stop early over those of whole ones; wants an idle machine.

    ET_AGENT_DATA=…/raw python -m benchmarks.early [--model NAME] [--questions 6]

Questions of SVAMP's train split, one after another and all at once, by each decoder in turn. Adds
to benchmarks/results/early.json.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import describe
from benchmarks.rules import DECIDED, SETTLED, label
from benchmarks.runs import SAMPLE_SEED
from et_agent import ask, load_model
from et_agent.decoding import EntropyTree
from et_agent.engines.base import LanguageModel
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.items import sample

OUT: Final = Path(__file__).parent / "results" / "early.json"
DECODERS: Final[Mapping[str, EntropyTree]] = {
    "whole": EntropyTree(schedule="rounds"),
    label(DECIDED): DECIDED,
    label(SETTLED): SETTLED,
}


def asked(model: LanguageModel, questions: list[str], name: str) -> dict[str, float]:
    began = time.perf_counter()
    results = ask(model, questions, decoder=DECODERS[name], kind="number")
    taken = time.perf_counter() - began
    found = {"seconds": taken, "tokens": float(sum(one.usage.tokens_decoded for one in results))}
    print(f"{len(questions)} questions, {name}: {found}", file=sys.stderr, flush=True)
    return found


def compared(model: LanguageModel, parts: list[list[str]]) -> dict[str, Any]:
    """Totals of each decoder over all parts, and their ratios to the whole trees'."""
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in DECODERS}
    for turn, part in enumerate(parts):
        names = list(DECODERS)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            rows[name].append(asked(model, part, name))
    totals = {
        name: {what: sum(row[what] for row in one) for what in ("seconds", "tokens")}
        for name, one in rows.items()
    }
    whole = totals["whole"]
    return {
        name: {
            **{what: round(value, 1) for what, value in one.items()},
            **{f"{what} over the whole": round(one[what] / whole[what], 3) for what in one},
            "each, seconds over the whole": [
                round(row["seconds"] / other["seconds"], 3)
                for row, other in zip(rows[name], rows["whole"], strict=True)
            ],
        }
        for name, one in totals.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--questions", type=int, default=6)
    options = parser.parse_args()
    items = sample(load_items("svamp:train"), options.questions, seed=SAMPLE_SEED)
    questions = [item.question for item in items]
    with load_model(options.model, prefix_memory=0) as model:
        ask(model, "How many legs have 3 cats?", kind="number")  # the first one reads the file
        found = {
            "one after another": compared(model, [[question] for question in questions]),
            f"{len(questions)} at once": compared(model, [questions] * len(DECODERS)),
        }
    kept = json.loads(OUT.read_text(encoding="utf-8")) if OUT.is_file() else {}
    kept[options.model] = {**found, "machine": describe()}
    OUT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
