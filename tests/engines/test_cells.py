import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from et_agent.engines.cells import CellTable
from et_agent.errors import ContextError


def append(table: CellTable, *sequences: int) -> None:
    positions = [table.length(s) for s in sequences]
    table.check(positions, sequences)
    table.place(positions, sequences)


def test_a_fork_shares_cells_until_both_let_go() -> None:
    table = CellTable(8, 3, 8)
    for _ in range(4):
        append(table, 0)
    assert table.free == 4
    table.fork(0, 1, 3)
    assert table.free == 4, "a fork costs nothing"
    append(table, 0, 1)
    assert table.free == 2
    assert table.path(0, 3).tolist() == table.path(1, 3).tolist()
    assert table.path(0, 5)[3:].tolist() != table.path(1, 4)[3:].tolist()
    table.release(0)
    assert table.free == 4, "the shared beginning is still in use"
    assert table.length(1) == 4
    table.release(1)
    table.release(1)  # nothing is left to release
    assert table.free == 8


def test_unused_cells_are_those_that_are_placed_next_in_batch_order() -> None:
    table = CellTable(8, 2, 8)
    append(table, 0)
    table.release(0)
    cells = table.unused(3)
    table.place([0, 0, 1], [0, 1, 0])
    assert table.path(0, 2).tolist() == [cells[0], cells[2]]
    assert table.path(1, 1).tolist() == [cells[1]]
    assert table.free == 5


def test_what_llama_cpp_would_abort_on_is_refused_and_changes_nothing() -> None:
    table = CellTable(3, 2, 3)
    append(table, 0)
    with pytest.raises(ContextError, match="needs 3 cache cells and 2 are free"):
        table.check([1, 2, 3], [0, 0, 0])
    with pytest.raises(ContextError, match="position 2 does not follow sequence 0"):
        table.check([2], [0])
    with pytest.raises(ContextError, match="position 1 does not follow"):
        table.check([1, 1], [0, 0])
    for wrong in (2, -1):
        with pytest.raises(ContextError, match="out of range"):
            table.check([0], [wrong])
    table.check([1, 2], [0, 0])
    assert (table.free, table.length(0)) == (2, 1)


def test_a_path_longer_than_the_cache_was_configured_for_is_refused() -> None:
    table = CellTable(8, 2, 3)
    for _ in range(3):
        append(table, 0)
    with pytest.raises(ContextError, match="configured for paths of 3 positions"):
        table.check([3], [0])
    assert table.length(0) == 3


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("afr"), st.integers(0, 3), st.integers(0, 3), st.integers(1, 5)),
        max_size=40,
    )
)
def test_the_table_equals_a_model_with_sets(steps: list[tuple[str, int, int, int]]) -> None:
    table = CellTable(16, 4, 16)
    paths: list[list[int]] = [[], [], [], []]
    for kind, one, other, count in steps:
        if kind == "a" and table.free:
            append(table, one)
            paths[one].append(int(table.path(one, table.length(one))[-1]))
        elif kind == "f" and not paths[other] and paths[one] and one != other:
            table.fork(one, other, min(count, len(paths[one])))
            paths[other] = paths[one][: min(count, len(paths[one]))]
        elif kind == "r":
            table.release(one)
            paths[one] = []
        used = {cell for path in paths for cell in path}
        assert table.free == 16 - len(used)
        for sequence, path in enumerate(paths):
            assert table.length(sequence) == len(path)
            assert table.path(sequence, len(path)).tolist() == path


def test_long_sequences_grow() -> None:
    table = CellTable(2000, 1, 2000)
    for _ in range(1500):
        append(table, 0)
    assert table.path(0, 1500).tolist() == list(range(1500))
