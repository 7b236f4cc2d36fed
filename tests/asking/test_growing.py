"""Trees that are told while they grow."""

import time
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from et_agent import EntropyTree, ScriptedModel
from et_agent.asking import AnswerStream, AskOptions, PendingAnswer, StreamEnd, TreeGrown

TEXTS = {"Let us see: it is \\boxed{4}": 0.6, "Let us see: it may be \\boxed{5}": 0.4}
OPTIONS = AskOptions(decoder=EntropyTree(leaves=6, temperature=1), kind="number")


def slow_model(seconds: float) -> ScriptedModel:
    quick = ScriptedModel.from_texts(TEXTS)

    def script(prompt: str, tokens: Sequence[int]) -> NDArray[np.float32]:
        time.sleep(seconds)
        return quick._script(prompt, tokens)

    return ScriptedModel(script)


async def test_a_tree_grows_into_that_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("et_agent.asking.streaming._PAUSE", 0.0)
    monkeypatch.setattr("et_agent.asking.streaming._LEAST_DECODING", 0.0)
    with slow_model(0.005) as model:
        stream = AnswerStream(PendingAnswer(model, "q", OPTIONS))
        events = [event async for event in stream.with_trees()]
    end = events[-1]
    assert isinstance(end, StreamEnd)
    assert end.result.tree is not None
    grown = [one for one in events if isinstance(one, TreeGrown)]
    assert len(grown) > 2
    first, last = grown[0].tree, grown[-1].tree
    assert all(leaf.finish == "cancelled" and leaf.answer is None for leaf in first.leaves)
    assert last.nodes == end.result.tree.nodes
    ends = [(leaf.node, leaf.answer, leaf.finish, leaf.weight) for leaf in last.leaves]
    assert ends == [
        (leaf.node, leaf.answer, leaf.finish, leaf.weight) for leaf in end.result.tree.leaves
    ]
    tokens = [one.tokens for one in grown]
    assert tokens == sorted(tokens)


async def test_who_is_slow_gets_the_newest_tree() -> None:
    with slow_model(0.01) as model:
        pending = PendingAnswer(model, "q", OPTIONS)
        events = aiter(AnswerStream(pending).with_trees())
        await anext(events)
        while not pending.request.done:
            time.sleep(0.01)  # the loop takes nothing meanwhile
        trees = [event async for event in events if isinstance(event, TreeGrown)]
    assert len(trees) == 1
    assert all(leaf.finish == "stop" for leaf in trees[0].tree.leaves)


async def test_nothing_is_told_of_trees_that_nobody_wants() -> None:
    with slow_model(0) as model:
        stream = AnswerStream(PendingAnswer(model, "q", OPTIONS))
        kinds = {type(event).__name__ async for event in stream}
    assert kinds == {"TextDelta", "StreamEnd"}
