"""Puts tables that scripts make between the marks of a document."""

from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def put(document: str, name: str, lines: Sequence[str]) -> None:
    """Replace what stands between `<!-- name: … -->` and `<!-- name end -->`."""
    path = ROOT / document
    text = path.read_text(encoding="utf-8")
    start, end = text.find(f"<!-- {name}:"), text.find(f"<!-- {name} end -->")
    if start < 0 or end < start:
        raise SystemExit(f"{document} has lost its marks for {name!r}: put them back")
    opening = text.index("-->", start) + len("-->")
    body = "\n".join(["", *lines, ""])
    path.write_text(text[:opening] + body + text[end:], encoding="utf-8")
