"""Where trees of a thinking model should fork, and how many answers a thought should have.

    ET_AGENT_DATA=…/raw python -m benchmarks.thoughts decode [--minutes M]
    ET_AGENT_DATA=…/raw python -m benchmarks.thoughts table

No model that was trained to think fits into this machine's time, so a small one is made to: its prompt
opens a thought with "Reasoning:", the system prompt asks for steps and then for "Final answer:" and a
sentence. Everything else is what a thinking model goes through: a thought that is too long is closed by
force, and answers are read after it. Questions are training ones of SVAMP and GSM8K, on which nothing
here is judged. All ways of a question share batches, so steps are told in place of seconds. `decode`
keeps each question as it ends, `table` writes docs/models.md.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.documents import put
from benchmarks.kept import Row, decode, head_of, read
from benchmarks.runs import SAMPLE_SEED, SMALL, TRAINING
from et_agent.asking import submit
from et_agent.decoding.schedules import EntropyTree
from et_agent.engines.base import LanguageModel
from et_agent.engines.loading import load_model
from et_agent.evaluation.bootstrap import Resamples, interval
from et_agent.evaluation.grading import is_right
from et_agent.evaluation.items import Item, sample
from et_agent.evaluation.metrics import auroc
from et_agent.evaluation.running import question_seed
from et_agent.results import AskResult
from et_agent.templates.reasoning import ReasoningFormat

OUT: Final = Path(__file__).parent / "results" / "thoughts.jsonl.xz"
QUESTIONS: Final = 20
THOUGHT: Final = 200
"""Tokens of a thought at most."""
FORM: Final = ReasoningFormat(
    "Reasoning:", "Final answer:", before_closing="\n\n", after_closing=" ", prompt="open"
)
PROMPT: Final = (
    'Reason step by step. Then write "Final answer:" on a line of its own, and after it one short '
    "sentence with the final number in \\boxed{}."
)
_SHARED: Final[Any] = {"leaves": 8, "max_tokens": 48}
WAYS: Final = {
    "forks anywhere": EntropyTree(**_SHARED),
    "forks in the thought": EntropyTree(fork_in="thought", **_SHARED),
    "forks in the answer": EntropyTree(fork_in="answer", **_SHARED),
    "four answers per thought": EntropyTree(answers_per_thought=4, **_SHARED),
}


def items() -> list[Item]:
    """As many of each set, in turn."""
    plans = {plan.name: plan for plan in TRAINING}
    sets = [
        sample(plans[name].items(), QUESTIONS // 2, seed=SAMPLE_SEED)
        for name in ("train-svamp", "train-gsm8k")
    ]
    return [item for pair in zip(*sets, strict=True) for item in pair]


def made_to_think(model: Any) -> LanguageModel:
    """The model with a prompt that opens a thought, and the marks of that."""
    tokenizer = model._tokenizer
    plain, opened = tokenizer.chat_tokens, tokenizer.tokenize(f"{FORM.opening}\n")
    tokenizer.chat_tokens = lambda *given: [*plain(*given), *opened]
    tokenizer.reasoning_format = lambda: FORM
    found: LanguageModel = model
    return found


def decode_all(minutes: float | None) -> None:
    """Decode what is missing, all ways of a question one after the other."""
    asked = items()
    with load_model(SMALL) as loaded:
        model = made_to_think(loaded)

        def decoded(numbers: Sequence[int]) -> Iterator[Row]:
            yield from (_row(model, asked[number], number) for number in numbers)

        def told(rows: Sequence[Row]) -> str:
            return ", ".join(f"{sum(row['ways'][way]['right'] for row in rows)}" for way in WAYS)

        decode(
            OUT,
            head_of(model, WAYS["forks anywhere"], 0),
            len(asked),
            decoded,
            told,
            at_once=2,
            minutes=minutes,
        )


def _row(model: LanguageModel, item: Item, number: int) -> Row:
    pending = {
        way: submit(
            model,
            item.question,
            decoder=decoder,
            kind=item.kind,
            system_prompt=PROMPT,
            max_thinking_tokens=THOUGHT,
            seed=question_seed(0, item),
            calibrator=None,
        )
        for way, decoder in WAYS.items()
    }
    ways = {way: _told(waiting.result(), item) for way, waiting in pending.items()}
    tokens = sum(way["tokens"] for way in ways.values())
    return {"number": number, "tokens": tokens, "item": item.id, "ways": ways}


def _told(result: AskResult, item: Item) -> Row:
    assert result.tree is not None
    return {
        "right": is_right(result.answer, item),
        "share": round(result.share, 6),
        "tokens": result.usage.tokens_decoded,
        "steps": result.usage.steps,
        "leaves": result.usage.leaves,
        "thoughts": len({leaf.reasoning for leaf in result.tree.leaves}),
        "answers": len([one for one in result.distribution if one.answer is not None]),
    }


def table() -> None:
    """Write the table."""
    found = read(OUT)
    if found is None:
        raise SystemExit("nothing is decoded: `python -m benchmarks.thoughts decode`")
    rows = found[1]
    lines = [
        "| way | right | AUROC of the share | leaves | thoughts | tokens | steps |",
        "|---|---|---|---|---|---|---|",
    ]
    for way in WAYS:
        told = [row["ways"][way] for row in rows]
        right = np.array([one["right"] for one in told])
        shares = np.array([one["share"] for one in told])
        columns = (f"{np.mean([one[name] for one in told]):.1f}" for name in ("leaves", "thoughts"))
        lines.append(
            f"| {way} | {right.mean():.2f} | {_auroc(right, shares)} | {' | '.join(columns)} | "
            f"{np.mean([one['tokens'] for one in told]):.0f} | "
            f"{np.mean([one['steps'] for one in told]):.0f} |"
        )
    put("docs/models.md", "thoughts", [f"{len(rows)} questions.", "", *lines])
    print("\n".join(lines))


def _auroc(right: Any, shares: Any) -> str:
    found = interval(auroc(right, shares, Resamples(right.size).counts), right.size)
    if found.value is None or found.low is None or found.high is None:
        return "undefined"
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["decode", "table"])
    parser.add_argument("--minutes", type=float)
    options = parser.parse_args()
    if options.command == "decode":
        decode_all(options.minutes)
    else:
        table()


if __name__ == "__main__":
    main()
