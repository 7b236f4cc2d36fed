"""docs/reliability.md tells of kinds of input that once went wrong, and of tests with relatives."""

from pathlib import Path

import pytest

from benchmarks.faults.kinds import KINDS, cases_of, table

PAGE = (Path(__file__).parent.parent / "docs" / "reliability.md").read_text("utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_tried_with_three_relatives_at_least(kind: str) -> None:
    assert sum(map(cases_of, KINDS[kind])) >= 4


def test_the_page_has_the_table_of_today() -> None:
    told = PAGE.partition("<!-- kinds:")[2].partition("-->")[2].partition("<!-- kinds end")[0]
    assert told.strip().splitlines() == table(), "run `python -m benchmarks.faults.kinds`"
