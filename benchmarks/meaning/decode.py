"""Sentence-long answers to the questions of NQ-open, kept with what their leaves say.

    ET_AGENT_DATA=…/raw python -m benchmarks.meaning.decode qwen2.5-coder-0.5b [--count 60]
    [--minutes 20]

Questions of both splits alternate: those of `nq-open:train` are there to choose prompts and
thresholds on, those of `nq-open` to judge them. Each file is decoded in parts, and the same call
goes on.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.kept import Row, decode, head_of
from benchmarks.runs import SAMPLE_SEED
from et_agent.asking import submit_all
from et_agent.decoding import EntropyTree
from et_agent.engines.base import LanguageModel
from et_agent.engines.loading import load_model
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.items import Item, sample

FOLDER: Final = Path(__file__).parents[1] / "results" / "meaning"
INSTRUCTION: Final = "Answer in one sentence."
DECODER: Final = EntropyTree(max_tokens=64)


def path_of(model: str) -> Path:
    """Where the answers of a model are kept."""
    return FOLDER / f"sentences-{model}.jsonl.xz"


def items(count: int) -> list[Item]:
    """The questions, those to tune on and those to judge by in turns."""
    train, test = (
        sample(load_items(name), (count + 1) // 2, seed=SAMPLE_SEED)
        for name in ("nq-open:train", "nq-open")
    )
    return [one for pair in zip(train, test, strict=True) for one in pair][:count]


def rows_of(model: LanguageModel, asked: Sequence[Item], numbers: Sequence[int]) -> Iterable[Row]:
    """The questions with these numbers, decoded in shared batches."""
    questions = [asked[number].question for number in numbers]
    pending = submit_all(
        model,
        questions,
        decoder=DECODER,
        kind="text",
        system_prompt=INSTRUCTION,
        calibrator=None,
        same="words",
    )
    for number, one in zip(numbers, pending, strict=True):
        tree = one.request.result().tree
        reading = one.reading()
        yield {
            "number": number,
            "item": asked[number].id,
            "split": "test" if number % 2 else "train",
            "texts": reading.texts,
            "answers": list(reading.classes.labels),
            "leaves": one.leaves(reading).as_lists(),
            "tokens": tree.tokens_decoded,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--minutes", type=float)
    options = parser.parse_args()
    asked = items(options.count)
    with load_model(options.model) as model:
        decode(
            path_of(options.model),
            head_of(model, DECODER, 0),
            options.count,
            lambda numbers: list(rows_of(model, asked, numbers)),
            lambda rows: f"{sum(len(row['answers']) for row in rows) / len(rows):.1f} answers each",
            at_once=10,
            minutes=options.minutes,
        )


if __name__ == "__main__":
    main()
