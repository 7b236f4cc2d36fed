"""What a tree that stops once the gate's decision is made saves in seconds: alone, and twelve queued.

    python -m benchmarks.stopping_seconds [--model NAME] [--questions 10]

Questions are the first of the test samples of `benchmarks.runs`. Each is asked alone, by a whole tree
and by one with a stop risk of 1 % that knows the gate's threshold, in turn; then twelve at once. The
machine must be idle. Writes benchmarks/results/stopping_seconds.json and its table in
docs/experiments.md; how often decisions differ is better told by `benchmarks.deciding`, which replays
hundreds of trees.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.documents import put
from benchmarks.machine import describe
from benchmarks.runs import PLANS, SAMPLE_SEED, SMALL
from et_agent.asking import submit
from et_agent.decoding import EntropyTree, MultiChain
from et_agent.engines.base import LanguageModel
from et_agent.engines.loading import load_model
from et_agent.evaluation.items import Item, sample
from et_agent.evaluation.report import table
from et_agent.evaluation.running import question_seed
from et_agent.gate import Gate, GatePolicy
from et_agent.results import AskResult
from et_agent.storage import write_atomically

OUT: Final = Path(__file__).parent / "results" / "stopping_seconds.json"
POLICY: Final = GatePolicy(answer_at=0.8)
QUEUED: Final = 12
SEED: Final = 2
DECODERS: Final = {
    "whole": EntropyTree(schedule="rounds"),
    "stopping": EntropyTree(schedule="rounds", stop_risk=0.01),
}
DATA: Final = ("svamp", "gsm8k", "nq-open")


def asked(model: LanguageModel, items: Sequence[Item], name: str) -> tuple[list[AskResult], float]:
    """Results of questions that are asked at once, and seconds for all."""
    began = time.perf_counter()
    pending = [
        submit(
            model,
            item.question,
            decoder=DECODERS[name],
            kind=item.kind,
            seed=question_seed(SEED, item),
            decides=POLICY,
        )
        for item in items
    ]
    return [one.result() for one in pending], time.perf_counter() - began


def compared(model: LanguageModel, items: Sequence[Item], count: int) -> dict[str, Any]:
    """Seconds and tokens of both, and the decisions that differ."""
    gate, found = Gate(POLICY), {}
    actions: dict[str, list[str]] = {}
    for name in DECODERS:
        found[name] = {"seconds alone": 0.0, "tokens alone": 0}
        actions[name] = []
    for at, item in enumerate(items[:count]):
        for name in sorted(DECODERS, reverse=at % 2 == 1):
            (result,), taken = asked(model, [item], name)
            found[name]["seconds alone"] += taken
            found[name]["tokens alone"] += result.usage.tokens_decoded
            actions[name].append(str(gate.decide(result).action))
    for name in DECODERS:
        results, taken = asked(model, items[:QUEUED], name)
        found[name]["seconds queued"] = taken
        found[name]["tokens queued"] = sum(one.usage.tokens_decoded for one in results)
    whole, stopping = found["whole"], found["stopping"]
    different = np.array(actions["whole"]) != np.array(actions["stopping"])
    return {
        "questions alone": count,
        **{
            name: {key: round(value, 2) for key, value in one.items()}
            for name, one in found.items()
        },
        "ratio": {key: round(stopping[key] / whole[key], 3) for key in whole},
        "decisions that differ": int(different.sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=SMALL)
    parser.add_argument("--questions", type=int, default=10, help="of each set, alone")
    options = parser.parse_args()
    document = json.loads(OUT.read_text("utf-8")) if OUT.is_file() else {}
    rows: dict[str, dict[str, Any]] = {}
    with load_model(options.model) as model:
        for plan in PLANS:
            if plan.model == SMALL and plan.name in DATA:
                items = sample(plan.items(), QUEUED, seed=SAMPLE_SEED)
                if not rows:
                    submit(model, items[-1].question, decoder=MultiChain(leaves=4)).result()
                rows[plan.name] = compared(model, items, options.questions)
                print(plan.name, json.dumps(rows[plan.name]["ratio"]), flush=True)
    document[options.model] = {"machine": describe(), "threshold": POLICY.answer_at, "sets": rows}
    write_atomically(OUT, json.dumps(document, indent=1) + "\n")
    put("docs/experiments.md", "stopping-seconds", lines(document))


def lines(document: dict[str, Any]) -> list[str]:
    """The table of the docs."""
    head = ["model", "set", "alone: seconds", "alone: tokens", "twelve: seconds", "twelve: tokens"]
    cells = []
    for model, entry in document.items():
        for name, row in entry["sets"].items():
            ratio = row["ratio"]
            alone = f"{ratio['seconds alone']:.2f} ({row['whole']['seconds alone']:.0f} s whole)"
            queued = f"{ratio['seconds queued']:.2f} ({row['whole']['seconds queued']:.0f} s whole)"
            tokens = [f"{ratio[f'tokens {how}']:.2f}" for how in ("alone", "queued")]
            cells.append([model, name, alone, tokens[0], queued, tokens[1]])
    return table(head, cells)


if __name__ == "__main__":
    main()
