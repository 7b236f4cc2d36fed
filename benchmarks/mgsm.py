"""Word problems in seven languages: how many finished leaves are read, and how many are right.

    ET_AGENT_DATA=…/raw python -m benchmarks.mgsm decode [--minutes M]
    ET_AGENT_DATA=…/raw python -m benchmarks.mgsm table

MGSM has the same questions in every language, by professional translators (Shi et al., 2022,
arXiv:2210.03057). `decode` keeps the leaves' texts, without the questions; `table` reads these texts
with the readers as they are, and writes docs/answers.md. Readers are mended on the first ten questions
of each language and judged on the other ten.
"""

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from benchmarks.documents import put
from benchmarks.kept import Row, decode, head_of, read
from et_agent.answers import AnswerKind, answer_classes, extract, guess_kind, read_value
from et_agent.asking import submit
from et_agent.decoding.schedules import EntropyTree
from et_agent.engines.loading import load_model
from et_agent.evaluation.datasets.locating import data_folder

MODEL: Final = "qwen2.5-coder-1.5b"
LANGUAGES: Final = ("en", "de", "fr", "es", "ja", "ru", "zh")
DECODER: Final = EntropyTree(leaves=4)
OUT: Final = Path(__file__).parent / "results" / "mgsm.jsonl.xz"
TUNED: Final = 10
QUESTIONS: Final = 20
_SEED: Final = 0
_AT_ONCE: Final = 7


@dataclass(frozen=True, slots=True)
class Asked:
    """A question in one language.

    Attributes:
        language: Its code.
        place: Its number among those that are asked, the same in every language.
        text: The question.
        gold: Its answer.
    """

    language: str
    place: int
    text: str
    gold: str


@cache
def lines_of(language: str) -> tuple[tuple[str, str], ...]:
    """Question and answer of each line."""
    folder = data_folder()
    if folder is None:
        raise SystemExit("set ET_AGENT_DATA to the folder of the data sets")
    text = (folder / "mgsm" / f"mgsm_{language}.tsv").read_text(encoding="utf-8")
    parted = (line.rpartition("\t") for line in text.splitlines())
    return tuple((question, answer) for question, _, answer in parted)


@cache
def places() -> tuple[int, ...]:
    """Lines of the questions that are asked."""
    return tuple(random.Random(_SEED).sample(range(250), QUESTIONS))


@cache
def questions() -> tuple[Asked, ...]:
    """Those to tune on come first, the languages one after the other."""
    return tuple(
        Asked(language, place, *lines_of(language)[line])
        for place, line in enumerate(places())
        for language in LANGUAGES
    )


def decode_all(minutes: float | None) -> None:
    """Decode what is missing."""
    with load_model(MODEL) as model:

        def decoded(numbers: Sequence[int]) -> Iterator[Row]:
            asked = [questions()[number] for number in numbers]
            pending = [submit(model, one.text, decoder=DECODER, calibrator=None) for one in asked]
            for number, one, waiting in zip(numbers, asked, pending, strict=True):
                result = waiting.result()
                assert result.tree is not None
                yield {
                    "number": number,
                    "language": one.language,
                    "asked as": guess_kind(one.text).kind.value,
                    "tokens": result.usage.tokens_decoded,
                    "leaves": [
                        [leaf.text, round(leaf.weight, 6), leaf.finish]
                        for leaf in result.tree.leaves
                    ],
                }

        def told(rows: Sequence[Row]) -> str:
            return f"{sum(judged(row).right for row in rows)} right"

        decode(
            OUT,
            head_of(model, DECODER, 0),
            len(questions()),
            decoded,
            told,
            at_once=_AT_ONCE,
            minutes=minutes,
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """Leaves of a question that ended, those of them that are read, and whether its answer is right."""

    ended: int
    read: int
    right: bool


def judged(row: Mapping[str, Any]) -> Judged:
    """Read a question's leaves."""
    asked = questions()[row["number"]]
    ended = [(text, weight) for text, weight, finish in row["leaves"] if finish == "stop"]
    answers = [extract(text, AnswerKind.NUMBER, question=asked.text) for text, _ in ended]
    classes = answer_classes(answers, AnswerKind.NUMBER)
    shares: dict[int, float] = {}
    for index, (_, weight) in zip(classes.index_of_leaf, ended, strict=True):
        if index is not None:
            shares[index] = shares.get(index, 0.0) + weight
    gold = read_value(asked.gold, AnswerKind.NUMBER)
    assert gold is not None
    leading = max(shares, key=lambda index: shares[index], default=None)
    keys = {
        answer.key
        for answer, index in zip(answers, classes.index_of_leaf, strict=True)
        if answer is not None and index == leading
    }
    return Judged(len(ended), sum(one is not None for one in answers), gold.key in keys)


def unread() -> None:
    """Show the end of each leaf of the questions to tune on that is not read."""
    found = read(OUT)
    assert found is not None
    for row in found[1]:
        asked = questions()[row["number"]]
        if asked.place >= TUNED:
            continue
        for text, _, finish in row["leaves"]:
            if finish == "stop" and extract(text, AnswerKind.NUMBER, question=asked.text) is None:
                print(f"--- {asked.language} {asked.gold}\n{text[-400:]}")


def table() -> None:
    """Write the table."""
    found = read(OUT)
    if found is None or len(found[1]) < len(questions()):
        raise SystemExit(f"{OUT} is not complete: `python -m benchmarks.mgsm decode` goes on")
    lines = [
        "| language | asked as a number | leaves that ended | of these read | right answers | "
        "read, first ten questions |",
        "|---|---|---|---|---|---|",
    ]
    for language in LANGUAGES:
        rows = [row for row in found[1] if row["language"] == language]
        parts = [[], []]  # type: list[list[Row]]
        for row in rows:
            parts[questions()[row["number"]].place >= TUNED].append(row)
        first, last = ([judged(row) for row in part] for part in parts)
        numbers = sum(
            guess_kind(questions()[row["number"]].text).kind is AnswerKind.NUMBER
            for row in parts[1]
        )
        ended, got = sum(one.ended for one in last), sum(one.read for one in last)
        share = sum(one.read for one in first) / max(1, sum(one.ended for one in first))
        lines.append(
            f"| {language} | {numbers} of {len(last)} | {ended} of "
            f"{sum(len(row['leaves']) for row in parts[1])} | {got / max(1, ended):.1%} | "
            f"{sum(one.right for one in last)} of {len(last)} | {share:.1%} |"
        )
    put("docs/answers.md", "mgsm", lines)
    print("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["decode", "unread", "table"])
    parser.add_argument("--minutes", type=float)
    options = parser.parse_args()
    match options.command:
        case "decode":
            decode_all(options.minutes)
        case "unread":
            unread()
        case _:
            table()


if __name__ == "__main__":
    main()
