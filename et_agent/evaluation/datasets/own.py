"""A user's own questions: JSONL, CSV or TSV with question, answer and perhaps choices and kind."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from et_agent.answers import AnswerKind, decide_kind, read_value
from et_agent.answers.kinds import KINDS
from et_agent.answers.lettering import MOST_CHOICES, lettered
from et_agent.answers.option_letters import LATIN
from et_agent.errors import DataError
from et_agent.evaluation.datasets.base import DataFile, Dataset, Row, csv_rows, jsonl_rows
from et_agent.evaluation.datasets.columns import COLUMNS, TABLES, named, renamed
from et_agent.evaluation.items import Item
from et_agent.wording import counted

__all__ = [
    "OWN_ENDINGS",
    "accepted",
    "asked_text",
    "decided_kinds",
    "own_dataset",
    "own_rows",
    "understood",
]

OWN_ENDINGS: Final = (".jsonl", *TABLES)
"""Endings of files of a user's own."""

_SEPARATOR = "|"
_OF_A_RESULT: Final = "features"
"""What results of `ask` have, and questions have not."""


def own_dataset(path: Path) -> Dataset:
    """A data set out of one file.

    Fields, or columns that `;`, tabs or commas separate: `question`; `answer`, a text, a number or a
    list of accepted ones; perhaps `choices`, a list, or in tables texts with | between them, and then
    `answer` is a letter or a choice's text; perhaps `kind` (an `AnswerKind` but auto) and `id`. Other
    names are understood too (`columns.COLUMNS`). Without `kind` it is choice where there are choices,
    and otherwise what `ask` would take the question and its answer for (`decide_kind`).

    Raises:
        DataError: The name ends in none of `OWN_ENDINGS`.
    """
    if path.suffix.lower() not in OWN_ENDINGS:
        raise DataError(f"{path} is neither .jsonl nor .csv: rename it to match its format")
    return Dataset(
        name=path.stem,
        title=f"questions of {path.name}",
        licence="your own",
        source=str(path),
        splits={"test": (DataFile(str(path)),)},
        read=_read,
    )


def own_rows(path: Path, table: str | None = None) -> tuple[list[Row], dict[str, str]]:
    """The records of a file, under the names of what their fields are, and what fields these were.

    Args:
        path: The file.
        table: Its text where it is read already, and is a table whatever the name says.

    Raises:
        DataError: The file cannot be read, has no record, a row is damaged, or no column of a table
            has the questions.
    """
    columns = table is not None or path.suffix.lower() in TABLES
    rows = list(
        csv_rows(path, header=True, separator=None, text=table) if columns else jsonl_rows(path)
    )
    if not rows:
        raise DataError(f"{path} contains no questions: add a row")
    named_rows, roles = understood(rows)
    if columns and "question" not in roles.values():
        others = ", ".join(COLUMNS["question"])
        raise DataError(
            f"{path}: none of its columns ({', '.join(map(str, rows[0].values))}) has the questions: "
            f"name one of them question (or {others}) in the first line"
        )
    return named_rows, roles


def understood(rows: Sequence[Row]) -> tuple[list[Row], dict[str, str]]:
    """Records under the names of what their fields are, and what each field was understood as.

    Raises:
        DataError: A row has no named fields.
    """
    for row in rows:
        if not isinstance(row.values, dict):
            raise row.damaged("this is not a record with named fields")
    roles = named(dict.fromkeys(str(name) for row in rows for name in row.values))
    return [replace(row, values=renamed(row.values, roles)) for row in rows], roles


def asked_text(row: Row) -> str:
    """The question of a record as it is asked: with its choices below it, if it has any.

    Raises:
        DataError: It has none, or a field is damaged.
    """
    question, choices = row.text("question"), _choices(row)
    return _offering(row, question, choices) if choices else question


def _offering(row: Row, question: str, choices: Sequence[str]) -> str:
    if not 2 <= len(choices) <= MOST_CHOICES:
        raise row.damaged(f"{counted(choices, 'choice')}: 2 to {MOST_CHOICES} are needed")
    return lettered(question, choices)


def _read(paths: Sequence[Path], split: str) -> Iterator[Item]:
    del split
    rows, _ = own_rows(paths[0])
    _check_choices(rows)
    seen: set[str] = set()
    for row in rows:
        item = _item(row)
        if item.id in seen:
            raise row.damaged(f"the id {item.id!r} occurs twice")
        seen.add(item.id)
        yield item


def _check_choices(rows: Sequence[Row]) -> None:
    unnamed = [row for row in rows if not row.values.get("kind")]
    without = [row for row in unnamed if not row.values.get("choices")]
    if without and len(without) < len(unnamed):
        raise without[0].damaged(
            "other rows have choices and this one has none: add a field `kind` to every row, or "
            "keep the two sorts in files of their own"
        )


def decided_kinds(rows: Sequence[Row]) -> str:
    """In words, which kinds the questions were taken for that name none and have no choices.

    Raises:
        DataError: A row is damaged.
    """
    found = [
        _kind(row, row.text("question"), _golds(row))
        for row in rows
        if not row.values.get("kind") and not row.values.get("choices")
    ]
    counts = ", ".join(f"{count} {kind}" for kind, count in Counter(found).most_common())
    return counts and f"kinds by the questions and answers: {counts}"


def _golds(row: Row) -> tuple[str, ...]:
    if _OF_A_RESULT in row.values:
        raise row.damaged(
            "this is a result of `ask`, and its answer is a model's own: give a file of questions with "
            "known answers"
        )
    answer = row.any("answer")
    texts = accepted(answer)
    if not texts:
        raise row.damaged(
            f"'answer' is neither a text nor a number nor a list of them: {answer!r:.80}"
        )
    return texts


def accepted(answer: object) -> tuple[str, ...]:
    """Accepted answers as texts; empty unless a text, a number or a list of these is given."""
    listed = answer if isinstance(answer, list) else [answer]
    texts = tuple(str(one).strip() for one in listed if isinstance(one, str | int | float))
    return texts if all(texts) and len(texts) == len(listed) else ()


def _item(row: Row) -> Item:
    question, golds = row.text("question"), _golds(row)
    kind, choices = _kind(row, question, golds), _choices(row)
    if kind is AnswerKind.CHOICE and (choices or row.values.get("kind")):
        question = _offering(row, question, choices)
        golds = tuple(_letter(row, gold, choices) for gold in golds)
    identity = row.values.get("id")
    return Item(
        id=f"{row.file.stem}/{row.line if identity in (None, '') else identity}",
        question=question,
        kind=kind,
        golds=golds,
    )


def _kind(row: Row, question: str, golds: Sequence[str]) -> AnswerKind:
    named = row.values.get("kind")
    if not named:
        return AnswerKind.CHOICE if row.values.get("choices") else _decided(question, golds)
    try:
        kind = AnswerKind(str(named).strip().lower())
    except ValueError:
        kind = AnswerKind.AUTO
    graded = [one for one, reader in KINDS.items() if reader.voted]
    if kind not in graded:
        raise row.damaged(f"'kind' is {named!r:.40}: use {', '.join(graded)}")
    return kind


def _decided(question: str, golds: Sequence[str]) -> AnswerKind:
    """What `ask` takes a question for if its leaves give the first accepted answer."""
    kind = decide_kind(question, [rf"\boxed{{{golds[0]}}}"]).kind
    readable = any(read_value(gold, kind, question=question) for gold in golds)
    return kind if readable else AnswerKind.TEXT


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
        return LATIN[choices.index(gold)]
    letter = gold.upper()
    if len(letter) == 1 and letter in LATIN[: len(choices)]:
        return letter
    raise row.damaged(f"the answer {gold!r:.80} is neither a choice nor its letter")
