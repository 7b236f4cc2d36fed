"""The questions, by set."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.runs import SAMPLE_SEED, TRAINING
from benchmarks.settings.turns import LATER
from et_agent.answers import AnswerKind
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.datasets.locating import data_folder
from et_agent.evaluation.items import Item, sample

QUESTIONS: Final = Path(__file__).parents[1] / "questions"
_NOTHING: Final = (
    "unanswerable",
    "unknown",
    "not stated",
    "not given",
    "not mentioned",
    "not specified",
    "no answer",
    "none",
    "impossible",
    "cannot be determined",
)
"""What is right where a question has no answer."""


def _word_problems() -> list[Item]:
    """The first 40 of each training set."""
    plans = {plan.name: plan for plan in TRAINING}
    return [
        item
        for name in ("train-svamp", "train-gsm8k")
        for item in sample(plans[name].items(), 40, seed=SAMPLE_SEED)
    ]


def _choices() -> list[Item]:
    return sample(load_items("mmlu:val"), 60, seed=SAMPLE_SEED)


def _trivia() -> list[Item]:
    return sample(load_items("nq-open:train"), 60, seed=SAMPLE_SEED)


_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)?")


@cache
def _squad() -> list[tuple[Item, str]]:
    """Forty questions that their passage answers and forty that it does not, with passages."""
    document = json.loads(_file("squad2", "dev-even-articles.json").read_text(encoding="utf-8"))
    found: dict[bool, list[Item]] = {True: [], False: []}
    passages = {}
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            for one in paragraph["qas"]:
                impossible = bool(one["is_impossible"])
                golds = _NOTHING if impossible else tuple(a["text"] for a in one["answers"])
                passages[one["id"]] = paragraph["context"]
                found[impossible].append(
                    Item(
                        id=one["id"],
                        question=one["question"],
                        kind=AnswerKind.TEXT,
                        golds=tuple(dict.fromkeys(golds)),
                        subject="impossible" if impossible else "answerable",
                    )
                )
    items = [item for group in found.values() for item in sample(group, 40, seed=SAMPLE_SEED)]
    return [(item, passages[item.id]) for item in items]


def _passages() -> list[Item]:
    return [replace(item, question=f"{passage}\n\n{item.question}") for item, passage in _squad()]


def _closed_book() -> list[Item]:
    return [item for item, _ in _squad() if item.subject == "answerable"]


def _file(*parts: str) -> Path:
    folder = data_folder()
    if folder is None or not folder.joinpath(*parts).is_file():
        raise SystemExit(f"{'/'.join(parts)} is not in the data folder: set ET_AGENT_DATA")
    return folder.joinpath(*parts)


def _own(name: str) -> list[dict[str, str]]:
    lines = (QUESTIONS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _guesses() -> list[Item]:
    """Questions that can only be guessed. Only their confidence counts, not what is called right."""
    return [
        Item(
            id=one["id"],
            question=one["question"],
            kind=AnswerKind(one["kind"]),
            golds={"number": ("-987654321",), "choice": ("A",)}.get(one["kind"], _NOTHING),
            subject=f"{one['sort']}, {one['form']}",
        )
        for one in _own("guesses")
    ]


def _missing() -> list[Item]:
    """Word problems, each as a whole one and as one that lacks a number, which has no right answer."""
    return [
        Item(
            id=f"{one['id']}-{version}",
            question=one[version],
            kind=AnswerKind.NUMBER,
            golds=(one["answer"] if version == "whole" else "-987654321",),
            subject=version,
        )
        for one in _own("missing")
        for version in ("whole", "missing")
    ]


def _lacking() -> list[Item]:
    """Word problems for fitting, each as a whole one and with "some" in place of a number.

    They have two numbers, so that both are needed, and are other problems than those of calibrators.
    """
    plans = {plan.name: plan for plan in TRAINING}
    found: list[Item] = []
    for item in (
        item
        for name in ("train-svamp", "train-gsm8k")
        for item in sample(plans[name].items(), None, seed=SAMPLE_SEED)[200:]
    ):
        numbers = list(_NUMBER.finditer(item.question))
        if len(found) == 80:
            break
        if len(numbers) != 2 or "$" in item.question:
            continue
        first = numbers[0]
        lacking = f"{item.question[: first.start()]}some{item.question[first.end() :]}"
        found += [
            replace(item, id=f"{item.id}-whole", subject="whole"),
            replace(
                item,
                id=f"{item.id}-lacking",
                question=lacking,
                golds=("-987654321",),
                subject="lacking",
            ),
        ]
    return found


SETS: Final[Mapping[str, Callable[[], list[Item]]]] = {
    "word-problems": _word_problems,
    "choices": _choices,
    "trivia": _trivia,
    "passages": _passages,
    "closed-book": _closed_book,
    "guesses": _guesses,
    "missing": _missing,
    "lacking": _lacking,
    **{name: later.items for name, later in LATER.items()},
}
