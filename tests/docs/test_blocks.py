"""Every block of code in the documents is run, or says why it is not."""

import itertools
import json
import re
import shlex
import tomllib
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from benchmarks.readme import replayed
from tests.docs.pages import BLOCKS, PAGES, READ, RUN, SHOWN, Block, indented_blocks
from tests.docs.shell import Shell, check_options, lines_of
from tests.docs.snippets import MARK, run

ALIKE = re.compile(r"…")


def where(block: Block) -> tuple[str, str]:
    return block.page, block.section


def is_run(block: Block) -> bool:
    return block.language in RUN and block.reason is None


ALL_SECTIONS = [tuple(found) for _, found in itertools.groupby(BLOCKS, where)]
SECTIONS = [found for found in ALL_SECTIONS if any(map(is_run, found))]


def run_block(block: Block, names: dict[str, Any], shell: Shell) -> None:
    if block.language == "python":
        run(block.code, names, str(block))
    elif block.language == "sh":
        for line in lines_of(block.code):
            shell.run(line)
    elif block.language == "console":
        for line, printed in commands_of(block.code):
            compare(shell.run(line, codes=range(3)), printed, line)


def commands_of(code: str) -> list[tuple[str, str]]:
    """Each command of a console, and what stands below it."""
    _, *parts = re.split(r"^\$ ", code, flags=re.MULTILINE)
    return [(line, printed) for line, _, printed in (part.partition("\n") for part in parts)]


def compare(given: str, shown: str, line: str) -> None:
    """Hold what a command printed against what the page shows; spaces and breaks are alike."""
    wanted = ".*".join(map(re.escape, ALIKE.split(" ".join(shown.split()))))
    flat = " ".join(given.split())
    assert re.fullmatch(wanted, flat, re.DOTALL), f"{line}\nprints\n{given}\nnot\n{shown}"


@pytest.mark.posix
@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("blocks", SECTIONS, ids=[":".join(where(one[0])) for one in SECTIONS])
def test_a_section_does_what_it_says(
    blocks: Sequence[Block], shell: Shell, request: pytest.FixtureRequest
) -> None:
    if any("openai.OpenAI(" in one.code for one in blocks):
        request.getfixturevalue("server")
    names: dict[str, Any] = {"__name__": "snippet"}
    # README shows what a real model said.
    with replayed() if blocks[0].page == "README.md" else nullcontext():
        for block in blocks:
            if is_run(block):
                run_block(block, names, shell)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_well_formed(block: Block) -> None:
    """Also where it is not run: options exist, and what is a language can be read."""
    if block.language in ("sh", "console"):
        commands = [line for line, _ in commands_of(block.code)]
        for line in commands if block.language == "console" else lines_of(block.code):
            if block.language == "sh":
                check_options(line)
            assert shlex.split(line, comments=True)
    elif block.language == "python":
        compile(block.code, str(block), "exec", flags=0x2000)
        assert block.code.count(MARK.strip()) == block.code.count(MARK)
    elif block.language == "toml":
        tomllib.loads(block.code)
    elif block.language == "json":
        json.loads(block.code)
    elif block.language == "jsonl":
        assert all(json.loads(line) for line in block.code.splitlines())


def test_every_block_has_a_language_that_is_known() -> None:
    assert [one for one in map(str, BLOCKS) if not one] == []
    unknown = [str(one) for one in BLOCKS if one.language not in (*RUN, *READ, *SHOWN)]
    assert unknown == [], "name a language behind the fence: sh, console, python, …, text"
    assert {page: found for page in PAGES if (found := indented_blocks(page))} == {}


def test_only_what_gives_a_reason_is_not_run() -> None:
    ran = [one for one in BLOCKS if is_run(one)]
    left = [one for one in BLOCKS if one.language in RUN and not is_run(one)]
    assert [str(one) for one in left if not one.reason or len(one.reason) < 10] == []
    held = [one for one in BLOCKS if one.reason is not None and one.language not in RUN]
    assert held == [], "a reason stands above what would be run"
    assert len(left) < len(ran) / 3, "most of the documents is to be run"
    assert sum(one.code.count(MARK) for one in BLOCKS) >= 30


def test_what_gives_something_else_fails(shell: Shell) -> None:
    assert run("1 + 1  # > 2", {}) == 1
    with pytest.raises(AssertionError, match="gives 2"):
        run("1 + 1  # > 3", {})
    with pytest.raises(AssertionError, match="prints"):
        compare("a c", "a b", "echo a c")
    compare("a  b\nc\n", "a … c", "echo")
    with pytest.raises(AssertionError, match="ends with 2"):
        shell.run("et-agent ask --nosuch x")
    with pytest.raises(Exception, match="nosuch"):
        check_options("et-agent ask --nosuch x | cat")
    with pytest.raises(AssertionError, match="there is no et-agent nosuch"):
        check_options("et-agent nosuch")
    with pytest.raises(AssertionError, match="does not know 'rm'"):
        shell.run("rm file")


def test_a_pipe_and_a_file_work(shell: Shell, folder: Path) -> None:
    assert shell.run("printf 'a\\nb\\n' > two.txt  # a comment") == ""
    assert shell.run("cat two.txt") == "a\nb\n"
