import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from et_agent.engines.llama_cpp.layout import MAX_SEQUENCES, Layout, StreamTable, choose_layout

_KIB = 1024
_GIB = 1 << 30


def _chosen(longest: int, *, cell_bytes: int = 12 * _KIB, **other: int) -> Layout:
    given = {"context": 8192, "max_sequences": 64, "width": 16, "memory": _GIB, **other}
    return choose_layout(longest, cell_bytes=cell_bytes, **given)


def test_streams_are_as_long_as_paths_need() -> None:
    assert _chosen(1) == _chosen(512) == Layout(unified=False, sequences=28, cells=512)
    assert _chosen(513).cells == 768
    assert _chosen(1500).cells == 1536
    assert _chosen(1, context=100).cells == 256, "a small context asks for little memory"
    assert _chosen(1, shortest=4097).cells == 4352


def test_what_does_not_fit_into_memory_shares_one_cache() -> None:
    shared = Layout(unified=True, sequences=64, cells=8192)
    assert _chosen(4096).sequences == 20  # 21 streams of 4,096 cells of 12 KiB fit into 1 GiB
    assert _chosen(6000) == shared
    assert _chosen(1, memory=0) == shared
    assert _chosen(1, cell_bytes=1 << 20) == shared


def test_there_is_an_id_for_each_sequence_and_one_to_spare() -> None:
    assert _chosen(1, width=255, max_sequences=256, memory=1 << 40).ids == MAX_SEQUENCES
    assert _chosen(1, width=256, max_sequences=256, memory=1 << 40).unified
    assert _chosen(1, max_sequences=1).ids == 2
    assert _chosen(1, memory=0, max_sequences=256).ids == MAX_SEQUENCES


def test_sequences_of_one_row_have_twins_for_a_window() -> None:
    shared = _chosen(6000, window=128)
    assert shared == Layout(unified=True, sequences=64, cells=8192, twins=True)
    assert (shared.ids, shared.streams, shared.total) == (128, 1, 8192)
    most = _chosen(1, memory=0, max_sequences=256, window=128)
    assert (most.sequences, most.ids) == (128, MAX_SEQUENCES)
    assert _chosen(1, window=128) == _chosen(1), "streams need none"


def test_larger_streams_serve_and_a_shared_cache_does_not() -> None:
    small, large = _chosen(100), _chosen(4000)
    assert large.sequences < small.sequences
    assert large.serves(small)
    assert not small.serves(large)
    assert not _chosen(1, memory=0).serves(small)
    assert not small.serves(_chosen(1, memory=0))


class _Cache:
    """What llama.cpp would hold: which sequence's tokens lie in which stream."""

    def __init__(self, sequences: int) -> None:
        self.table = StreamTable(sequences + 1)
        self.held: dict[int, int] = {}  # stream: sequence

    def gather(self, sequences: list[int]) -> int:
        moves = self.table.gather(sequences)
        for source, target in moves:
            assert target not in self.held, "a target is empty"
            self.held[target] = self.held.pop(source)
        for sequence in sequences:
            self.held.setdefault(self.table.stream(sequence), sequence)
        return len(moves)


def test_a_batch_that_lies_side_by_side_stays() -> None:
    cache = _Cache(4)
    assert cache.gather([2, 0, 3]) == 0
    assert cache.gather([3, 2, 0]) == 0
    assert sorted(cache.held) == [0, 1, 2]


def test_a_hole_is_filled_by_one_move() -> None:
    cache = _Cache(4)
    cache.gather([0, 1, 2, 3])
    gone = cache.held[1]
    assert cache.table.release(gone) == 1
    del cache.held[1]
    left = [sequence for sequence in range(4) if sequence != gone]
    assert cache.gather(left) == 1
    assert {cache.table.stream(sequence) for sequence in left} == {0, 1, 2}


def test_a_full_table_has_room_to_swap() -> None:
    cache = _Cache(3)
    cache.gather([0, 1, 2])
    last = cache.held[2]
    assert cache.gather([last]) == 2
    assert cache.held[0] == last


def test_a_sequence_without_stream_has_nothing_to_release() -> None:
    table = StreamTable(2)
    assert table.release(0) is None
    assert table.take(0) == 0
    with pytest.raises(KeyError):
        table.stream(1)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 7).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.lists(
                st.tuples(
                    st.sampled_from(["gather", "fork", "release"]),
                    st.lists(st.integers(0, count - 1), min_size=1, max_size=2 * count),
                ),
                max_size=25,
            ),
        )
    )
)
def test_tokens_stay_with_their_sequences(script: tuple[int, list[tuple[str, list[int]]]]) -> None:
    """After any forks and releases a batch lies in the first streams, and nothing was mixed up."""
    count, steps = script
    cache = _Cache(count)
    for what, sequences in steps:
        held = set(cache.held.values())
        if what == "gather":
            cache.gather(sequences)
            streams = {cache.table.stream(sequence) for sequence in sequences}
            assert streams == set(range(len(set(sequences))))
        elif what == "fork" and sequences[0] not in held:
            taken = cache.table.take(sequences[0], avoid={0})
            taken = cache.table.take(sequences[0]) if taken is None else taken
            assert taken is not None
            cache.held[taken] = sequences[0]
            assert cache.table.find(sequences[0]) == taken
        elif what == "release":
            stream = cache.table.release(sequences[0])
            assert (stream is None) == (sequences[0] not in held)
            if stream is not None:
                del cache.held[stream]
        assert all(cache.table.stream(one) == at for at, one in cache.held.items())
