"""Decodes tasks and keeps what the leaves do: calls, weights, statistics, right or wrong; no texts."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np

from benchmarks import kept
from benchmarks.calls import fitted, judged
from benchmarks.calls.drawing import App, Task, task_of
from et_agent.asking import submit
from et_agent.asking.calling import CallForm, call_form
from et_agent.asking.pending import PendingAnswer
from et_agent.decoding import EntropyTree
from et_agent.engines.base import LanguageModel
from et_agent.engines.loading import load_model
from et_agent.uncertainty.measuring import span_statistics

__all__ = ["SETS", "Which", "decode", "file_of", "task"]

RESULTS: Final = Path(__file__).parents[1] / "results"
AT_ONCE: Final = 4
"""Tasks that share the model's batches: one of each group, of one agent."""
SEED: Final = 0
Which = Literal["fit", "judge"]
SETS: Final[dict[Which, tuple[Sequence[App], int]]] = {
    "fit": (fitted.APPS, 120),
    "judge": (judged.APPS, 150),
}
"""Agents of each set, and how many tasks are decoded of it."""


def file_of(model: str, which: Which) -> Path:
    return RESULTS / f"calls-{which}-{model}.jsonl.xz"


def task(which: Which, number: int) -> Task:
    return task_of(SETS[which][0], number, f"{which} {SEED}")


def decode(name: str, which: Which, *, tasks: int, leaves: int, minutes: float | None) -> None:
    """Decode the first tasks of a set that are not decoded yet."""
    decoder = EntropyTree(leaves=leaves, max_tokens=192)

    def told(rows: Sequence[kept.Row]) -> str:
        return f"{np.mean([row['right'][row['shown']] for row in rows]):.0%} right"

    with load_model(name) as model:
        kept.decode(
            file_of(name, which),
            kept.head_of(model, decoder, SEED),
            tasks,
            lambda numbers: decoded(model, [task(which, one) for one in numbers], decoder),
            told,
            at_once=AT_ONCE,
            minutes=minutes,
        )


def decoded(
    model: LanguageModel, tasks: Sequence[Task], decoder: EntropyTree
) -> Iterator[kept.Row]:
    """What is kept of some tasks, decoded together."""
    pending = [
        submit(model, one.messages, decoder=decoder, tools=one.tools, seed=SEED) for one in tasks
    ]
    for one, waiting in zip(tasks, pending, strict=True):
        _, form = call_form(model, one.tools, "auto")
        assert form is not None
        yield row_of(one, waiting, form, model.token_bytes)


def row_of(
    one: Task, waiting: PendingAnswer, form: CallForm, token_bytes: Callable[[int], bytes]
) -> kept.Row:
    """What is kept of a task.

    Of each leaf, in the order of `LeafTable`: its call, "" for a reply in words, None for a call that
    is cut off or unfit; whether that is the right action; the log-probability of its first token, nats.
    """
    result, reading = waiting.result(), waiting.reading()
    leaves, tree = waiting.leaves(reading), waiting.request.result().tree
    calls = [
        answer.value if called and answer is not None else None if form.begins(text) else ""
        for text, called, answer in zip(reading.texts, reading.calls, reading.answers, strict=True)
    ]
    right = [
        done is not None and one.right(called, text)
        for done, called, text in zip(calls, reading.calls, reading.texts, strict=True)
    ]
    columns = leaves.as_lists()
    measured = {
        name: column for name, column in columns.items() if any(one is not None for one in column)
    }
    start = np.array([[0, 1]])
    first = [
        float(span_statistics(tree, branch.id, start, token_bytes)[0][0])
        for branch in tree.branches
    ]
    shown = 0 if leaves.top is None else int(np.argmax(leaves.answer == leaves.top))
    return {
        "number": one.number,
        "group": one.group,
        "hard": sorted(one.hard),
        "shown": shown,
        "calls": calls,
        "right": right,
        "first": [float(f"{value:.6g}") for value in first],
        "leaves": measured,
        "features": kept.rounded(result.features),
        "kind": result.kind,
        "tokens": result.usage.tokens_decoded,
        "seconds": round(result.usage.seconds, 2),
    }
