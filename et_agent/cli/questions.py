"""Questions from the command line, from a file or from standard input."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from et_agent.errors import QuestionError

__all__ = ["SourcedQuestion", "read_file", "read_questions"]


@dataclass(frozen=True, slots=True)
class SourcedQuestion:
    """A question and where it came from, for messages."""

    text: str
    where: str


def read_questions(texts: list[str], file: str | None) -> list[SourcedQuestion]:
    """All questions of a call: those on the command line first, then those of the file.

    Raises:
        QuestionError: One of them cannot be used; the message says which.
    """
    from et_agent.asking.conversation import check_text

    questions = []
    for number, text in enumerate(texts, 1):
        where = f"question {number}" if len(texts) > 1 else "the question"
        questions.append(SourcedQuestion(check_text(text, where), where))
    if file is not None:
        questions += read_file(file)
    if not questions:
        raise QuestionError(
            'there is no question: use et-agent ask "…", or --questions FILE with one question per '
            "line (- for standard input)"
        )
    return questions


def read_file(file: str) -> list[SourcedQuestion]:
    """Questions of a file: one per line, or JSON objects with a "question"; empty lines are skipped.

    A file is JSON Lines when its name ends in .jsonl or its first line is a JSON object.

    Raises:
        QuestionError: The file cannot be read, or a line cannot be used; file and line are named.
    """
    from et_agent.asking.conversation import check_text

    name = "standard input" if file == "-" else file
    as_json: bool | None = True if file.lower().endswith(".jsonl") else None
    questions = []
    for number, raw in enumerate(_read_bytes(file, name).split(b"\n"), 1):
        where = f"{name}, line {number}"
        line = _decode(raw, where).strip()
        if not line:
            continue
        if as_json is None:
            as_json = _is_object(line)
        text = _from_json(line, where) if as_json else line
        questions.append(SourcedQuestion(check_text(text, where), where))
    if not questions:
        raise QuestionError(f"{name} contains no question: write one per line")
    return questions


def _read_bytes(file: str, name: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read()
        return Path(file).expanduser().read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise QuestionError(f"cannot read the questions in {name}: {reason}") from error


def _decode(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise QuestionError(
            f"{where} is not valid UTF-8 (byte {error.start + 1}): convert the file to UTF-8"
        ) from error


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _from_json(line: str, where: str) -> object:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise QuestionError(f"{where} is not valid JSON ({error}): correct the line") from error
    if not isinstance(found, dict) or not isinstance(found.get("question"), str):
        raise QuestionError(f'{where} has no text under "question": write {{"question": "…"}}')
    return found["question"]
