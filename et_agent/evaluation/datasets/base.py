"""What a data set is: files, splits, a reader; and rows that know their file and line."""

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from et_agent.errors import DataError
from et_agent.evaluation.datasets.columns import separator_of
from et_agent.evaluation.items import Item
from et_agent.storage import read_given
from et_agent.validation import parsed_json

__all__ = [
    "DataFile",
    "Dataset",
    "Reader",
    "Row",
    "csv_rows",
    "divided",
    "json_rows",
    "jsonl_rows",
]


@dataclass(frozen=True, slots=True)
class DataFile:
    """One original file.

    Attributes:
        path: Where it lies below the data folder.
        urls: Where it can be had, tried in order; empty when its authors ask not to spread it.
        sha256: Checksum of the version that was measured; None for files of the user's.
        archived: Whether `urls` lead to an archive that holds it, among others.
    """

    path: str
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A record of a file and where it stands.

    Attributes:
        file: The file.
        line: Its line, or its number in a JSON list, from 1.
        values: The record.
    """

    file: Path
    line: int
    values: Any

    def text(self, key: "str | int") -> str:
        """A field that must be a text with something in it.

        Raises:
            DataError: It is missing, empty or no text.
        """
        value = self.any(key)
        if not isinstance(value, str) or not value.strip():
            raise self.damaged(f"{key!r} is not a text: {value!r:.80}")
        return value.strip()

    def any(self, key: "str | int") -> Any:
        """A field that must be there.

        Raises:
            DataError: It is missing.
        """
        try:
            return self.values[key]
        except (KeyError, IndexError, TypeError):
            known = ", ".join(map(str, self.values)) if isinstance(self.values, dict) else ""
            told = f"; the fields are {known}" if known else ""
            raise self.damaged(f"there is no field {key!r}{told}") from None

    def damaged(self, what: str) -> DataError:
        """The error for a row that cannot be read."""
        return DataError(f"{self.file}, line {self.line}: {what}. Correct or remove the row.")


Reader = Callable[[Sequence[Path], str], Iterator[Item]]
"""Reads the files of a split, given their paths and the split's name."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set that can be evaluated on.

    Attributes:
        name: Short name.
        title: What it is.
        licence: Licence of the questions.
        source: Repository or authors.
        splits: Files by split; "test" is what results are reported on.
        read: The reader.
        missing: What to do when a file is not there and cannot be fetched.
    """

    name: str
    title: str
    licence: str
    source: str
    splits: Mapping[str, tuple[DataFile, ...]]
    read: Reader
    missing: str = ""


def divided(items: Iterable[Item], split: str, *, test: int) -> list[Item]:
    """Divide a set that has no split of its own, by the hash of the ids.

    Args:
        items: All items.
        split: "test" or "train".
        test: Size of the test split; all others are for training and tuning.
    """
    ordered = sorted(items, key=lambda item: hashlib.sha256(item.id.encode()).digest())
    return ordered[:test] if split == "test" else ordered[test:]


def _read_text(path: Path) -> str:
    try:
        text = read_given(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}): convert it to UTF-8") from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}. Check the path and its permissions."
        ) from error
    if not text.strip():
        raise DataError(f"{path} is empty: download it again, or choose another file")
    return text


def json_rows(path: Path) -> Iterator[Row]:
    """Records of a JSON list.

    Raises:
        DataError: The file cannot be read, is empty or is not a JSON list.
    """
    try:
        records = parsed_json(_read_text(path))
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON: {error}. Download it again.") from error
    if not isinstance(records, list):
        raise DataError(f"{path} does not contain a list of records: choose another file")
    for number, record in enumerate(records, 1):
        yield Row(path, number, record)


def jsonl_rows(path: Path) -> Iterator[Row]:
    """Records of a file with one JSON object per line; empty lines are skipped.

    Raises:
        DataError: The file cannot be read or is empty, or a line is not JSON.
    """
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield Row(path, number, parsed_json(line))
        except ValueError as error:
            raise Row(path, number, None).damaged(f"this is not JSON ({error})") from error


def csv_rows(
    path: Path, *, header: bool, separator: str | None = ",", text: str | None = None
) -> Iterator[Row]:
    """Records of a CSV file: by column name with a header, else by number.

    `separator` is between the columns; None finds it out by the first line. `text` is what the file
    holds, where it is read already.

    Raises:
        DataError: The file cannot be read or is empty, or a row is not valid CSV or has too few or
            too many fields.
    """
    # Not splitlines(), which takes characters within a field for line ends.
    text = _read_text(path) if text is None else text
    between = separator_of(text) if separator is None else separator
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=between)
    names: list[str] | None = None
    while True:
        start = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            raise Row(path, start, None).damaged(f"this is not CSV ({error})") from error
        if record is None:
            return
        if not any(record):
            continue
        if header and names is None:
            names = [name.strip() for name in record]
            continue
        if names is None:
            yield Row(path, start, record)
            continue
        if len(record) != len(names):
            raise Row(path, start, None).damaged(f"{len(record)} values for {len(names)} columns")
        yield Row(path, start, dict(zip(names, record, strict=True)))
