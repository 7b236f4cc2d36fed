"""Messages that the FAQ quotes are messages of the code."""

import ast
import re
from functools import cache

import pytest

from tests.docs.pages import BLOCKS, ROOT, Block

FOLDERS = ("et_agent", "scripts", "integrations")
QUOTED = [one for one in BLOCKS if one.page == "docs/faq.md" and one.language == "text"]


@cache
def messages() -> tuple[str, ...]:
    """Every text of the code, with `…` for what a f-string puts in."""
    found = []
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = (
                        str(one.value) if isinstance(one, ast.Constant) else "…"
                        for one in node.values
                    )
                    found.append("".join(parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return tuple(found)


@pytest.mark.parametrize("block", QUOTED, ids=str)
def test_a_quoted_message_is_one_of_the_code(block: Block) -> None:
    quoted = " ".join(block.code.split())
    wanted = re.compile(".*".join(map(re.escape, quoted.split("…"))), re.DOTALL)
    assert any(wanted.search(" ".join(one.split())) for one in messages()), quoted


def test_the_faq_quotes_messages() -> None:
    assert len(QUOTED) >= 12
