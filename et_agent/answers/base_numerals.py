r"""Numerals with a base, such as `52_8`, whose base math-verify drops."""

import re

__all__ = ["same_numeral"]

_WITH_BASE = re.compile(r"\(?([0-9A-Fa-f]+)\)?_\{?\(?(\d{1,2}|two|eight|ten|sixteen)\)?\}?")
_PLAIN = re.compile(r"[0-9A-Fa-f]+")


def same_numeral(left: str, right: str) -> bool | None:
    """Return whether two numerals are the same, None if neither has a base.

    The digits and the base must agree. Where one has no base the digits alone decide: within one
    question "52" is an unfinished way of writing 52 in base 8.
    """
    with_base = [_WITH_BASE.fullmatch(text) for text in (left, right)]
    if with_base == [None, None]:
        return None
    if with_base[0] is not None and with_base[1] is not None:
        return with_base[0].groups() == with_base[1].groups()
    plain = left if with_base[0] is None else right
    match = with_base[0] or with_base[1]
    assert match is not None
    return _PLAIN.fullmatch(plain) is not None and plain.lower() == match[1].lower()
