"""Makes the pilots that the catalog's models ship with.

    ET_AGENT_DATA=…/raw python -m benchmarks.pilots qwen2.5-coder-0.5b

Questions: 24 of GSM8K train and 12 of MMLU dev (four choices), drawn with a fixed seed. Neither set is
ever used to test.
"""

import argparse
import csv
import json
import os
import random
import sys
from pathlib import Path

import et_agent.decoding
from et_agent.asking import run_pilot
from et_agent.decoding.thresholds import save_thresholds
from et_agent.engines.loading import load_model

SEED = 20261123
SOURCE = "24 questions of GSM8K train (MIT), 12 of MMLU dev (MIT)"


def questions(data: Path) -> list[str]:
    """The pilot's questions."""
    rng = random.Random(SEED)
    rows = (data / "gsm8k" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = [json.loads(row)["question"] for row in rng.sample(rows, 24)]
    choices = []
    for file in sorted((data / "mmlu" / "dev").glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            choices += [row for row in csv.reader(lines) if len(row) == 6]
    for question, a, b, c, d, _ in rng.sample(choices, 12):
        chosen.append(f"{question}\nA. {a}\nB. {b}\nC. {c}\nD. {d}")
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--plain", action="store_true", help="for models without chat template")
    options = parser.parse_args()
    folder = Path(et_agent.decoding.__file__).parent / "pilots"
    asked = questions(Path(os.environ["ET_AGENT_DATA"]))
    for name in options.models:
        with load_model(name) as model:
            found = run_pilot(
                model,
                asked,
                chains=options.chains,
                source=SOURCE,
                chat="plain" if options.plain else "model",
                on_progress=lambda done, total, tokens: print(
                    f"{done}/{total} questions, {tokens} tokens", file=sys.stderr
                ),
            )
            print(save_thresholds(found, folder / f"{found.model_sha256}.json"))


if __name__ == "__main__":
    main()
