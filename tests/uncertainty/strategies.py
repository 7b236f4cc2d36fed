"""Leaves for property tests."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from et_agent.uncertainty import Leaves, check_leaves


@dataclass(frozen=True)
class SomeLeaves:
    index: list[int | None]
    weights: list[float]
    counts: list[int]

    @property
    def checked(self) -> Leaves:
        return check_leaves(self.index, self.weights, self.counts)

    def permuted(self, order: list[int]) -> "SomeLeaves":
        return SomeLeaves(
            [self.index[leaf] for leaf in order],
            [self.weights[leaf] for leaf in order],
            [self.counts[leaf] for leaf in order],
        )


@st.composite
def some_leaves(draw: st.DrawFn, *, positive: bool = False) -> SomeLeaves:
    size = draw(st.integers(1, 12))
    smallest = 1e-6 if positive else 0.0
    raw = np.array(
        draw(st.lists(st.floats(smallest, 1.0), min_size=size, max_size=size)), dtype=np.float64
    )
    if raw.sum() < 1e-6:
        raw[0] = 1.0
    index = draw(st.lists(st.none() | st.integers(0, 5), min_size=size, max_size=size))
    counts = draw(st.lists(st.integers(1, 9), min_size=size, max_size=size))
    return SomeLeaves(index, (raw / raw.sum()).tolist(), counts)


@st.composite
def leaves_and_order(draw: st.DrawFn) -> tuple[SomeLeaves, SomeLeaves]:
    leaves = draw(some_leaves())
    order = draw(st.permutations(range(len(leaves.index))))
    return leaves, leaves.permuted(list(order))
