"""Who gets a sequence, who loses one, and from which beginning a path goes on."""

from dataclasses import dataclass, field
from itertools import takewhile
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.decoding.base import RunInputs
from et_agent.decoding.greedy import Greedy
from et_agent.decoding.prefix_cache import PrefixCache, Slot, common_prefix_length
from et_agent.decoding.scheduler import Scheduler
from et_agent.engines.base import Batch, Engine
from et_agent.engines.scripted import ScriptedModel
from et_agent.errors import ContextError

TURN = 257


@dataclass(eq=False)
class Words:
    """A path of plain tokens."""

    owner: int
    number: int
    tokens: list[int]
    finished: bool = False
    prompt: list[int] = field(default_factory=list)


class Desk:
    """A cache over a scripted model, and batches of one path at a time."""

    def __init__(self, *, context: int = 64, sequences: int = 4) -> None:
        self.model = ScriptedModel(
            lambda _prompt, _tokens: np.zeros(258, dtype=np.float32),
            context=context,
            max_sequences=sequences,
        )
        self.cache = PrefixCache(lambda: cast("Engine", self.model))
        self.cache.configure(context)

    def reserve(self, path: Words, *, most: int = 64, growth: int = 0) -> Slot | None:
        return self.cache.reserve(path, length=len(path.tokens), most=most, growth=growth)

    def decode(self, path: Words) -> Slot:
        """All tokens of a path that are not there, in a batch of their own."""
        self.cache.begin_batch()
        slot = self.reserve(path)
        assert slot is not None
        tokens = path.tokens[slot.start : slot.start + slot.count]
        self.model.decode(
            Batch(
                np.array(tokens, np.int32),
                np.arange(slot.start, slot.start + slot.count, dtype=np.int32),
                np.full(slot.count, slot.sequence, np.int32),
                np.zeros(slot.count, np.bool_),
            )
        )
        self.cache.append(path, tokens)
        return slot


def path(owner: int, number: int, *tokens: int, finished: bool = False) -> Words:
    return Words(owner, number, [TURN, *tokens], finished)


def test_a_path_goes_on_from_the_longest_beginning_of_its_owners_paths() -> None:
    desk = Desk()
    first, second = path(1, 0, 1, 2, 3, 4), path(1, 1, 1, 2, 9)
    assert desk.decode(first) == Slot(0, 0, 5)
    assert desk.decode(second) == Slot(1, 3, 1)
    assert desk.decode(path(1, 2, 1, 2, 9, 7, 8)) == Slot(2, 4, 2)
    assert desk.decode(path(2, 0, 1, 2, 9)) == Slot(3, 3, 1), "another question's count too"
    assert first in desk.cache
    assert [one.number for one in desk.cache.paths(1)] == [0, 1, 2]


@given(
    st.lists(st.integers(0, 2), max_size=40),
    st.lists(st.integers(0, 2), max_size=20),
    st.lists(st.integers(0, 2), max_size=20),
)
def test_what_two_lists_have_in_common(shared: list[int], one: list[int], other: list[int]) -> None:
    first, second = [*shared, *one], [*shared, *other]
    pairs = zip(first, second, strict=False)
    same = takewhile(lambda pair: pair[0] == pair[1], pairs)
    assert common_prefix_length(first, second) == len(list(same))


def test_equal_prompts_of_two_questions_would_be_found() -> None:
    model = ScriptedModel(lambda _prompt, _tokens: np.zeros(258, dtype=np.float32))
    prompt = (TURN, 5, 6, 7)
    scheduler = Scheduler(model)
    inputs = RunInputs(prompt_length=len(prompt), stop_tokens=model.info.stop_tokens)
    one, other = (scheduler.prepare(prompt, Greedy(max_tokens=2), inputs) for _ in range(2))
    assert one.path(0) is not other.path(0)
    assert common_prefix_length(one.path(0).tokens, other.path(0).tokens) == len(prompt)


def test_the_last_token_is_decoded_even_where_all_of_them_are_there() -> None:
    desk = Desk()
    desk.decode(path(1, 0, 1, 2))
    assert desk.decode(path(1, 1, 1, 2)) == Slot(1, 2, 1)


def test_what_is_there_goes_on_and_a_batch_takes_a_part() -> None:
    desk = Desk()
    one = path(1, 0, 1, 2, 3)
    desk.cache.begin_batch()
    assert desk.reserve(one, most=2) == Slot(0, 0, 2)
    desk.cache.append(one, one.tokens[:2])
    desk.cache.begin_batch()
    assert desk.reserve(one) == Slot(0, 2, 2)


def test_sequences_run_out_and_finished_late_paths_give_way_first() -> None:
    desk = Desk(sequences=3)
    early = path(2, 0, 1, finished=True)
    late, running = path(3, 0, 1, finished=True), path(3, 1, 1, 2)
    for one in (early, late, running):
        desk.decode(one)
    desk.decode(path(1, 0, 7))
    assert late not in desk.cache, "the finished one of the later question"
    desk.decode(path(1, 1, 8))
    assert early not in desk.cache, "then any finished one"
    desk.decode(path(1, 2, 9))
    assert running not in desk.cache, "then the one of the latest question"
    desk.decode(path(1, 3, 6))
    assert [one.number for one in desk.cache.paths(1)] == [0, 1, 3], "then the last of all"


def test_a_newcomer_beside_others_pushes_out_none_that_came_before_it() -> None:
    desk = Desk(sequences=4)
    early, going = path(1, 0, 1, finished=True), path(2, 0, 3)
    ended, source = path(2, 1, 2, finished=True), path(2, 2, 5, finished=True)
    for one in (early, going, ended, source):
        desk.decode(one)
    desk.cache.begin_batch()
    going.tokens.append(4)
    assert desk.reserve(going) is not None
    assert desk.reserve(path(3, 0, 5)) is None
    assert desk.reserve(path(2, 3, 5, 6)) == Slot(2, 2, 1)
    assert [one.number for one in desk.cache.paths(2)] == [0, 2, 3], "it begins with `source`"
    assert early in desk.cache


def test_the_only_sequence_is_given_up_for_a_path_that_begins_with_it() -> None:
    desk = Desk(sequences=1)
    desk.decode(path(1, 0, 1, 2, finished=True))
    assert desk.decode(path(1, 1, 1, 3)) == Slot(0, 0, 3)


def test_a_newcomer_waits_until_those_in_the_batch_have_room_to_grow() -> None:
    desk = Desk(context=12)
    one, other = path(1, 0, 1, 2), path(2, 0, 1, 2)
    desk.cache.begin_batch()
    assert desk.reserve(one, growth=7) is not None
    assert desk.reserve(other) is None
    assert other not in desk.cache
    desk.cache.begin_batch()
    assert desk.reserve(one, growth=6) is not None
    assert desk.reserve(other) is not None


def test_cells_run_out_and_others_lose_theirs_until_none_is_left() -> None:
    desk = Desk(context=8)
    desk.decode(path(1, 0, 1, 2, 3, finished=True))
    desk.decode(path(2, 0, 1, 2))
    long = path(2, 1, *range(7))
    assert desk.decode(long) == Slot(2, 1, 7)
    assert desk.cache.paths(1) == []
    desk.cache.begin_batch()
    long.tokens.append(7)
    with pytest.raises(ContextError, match="context of 8 cells is too small"):
        desk.reserve(long)


def test_a_configured_cache_is_empty_and_so_is_a_cleared_one() -> None:
    desk = Desk()
    assert desk.cache.longest == 64
    one = path(1, 0, 1)
    desk.decode(one)
    desk.cache.configure(9)
    assert desk.cache.longest == 9
    assert one not in desk.cache
    assert desk.decode(one) == Slot(0, 0, 2)
    desk.model.release = None  # type: ignore[method-assign, assignment]
    desk.cache.clear()
    assert one not in desk.cache
