"""Asks every question; see the package."""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator

from benchmarks import answerable, settings
from benchmarks.runs import PARAMETERS, PLANS, SAMPLE_SEED, TRAINING
from benchmarks.settings.questions import SETS
from et_agent.answers import instruction
from et_agent.engines.base import LanguageModel
from et_agent.engines.loading import load_model
from et_agent.evaluation.items import Item, sample
from et_agent.storage import write_atomically
from et_agent.uncertainty.self_evaluation import p_answerable

_AT_ONCE = 16


def questions(model: str) -> Iterator[tuple[str, list[Item]]]:
    """Sets by name, each with the questions that were decoded."""
    for group, _ in settings.PLAN[model]:
        if settings.key_of(group, "default") in settings.archive_of(model):
            yield group, SETS[group]()
    for plan in (*TRAINING, *PLANS):
        if plan.model == model:
            yield plan.data, sample(plan.items(), plan.questions["entropy-tree"], seed=SAMPLE_SEED)


def ask(model: LanguageModel, items: list[Item], asked: dict[str, float]) -> Iterator[None]:
    """Ask some questions after the other, those that have no answer yet."""
    waiting: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if item.id not in asked:
            waiting[instruction(item.kind)].append(item)
    for own, some in waiting.items():
        for at in range(0, len(some), _AT_ONCE):
            part = some[at : at + _AT_ONCE]
            shares = p_answerable(model, [one.question for one in part], own)
            for one, share in zip(part, shares.tolist(), strict=True):
                asked[one.id] = round(share, 6)
            yield


def main() -> None:
    parser = argparse.ArgumentParser(description=answerable.__doc__)
    parser.add_argument("--model", choices=list(PARAMETERS), action="append")
    parser.add_argument("--sets", help="by comma; all if left out")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after about as long")
    options = parser.parse_args()
    began = time.monotonic()
    for name in options.model or PARAMETERS:
        with load_model(name) as model:
            for data, items in questions(name):
                if options.sets is not None and data not in options.sets.split(","):
                    continue
                asked = answerable.known().setdefault(name, {}).setdefault(data, {})
                for _ in ask(model, items, asked):
                    if time.monotonic() - began > 60 * options.minutes:
                        keep()
                        return
                keep()
                spent = (time.monotonic() - began) / 60
                print(f"{spent:6.1f} min  {name} {data}: {len(asked)}", file=sys.stderr, flush=True)


def keep() -> None:
    write_atomically(answerable.OUT, (json.dumps(answerable.known(), indent=0) + "\n").encode())


if __name__ == "__main__":
    main()
