"""The questions of a split, with their passages, in the order in which they are decoded."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from et_agent.answers import AnswerKind
from et_agent.answers.declining import NOT_THERE
from et_agent.evaluation.datasets.locating import data_folder
from et_agent.evaluation.items import Item

FILE: Final = "squad2/dev-even-articles.json"
SPLITS: Final[Mapping[str, frozenset[str]]] = {
    "calibrate": frozenset({"Huguenot", "Imperialism", "Packet_switching", "Yuan_dynasty"}),
    "judge": frozenset(
        {"1973_oil_crisis", "French_and_Indian_War", "Normans", "Scottish_Parliament"}
    ),
}
"""Articles of each split."""
_SEED: Final = 0
_AT_A_TIME: Final = 2
"""Questions of each sort that are taken from a passage before the next one has its turn."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its passage.

    Attributes:
        item: The question; what is right is that the passage does not say it where it does not.
        passage: The text.
        place: Article and number of its passage.
        answerable: Whether the passage answers it.
    """

    item: Item
    passage: str
    place: str
    answerable: bool


def questions(split: str, count: int) -> list[Asked]:
    """So many questions of each sort; fewer are the beginning of more.

    The passages come in a seeded order, and each gives two questions of either sort at a time, so that
    neighbours share what the cache holds.
    """
    turns = [turn for paragraph in _paragraphs(split) for turn in _turns(*paragraph)]
    random.Random(_SEED).shuffle(turns)
    left = {True: count, False: count}
    found = []
    for turn in sorted(turns, key=lambda one: one[0]):
        for asked in turn[1]:
            if left[asked.answerable]:
                left[asked.answerable] -= 1
                found.append(asked)
    if any(left.values()):
        raise SystemExit(f"{split} has no {count} questions of each sort: ask for fewer")
    return found


def _turns(place: str, paragraph: Mapping[str, Any]) -> Iterator[tuple[int, list[Asked]]]:
    """The questions of a passage, a few of each sort at a time, with the number of the turn."""
    sorts: dict[bool, list[Asked]] = {True: [], False: []}
    for one in paragraph["qas"]:
        answerable = not one["is_impossible"]
        golds = [answer["text"] for answer in one["answers"]] if answerable else [NOT_THERE]
        item = Item(
            id=one["id"],
            question=one["question"].strip(),
            kind=AnswerKind.TEXT,
            golds=tuple(dict.fromkeys(golds)),
            subject="answerable" if answerable else "impossible",
        )
        sorts[answerable].append(Asked(item, paragraph["context"], place, answerable))
    for group in sorts.values():
        random.Random(f"{_SEED}/{place}").shuffle(group)
    both = [
        [group[at : at + _AT_A_TIME] for at in range(0, len(group), _AT_A_TIME)]
        for group in sorts.values()
    ]
    for number in range(max(map(len, both))):
        parts = [group[number] for group in both if number < len(group)]
        yield number, [asked for part in parts for asked in part]


def _paragraphs(split: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    folder = data_folder()
    if folder is None or not (folder / FILE).is_file():
        raise SystemExit(f"{FILE} is not in the data folder: set ET_AGENT_DATA")
    document = json.loads((folder / FILE).read_text(encoding="utf-8"))
    for article in document["data"]:
        if article["title"] in SPLITS[split]:
            for number, paragraph in enumerate(article["paragraphs"]):
                yield f"{article['title']}/{number}", paragraph
