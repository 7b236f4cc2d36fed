"""The documents' blocks of code, section by section, as a reader goes through them.

A block belongs to the section (`##`) that it stands in. Its language says what is done with it:

    python          run; `# > ` behind a line says what the line gives
    sh              commands, run in their order
    console         commands behind `$ `, run, and what they print, compared; `…` stands for anything
    toml, json …    read
    text            looked at by people

A block below `<!-- not run: REASON -->` is not run. Its commands are still parsed, so that every option
exists, and its Python is compiled.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = tuple(
    path.relative_to(ROOT).as_posix()
    for folder, pattern in ((".", "*.md"), ("docs", "**/*.md"), ("integrations", "*/README.md"))
    for path in sorted((ROOT / folder).glob(pattern))
)
RUN: Final = ("python", "sh", "console")
READ: Final = ("toml", "json", "jsonl", "ini")
SHOWN: Final = ("text",)

_FENCE = re.compile(r"^ *```(.*)$")
_REASON = re.compile(r"^ *<!-- not run: (.*) -->$")


class Block(NamedTuple):
    """A block of code.

    Attributes:
        line: That of its fence, from 1.
        reason: Why it is not run; None where it is.
    """

    page: str
    section: str
    line: int
    language: str
    reason: str | None
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str) -> Iterator[Block]:
    """All blocks of a page."""
    lines = (ROOT / page).read_text("utf-8").splitlines()
    section, at = "", 0
    while at < len(lines):
        if lines[at].startswith(("# ", "## ")):
            section = lines[at].lstrip("# ")
        elif fence := _FENCE.match(lines[at]):
            end = next(i for i in range(at + 1, len(lines)) if lines[i].strip() == "```")
            above = next((one for one in reversed(lines[:at]) if one.strip()), "")
            marked = _REASON.match(above)
            code = "\n".join(lines[at + 1 : end]) + "\n"
            reason = marked[1].strip() if marked else None
            yield Block(page, section, at + 1, fence[1], reason, code)
            at = end
        at += 1


def indented_blocks(page: str) -> list[int]:
    """Lines at which a block of code without a fence begins."""
    found, fenced = [], False
    lines = (ROOT / page).read_text("utf-8").splitlines()
    for at, line in enumerate(lines):
        fenced ^= bool(_FENCE.match(line))
        if not fenced and line.startswith("    ") and at and not lines[at - 1].strip():
            found.append(at + 1)
    return found


BLOCKS: Final = tuple(block for page in PAGES for block in blocks_of(page))
