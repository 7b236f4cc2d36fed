"""A user's own questions: JSONL or CSV with question, answer and perhaps choices and kind."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from et_agent.answers import AnswerKind, read_value
from et_agent.answers.kinds import KINDS
from et_agent.errors import DataError
from et_agent.evaluation.datasets.base import DataFile, Dataset, Row, csv_rows, jsonl_rows
from et_agent.evaluation.datasets.multiple_choice import with_choices
from et_agent.evaluation.items import Item

__all__ = ["own_dataset"]

_LETTERS = "ABCDEFGHIJ"
_SEPARATOR = "|"


def own_dataset(path: Path) -> Dataset:
    """A data set out of one file.

    Fields: `question`; `answer`, a text, a number or a list of accepted ones; perhaps `choices`, a
    list, or in CSV texts with | between them, and then `answer` is a letter or a choice's text;
    perhaps `kind` (an `AnswerKind` but auto) and `id`. Without `kind` it is choice where there
    are choices, number where all answers of the file are numbers, and text otherwise.

    Raises:
        DataError: The name ends neither in .jsonl nor in .csv.
    """
    if path.suffix.lower() not in (".jsonl", ".csv"):
        raise DataError(f"{path} is neither .jsonl nor .csv: rename it to match its format")
    return Dataset(
        name=path.stem,
        title=f"questions of {path.name}",
        licence="your own",
        source=str(path),
        splits={"test": (DataFile(str(path)),)},
        read=_read,
    )


def _read(paths: Sequence[Path], split: str) -> Iterator[Item]:
    del split
    path = paths[0]
    is_csv = path.suffix.lower() == ".csv"
    rows = list(csv_rows(path, header=True) if is_csv else jsonl_rows(path))
    if not rows:
        raise DataError(f"{path} contains no questions: add a row")
    for row in rows:
        if not isinstance(row.values, dict):
            raise row.damaged("this is not a record with named fields")
    fallback = _fallback(rows)
    seen: set[str] = set()
    for row in rows:
        item = _item(row, fallback)
        if item.id in seen:
            raise row.damaged(f"the id {item.id!r} occurs twice")
        seen.add(item.id)
        yield item


def _fallback(rows: Sequence[Row]) -> AnswerKind | None:
    """The kind of rows that name none."""
    unnamed = [row for row in rows if not row.values.get("kind")]
    with_choices = [row for row in unnamed if row.values.get("choices")]
    if with_choices and len(with_choices) < len(unnamed):
        odd = next(row for row in unnamed if not row.values.get("choices"))
        raise odd.damaged(
            "other rows have choices and this one has none: add a field `kind` to every row, or "
            "keep the two sorts in files of their own"
        )
    if with_choices or not unnamed:
        return AnswerKind.CHOICE if with_choices else None
    numbers = all(_is_number(gold) for row in unnamed for gold in _golds(row))
    return AnswerKind.NUMBER if numbers else AnswerKind.TEXT


def _is_number(text: str) -> bool:
    found = read_value(text, AnswerKind.NUMBER)
    return found is not None and any(character.isdigit() for character in text)


def _golds(row: Row) -> tuple[str, ...]:
    answer = row.any("answer")
    listed = answer if isinstance(answer, list) else [answer]
    texts = tuple(str(one).strip() for one in listed if isinstance(one, str | int | float))
    if not texts or not all(texts) or len(texts) != len(listed):
        raise row.damaged(
            f"'answer' is neither a text nor a number nor a list of them: {answer!r:.80}"
        )
    return texts


def _item(row: Row, fallback: AnswerKind | None) -> Item:
    kind = _kind(row, fallback)
    question, golds = row.text("question"), _golds(row)
    choices = _choices(row)
    if kind is AnswerKind.CHOICE:
        if not 2 <= len(choices) <= len(_LETTERS):
            raise row.damaged(f"{len(choices)} choices: 2 to {len(_LETTERS)} are needed")
        golds = tuple(_letter(row, gold, choices) for gold in golds)
        question = with_choices(question, choices)
    identity = row.values.get("id")
    return Item(
        id=f"{row.file.stem}/{row.line if identity in (None, '') else identity}",
        question=question,
        kind=kind,
        golds=golds,
    )


def _kind(row: Row, fallback: AnswerKind | None) -> AnswerKind:
    named = row.values.get("kind")
    if not named:
        assert fallback is not None
        return fallback
    try:
        kind = AnswerKind(str(named).strip().lower())
    except ValueError:
        kind = AnswerKind.AUTO
    graded = [one for one, reader in KINDS.items() if reader.voted]
    if kind not in graded:
        raise row.damaged(f"'kind' is {named!r:.40}: use {', '.join(graded)}")
    return kind


def _choices(row: Row) -> list[str]:
    given: Any = row.values.get("choices")
    if not given:
        return []
    if isinstance(given, str):
        given = given.split(_SEPARATOR)
    if not isinstance(given, list) or not all(isinstance(one, str | int | float) for one in given):
        raise row.damaged(f"'choices' is not a list of texts: {given!r:.80}")
    return [str(one).strip() for one in given]


def _letter(row: Row, gold: str, choices: Sequence[str]) -> str:
    if gold in choices:
        return _LETTERS[choices.index(gold)]
    letter = gold.upper()
    if len(letter) == 1 and letter in _LETTERS[: len(choices)]:
        return letter
    raise row.damaged(f"the answer {gold!r:.80} is neither a choice nor its letter")
