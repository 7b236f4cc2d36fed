"""Files of answers that are scored: read, and written line by line so that the same call goes on."""

import csv
import hashlib
import io
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from et_agent.cli.standard_input import NAME, stdin_text
from et_agent.cli.terminal import say
from et_agent.errors import QuestionError, StoreError
from et_agent.evaluation.datasets.columns import (
    TABLES,
    is_table,
    named,
    renamed,
    separator_of,
    told,
)
from et_agent.storage import read_given

__all__ = ["AnswerRow", "ScoreFile", "read_answers"]


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """An answer to score.

    Attributes:
        line: Its line in the file.
        where: File and line, for messages.
        question: The question.
        answer: The answer.
        samples: What else was answered; None for a fresh tree.
        id: What the file calls it; None without.
    """

    line: int
    where: str
    question: str
    answer: str
    samples: tuple[str, ...] | None = None
    id: str | None = None

    def digest(self, settings: Mapping[str, Any]) -> str:
        """What its score depends on, in short."""
        parts = [self.question, self.answer, self.samples, settings]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def read_answers(file: str) -> list[AnswerRow]:
    """The rows of a file: JSON Lines, or a table with a header, by its name or its first line.

    Columns are found as `et-agent eval run --data` finds them. Each row has a "question" and an
    "answer", and may have "samples" (a list, in JSON only) and an "id".
    Empty lines are skipped; - is standard input.

    Raises:
        QuestionError: The file cannot be read, or a row cannot be used; file and line are named.
    """
    from et_agent.asking.conversation import check_text

    name = NAME if file == "-" else file
    text = _text(file, name)
    columns = file.lower().endswith(TABLES) or is_table(text)
    raw = list(_csv_rows(text, name) if columns else _json_rows(text, name))
    roles = named(dict.fromkeys(key for _, _, record in raw for key in record if key))
    if guessed := told(roles):
        say(f"{name}: {guessed}")
    rows = []
    for line, where, record in raw:
        given = renamed(record, roles)
        for key in ("question", "answer"):
            if not isinstance(given.get(key), str):
                raise QuestionError(f'{where} has no text under "{key}": add it')
            check_text(given[key], f"the {key} of {where}")
        rows.append(
            AnswerRow(
                line, where, given["question"], given["answer"], _samples(given, where), _id(given)
            )
        )
    if not rows:
        raise QuestionError(f"{name} contains no answer: write one per line")
    return rows


def _text(file: str, name: str) -> str:
    if file == "-":
        return stdin_text()
    try:
        return read_given(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise QuestionError(
            f"{name} is not valid UTF-8 (byte {error.start + 1}): convert the file to UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise QuestionError(f"cannot read the answers in {name}: {reason}") from error


def _json_rows(text: str, name: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise QuestionError(f"{where} is not valid JSON ({error}): correct the line") from error
        if not isinstance(found, dict):
            raise QuestionError(f'{where} is no object: write {{"question": "…", "answer": "…"}}')
        yield number, where, found


def _csv_rows(text: str, name: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    reader = csv.DictReader(
        io.StringIO(text, newline=""), strict=True, delimiter=separator_of(text)
    )
    try:
        for row in reader:
            if "samples" in row:
                raise QuestionError(f"{name} has a column of samples: use JSON Lines for these")
            yield reader.line_num, f"{name}, line {reader.line_num}", row
    except csv.Error as error:
        where = f"{name}, line {reader.line_num}"
        raise QuestionError(f"{where} is not valid CSV ({error}): correct the line") from error


def _samples(given: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
    samples = given.get("samples")
    if samples is None:
        return None
    if not isinstance(samples, list) or not all(isinstance(one, str) for one in samples):
        raise QuestionError(f'"samples" of {where} is no list of texts: correct or remove it')
    return tuple(samples)


def _id(given: Mapping[str, Any]) -> str | None:
    return None if given.get("id") is None else str(given["id"])


class ScoreFile:
    """A file of scores, one line of JSON per row, in the order of the rows.

    Args:
        path: The file; None for standard output, of which nothing is known beforehand.
        rows: The rows.
        settings: What else a score depends on, in plain JSON types.

    Raises:
        StoreError: The file cannot be written, or holds something else than the scores of these rows.
    """

    def __init__(
        self, path: Path | None, rows: list[AnswerRow], settings: Mapping[str, Any]
    ) -> None:
        self._digests = [row.digest(settings) for row in rows]
        self._path, self._rows = path, rows
        self._stream: IO[str] = sys.stdout
        self.done = 0
        """Rows that have their line."""
        if path is not None:
            self._open(path)

    def _open(self, path: Path) -> None:
        try:
            held = path.read_bytes() if path.exists() else b""
            whole = held[: held.rfind(b"\n") + 1]  # a line that was cut off is written again
            lines = whole.decode("utf-8").splitlines()
            self._check(path, lines)
            self.done = len(lines)
            self._stream = path.open("r+" if path.exists() else "w", encoding="utf-8")
            self._stream.truncate(len(whole))
            self._stream.seek(len(whole))
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"cannot write the scores to {path}: {error}") from error

    def _check(self, path: Path, lines: list[str]) -> None:
        for number, line in enumerate(lines):
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                found = None
            known = self._digests[number] if number < len(self._digests) else None
            if not isinstance(found, dict) or found.get("row") != known or known is None:
                raise StoreError(
                    f"{path}, line {number + 1} is not the score of this row by this model and these "
                    "settings: name another file, or remove this one"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            self._stream.close()

    def add(self, found: Mapping[str, Any]) -> None:
        """Write the line of the next row.

        Args:
            found: Its "score" or its "error", in plain JSON types.
        """
        row = self._rows[self.done]
        named = {} if row.id is None else {"id": row.id}
        line = {"line": row.line, **named, "row": self._digests[self.done], **found}
        self._stream.write(json.dumps(line, allow_nan=False) + "\n")
        self._stream.flush()
        self.done += 1
