"""Questions from the command line, from a file or from standard input."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from et_agent.cli.standard_input import NAME, given_text, piped_text, stdin_text
from et_agent.cli.terminal import say
from et_agent.errors import QuestionError
from et_agent.storage import read_given, user_path
from et_agent.wording import counted

__all__ = [
    "SourcedQuestion",
    "offering",
    "piped_context",
    "read_file",
    "read_question",
    "read_questions",
]

_USED: Final = ("question", "choices")
"""What is used of a record: what is asked."""


@dataclass(frozen=True, slots=True)
class SourcedQuestion:
    """A question and where it came from, for messages."""

    text: str
    where: str


def read_questions(
    texts: list[str], file: str | None, choices: list[str] | None = None
) -> list[SourcedQuestion]:
    """All questions of a call: those on the command line first, then those of the file.

    Args:
        texts: Questions; "-" is the text of standard input.
        file: A file with more of them.
        choices: What each of them offers.

    Raises:
        QuestionError: One of them cannot be used; the message says which.
    """
    from et_agent.asking.conversation import check_text

    questions = []
    for number, text in enumerate(texts, 1):
        where = f"question {number}" if len(texts) > 1 else "the question"
        if text == "-":
            where = f"the question in {NAME}"
        text = given_text(text)
        questions.append(SourcedQuestion(check_text(text, where), where))
    if file is not None:
        questions += read_file(file)
    if not questions:
        raise QuestionError(
            'there is no question: use et-agent ask "…", or --questions FILE with one question per '
            "line (- for standard input)"
        )
    return [replace(one, text=offering(one.text, one.where, choices)) for one in questions]


def read_question(text: str, choices: list[str] | None = None) -> str:
    """A single question; that of standard input for "-".

    Args:
        text: The question.
        choices: What it offers.

    Raises:
        QuestionError: It cannot be used.
    """
    (question,) = read_questions([text], None, choices)
    return question.text


def offering(question: str, where: str, choices: list[str] | None) -> str:
    """A question with the choices of `--choice` below it, if there are any.

    Raises:
        QuestionError: It offers some already, or they cannot be told apart.
    """
    from et_agent.answers import with_choices
    from et_agent.answers.choice import options_of

    if not choices:
        return question
    if options_of(question):
        raise QuestionError(f"{where} offers choices of its own: leave out --choice")
    return with_choices(question, choices)


def piped_context(*taken: str | None) -> tuple[str, ...]:
    """What was piped into the command beside its question, as a passage; says so.

    Args:
        taken: What else may name standard input, as "-" or "@-"; then nothing is left of it.

    Raises:
        QuestionError: It is not a text.
    """
    from et_agent.asking.conversation import check_text

    if {"-", "@-"} & set(taken) or not (text := piped_text()):
        return ()
    say(f"context: {counted(text, 'character')} of {NAME}, which the answer is to come from")
    return (check_text(text, f"the context in {NAME}"),)


def read_file(file: str) -> list[SourcedQuestion]:
    """Questions of a file: a table, JSON objects with a question, or one per line.

    A name in .csv or .tsv is a table, and one in .jsonl JSON Lines; others are these when their first
    line is a header that names the questions, or a JSON object. Columns are found as `et-agent eval run
    --data` finds them. Of a record only its question and choices are used, never its answer. Empty
    lines are skipped.

    Raises:
        QuestionError: The file cannot be read, or a line cannot be used; file and line are named.
        DataError: The same for a table.
    """
    from et_agent.asking.conversation import check_text
    from et_agent.evaluation.datasets.columns import TABLES, is_table

    named = NAME if file == "-" else file
    if file.lower().endswith(TABLES):
        found = _of_table(Path(file))
    elif is_table(text := _text(file, named)):
        found = _of_table(Path(named), text)
    else:
        found = _of_lines(text, named, records=file.lower().endswith(".jsonl"))
    questions = [SourcedQuestion(check_text(text, where), where) for where, text in found]
    if not questions:
        raise QuestionError(f"{named} contains no question: write one per line")
    return questions


def _of_table(path: Path, text: str | None = None) -> Iterator[tuple[str, str]]:
    from et_agent.evaluation.datasets.own import asked_text, own_rows

    rows, roles = own_rows(user_path(path), text)
    unused = [name for name in rows[0].values if name not in _USED]
    said = f"{', '.join(unused)} not used" if unused else ""
    if "answer" in unused and text is None:
        said += f" (label by them: et-agent label RESULTS --answers {path})"
    _tell(path.name, roles, said)
    for row in rows:
        yield f"{path}, line {row.line}", asked_text(row)


def _of_lines(text: str, name: str, *, records: bool) -> Iterator[tuple[str, str]]:
    numbered = enumerate(text.split("\n"), 1)
    lines = [(number, line.strip()) for number, line in numbered if line.strip()]
    if records or (lines and _is_object(lines[0][1])):
        yield from _of_records(lines, name)
    else:
        yield from ((f"{name}, line {number}", line) for number, line in lines)


def _of_records(lines: list[tuple[int, str]], name: str) -> Iterator[tuple[str, str]]:
    from et_agent.evaluation.datasets.base import Row
    from et_agent.evaluation.datasets.own import asked_text, understood

    found = [(number, f"{name}, line {number}", line) for number, line in lines]
    rows, roles = understood(
        [Row(Path(name), number, _record(line, where)) for number, where, line in found]
    )
    _tell(name, roles)
    for (_, where, _), row in zip(found, rows, strict=True):
        if not isinstance(row.values.get("question"), str):
            raise QuestionError(f'{where} has no text under "question": write {{"question": "…"}}')
        yield where, asked_text(row)


def _tell(name: str, roles: Mapping[str, str], unused: str = "") -> None:
    """Say what was understood by another name, and what is left out."""
    from et_agent.evaluation.datasets.columns import told

    guessed = told({field: role for field, role in roles.items() if role in _USED})
    if said := "; ".join(filter(None, (guessed, unused))):
        say(f"{name}: {said}")


def _text(file: str, name: str) -> str:
    if file == "-":
        return stdin_text()
    try:
        raw = read_given(file)
    except OSError as error:
        reason = error.strerror or str(error)
        raise QuestionError(f"cannot read the questions in {name}: {reason}") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        place = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        raise QuestionError(
            f"{name}, line {line} is not valid UTF-8 (byte {place}): convert the file to UTF-8"
        ) from error


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _record(line: str, where: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise QuestionError(f"{where} is not valid JSON ({error}): correct the line") from error
    if not isinstance(found, dict):
        raise QuestionError(f'{where} is no object: write {{"question": "…"}}')
    return found
