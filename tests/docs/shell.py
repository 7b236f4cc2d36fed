"""Runs a document's commands without starting processes: as much of a shell as documents need.

Known are pipes, `> FILE`, comments, lines that go on behind a backslash, and of commands `et-agent`,
`echo`, `printf` and `cat`.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

import pytest
from typer.main import get_command

from et_agent.cli.main import app, main

NO_ANSWER: Final = 3
"""Exit code of a gate that gives no answer."""
COMMAND: Final = "et-agent"


def lines_of(code: str) -> Iterator[str]:
    """Each line of a block that has a command; those that go on are one."""
    for line in code.replace("\\\n", " ").splitlines():
        if shlex.split(line, comments=True):
            yield line


def pipeline(line: str) -> tuple[list[list[str]], str | None]:
    """The commands of a line, and the file that the last one writes."""
    reader = shlex.shlex(line, posix=True, punctuation_chars="|<>;&")
    reader.whitespace_split = True
    commands: list[list[str]] = [[]]
    target: str | None = None
    for word in reader:
        if word == "|":
            commands.append([])
        elif word == ">":
            target = next(reader)
        elif re.fullmatch(r"[|<>;&]+", word):
            raise AssertionError(f"the documents' shell does not know {word!r}: {line}")
        else:
            commands[-1].append(word)
    return commands, target


def check_options(line: str) -> None:
    """Parse what is ours in a line: its commands and options exist, and their values fit."""
    for command in pipeline(line)[0]:
        if Path(command[0]).name != COMMAND:
            continue
        parser: Any = get_command(app)
        context = parser.make_context(COMMAND, command[1:])
        while hasattr(parser, "commands"):
            words: list[str] = [*getattr(context, "_protected_args", ()), *context.args]
            assert words[0] in parser.commands, f"there is no {COMMAND} {words[0]}: {line}"
            parser = parser.commands[words[0]]
            context = parser.make_context(words[0], words[1:], parent=context)


class Shell:
    """Runs lines, one after the other."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._patch = patch

    def run(self, line: str, *, codes: Sequence[int] = (0,)) -> str:
        """Run a line; what it prints, standard error included.

        Raises:
            AssertionError: A command is not known, or its exit code is none of these. Behind a gate,
                no answer is fine too.
        """
        commands, target = pipeline(line)
        given, told = "", ""
        for command in commands:
            given, said = self._one(command, given, codes)
            told += said
        if target is None:
            return told + given
        Path(target).write_text(given, "utf-8")
        return told

    def _one(self, command: Sequence[str], given: str, codes: Sequence[int]) -> tuple[str, str]:
        """Standard output and standard error of a command."""
        name, *arguments = command
        match Path(name).name:
            case "echo":
                return " ".join(arguments) + "\n", ""
            case "printf":
                (text,) = arguments
                return text.replace("\\n", "\n"), ""
            case "cat":
                return "".join(Path(one).read_text("utf-8") for one in arguments), ""
            case "et-agent":
                return self._ours(arguments, given, codes)
        raise AssertionError(f"the documents' shell does not know {name!r}")

    def _ours(self, arguments: Sequence[str], given: str, codes: Sequence[int]) -> tuple[str, str]:
        with standard_input(given) as stream:
            self._patch.setattr(sys, "stdin", stream)
            self._capsys.readouterr()
            code = main(arguments)
        out, err = self._capsys.readouterr()
        gated = code == NO_ANSWER and arguments[:1] == ["gate"]
        assert code in codes or gated, f"{shlex.join(arguments)} ends with {code}: {out}{err}"
        return out, err


def standard_input(text: str) -> IO[str]:
    """A pipe that holds a text; without one, a device."""
    if not text:
        return Path(os.devnull).open(encoding="utf-8")
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        stream.write(text)
    return os.fdopen(reading, encoding="utf-8")
