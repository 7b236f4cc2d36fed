"""Answers the questions of a CSV file, adds confidences, and continues where it was stopped.

    .venv/bin/python examples/csv_confidence.py
    .venv/bin/python examples/csv_confidence.py mine.csv --column text --out answered.csv

Rows are written as they are finished. You can stop the program at any time (Ctrl-C). The next run does
the rest. The new columns are answer, confidence (P(correct)), calibration (what that rests on: own,
shipped or general), share (of the path weights), entropy (of p(a|x), in nats), tokens, settings and
error.
"""

import argparse
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from et_agent.engines.base import LanguageModel
from et_agent.errors import DataError, EtAgentError
from et_agent.results import AskResult
from et_agent.runnables import EntropyTreeRunnable
from et_agent.storage import write_atomically

QUESTIONS = Path(__file__).with_name("questions.csv")
ROW = "row"
ADDED = ("answer", "confidence", "calibration", "share", "entropy", "tokens", "settings", "error")

Row = Mapping[str, str]


def rows_of(text: str) -> list[Row]:
    """The rows of a CSV text; in an incomplete one the values that are missing are None."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def is_whole(row: Row) -> bool:
    """Whether a row has a value for every column, and no more."""
    return None not in row and None not in row.values()


def read(path: Path, column: str) -> list[Row]:
    """The rows to answer.

    Raises:
        DataError: The file cannot be read, has no rows, or not that column.
    """
    try:
        rows = rows_of(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not rows or column not in rows[0]:
        raise DataError(f"{path} has no rows with a column {column!r}: name it with --column")
    for number, row in enumerate(rows, 1):
        if not is_whole(row):
            raise DataError(f"{path}: row {number} has more or fewer values than the first line")
    if taken := {ROW, *ADDED} & set(rows[0]):
        raise DataError(f"{path} has columns of its own called {', '.join(sorted(taken))}")
    return rows


class Answers:
    """The file of answers, a line for each finished row."""

    def __init__(self, path: Path, questions: Sequence[Row], settings: str) -> None:
        self._path, self._questions, self._settings = path, questions, settings
        self._columns = [ROW, *questions[0], *ADDED]
        self.done: dict[int, Row] = {}
        if path.exists():
            self._take_up()
        else:
            self.sort()

    def _take_up(self) -> None:
        """Read what an earlier run has finished.

        Raises:
            DataError: It was made from other questions, or with other settings.
        """
        text = self._path.read_text(encoding="utf-8")
        rows = rows_of(text[: text.rfind("\n") + 1])
        if rows and not is_whole(rows[-1]):
            del rows[-1]  # it was being written when the run was stopped
        for row in rows:
            self._check(row)
            self.done[int(row[ROW])] = row
        self.sort()

    def _check(self, row: Row) -> None:
        number = row.get(ROW) or ""
        known = number.isdecimal() and 1 <= int(number) <= len(self._questions)
        if not known or any(
            row.get(column) != value for column, value in self._questions[int(number) - 1].items()
        ):
            raise DataError(
                f"{self._path} was made from other rows: choose another file with --out"
            )
        if row.get("settings") != self._settings:
            raise DataError(
                f"{self._path} was made with other settings ({row.get('settings')}): use those, or "
                "choose another file with --out"
            )

    def missing(self) -> list[int]:
        """Numbers of the rows that are to be answered, failed ones again, counted from 1."""
        numbers = range(1, len(self._questions) + 1)
        return [one for one in numbers if one not in self.done or self.done[one]["error"]]

    def add(self, number: int, found: AskResult | Exception, out: IO[str]) -> Row:
        """Write what was found for a row."""
        row = {ROW: str(number), **self._questions[number - 1], **dict.fromkeys(ADDED, "")}
        row["settings"] = self._settings
        if isinstance(found, AskResult):
            row |= {
                "answer": found.answer or "",
                "confidence": "" if found.confidence is None else f"{found.confidence:.4f}",
                "calibration": "" if found.calibration is None else found.calibration.source,
                "share": f"{found.share:.4f}",
                "entropy": f"{found.predictive_entropy:.4f}",
                "tokens": str(found.usage.tokens_decoded),
            }
        else:
            row["error"] = str(found)
        self.done[number] = row
        out.write(self._line(row))
        out.flush()
        return row

    def sort(self) -> None:
        """Write the file anew: the finished rows in the order of the questions."""
        head = dict(zip(self._columns, self._columns, strict=True))
        rows = [head, *(self.done[number] for number in sorted(self.done))]
        write_atomically(self._path, "".join(map(self._line, rows)))

    def _line(self, row: Row) -> str:
        line = io.StringIO(newline="")
        csv.DictWriter(line, self._columns, lineterminator="\n").writerow(row)
        return line.getvalue()


def run(options: argparse.Namespace, model: LanguageModel | None) -> None:
    """Answer what is missing.

    Raises:
        EtAgentError: A file or the model cannot be used.
    """
    questions = read(options.questions, options.column)
    path = options.out or Path(f"{options.questions.stem}.answered.csv")
    settings = f"{options.model} leaves={options.leaves} seed={options.seed}"
    answers = Answers(path, questions, settings)
    missing = answers.missing()
    print(f"{len(questions) - len(missing)} of {len(questions)} rows are finished in {path}")
    tree = EntropyTreeRunnable(
        model=options.model if model is None else model, leaves=options.leaves, seed=options.seed
    )
    if missing:
        tree.language_model()  # that it cannot be loaded is no error of a row
    asked = [questions[number - 1][options.column] for number in missing]
    with path.open("a", encoding="utf-8", newline="") as out:
        for index, found in tree.batch_as_completed(
            asked, {"max_concurrency": options.at_once}, return_exceptions=True
        ):
            row = answers.add(missing[index], found, out)
            sure = row["confidence"] or row["share"] or "-"
            print(f"{sure:>7}  {row['answer'] or row['error'] or '-':<12.40}  {asked[index]:.60}")
    answers.sort()
    kind = "confidence" if any(row["confidence"] for row in answers.done.values()) else "share"
    values = [float(row[kind]) for row in answers.done.values() if row[kind]]
    if values:
        print(f"{path}: {len(values)} answers, mean {kind} {sum(values) / len(values):.2f}")


def main(argv: Sequence[str] | None = None, model: LanguageModel | None = None) -> None:
    """Run the example; `model` stands in for the one named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("questions", nargs="?", type=Path, default=QUESTIONS, help="a CSV file")
    parser.add_argument("--column", default="question", help="which column to ask")
    parser.add_argument("--out", type=Path, help="NAME.answered.csv by default")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--leaves", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=4, help="questions that share batches")
    options = parser.parse_args(argv)
    try:
        run(options, model)
    except EtAgentError as error:
        raise SystemExit(f"error: {error}") from error
    except KeyboardInterrupt:
        raise SystemExit("\nstopped; what is finished is kept: run it again to go on") from None


if __name__ == "__main__":
    main()
