"""Streams grow, events tell of the tree, and whoever stops listening stops the decoding."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel

from et_agent import EntropyTree, MultiChain, ScriptedModel
from et_agent.errors import DecodeError
from et_agent.results import AskResult
from et_agent.runnables import EntropyTreeRunnable, ForkSeen, LeafSeen, TreeSnapshot
from et_agent.uncertainty.self_evaluation import ANSWERABLE
from tests.runnables.conftest import LENGTH, QUESTION, TEXTS, Recorder, aended, ended, endless

FORK, LEAF, POSTERIOR = "entropy_tree_fork", "entropy_tree_leaf", "entropy_tree_posterior"


def check_snapshots(chunks: list[Any]) -> None:
    *snapshots, result = chunks
    assert isinstance(result, AskResult)
    assert len(snapshots) > 2
    assert all(isinstance(one, TreeSnapshot) for one in snapshots)
    done = [one.leaves_done for one in snapshots]
    assert done == sorted(done)
    tokens = [one.tokens for one in snapshots]
    assert tokens == sorted(tokens)
    assert snapshots[0].answer is None
    assert snapshots[0].distribution == ()
    for one in snapshots:
        if one.leaves_done:
            assert sum(share.share for share in one.distribution) == pytest.approx(1)
            assert sum(share.leaves for share in one.distribution) == one.leaves_done
    last = snapshots[-1]
    assert last.leaves_done == last.leaves == result.usage.leaves
    assert (last.question, last.answer, last.tokens) == (
        result.question,
        result.answer,
        result.usage.tokens_decoded,
    )
    assert last.distribution == tuple(
        share.model_copy(update={"share": pytest.approx(share.share)})
        for share in result.distribution
    )


async def test_snapshots_grow_into_the_result(model: ScriptedModel) -> None:
    tree = EntropyTreeRunnable(model=model, leaves=8)
    check_snapshots(list(tree.stream(QUESTION)))
    check_snapshots([chunk async for chunk in tree.astream(QUESTION)])
    prompt = ChatPromptTemplate.from_messages([("human", "{question}")])
    check_snapshots(list((prompt | tree).stream({"question": QUESTION})))


def test_leaves_without_an_answer_are_in_the_running_distribution() -> None:
    with ScriptedModel.from_texts({"So \\boxed{4}": 0.5, "Who knows": 0.5}) as model:
        tree = EntropyTreeRunnable(model=model, decoder=MultiChain(leaves=12), kind="number")
        *_, last, result = tree.stream(QUESTION)
    assert {share.answer for share in last.distribution} == {"4", None}
    assert last.share == pytest.approx(result.share)


def check_events(custom: list[tuple[str, Any]], result: AskResult) -> None:
    forks = [ForkSeen.model_validate(data) for name, data in custom if name == FORK]
    leaves = [LeafSeen.model_validate(data) for name, data in custom if name == LEAF]
    posteriors = [TreeSnapshot.model_validate(data) for name, data in custom if name == POSTERIOR]
    assert forks
    assert all(sum(fork.shares) == pytest.approx(1) for fork in forks)
    children = [child for fork in forks for child in fork.children]
    assert sorted(children) == sorted(leaf.branch for leaf in leaves if leaf.branch)
    assert sum(leaf.count for leaf in leaves) == result.usage.leaves
    assert {leaf.answer for leaf in leaves} == {share.answer for share in result.distribution}
    assert posteriors[-1].answer == result.answer
    assert posteriors[-1].leaves_done == result.usage.leaves


async def test_custom_events(model: ScriptedModel) -> None:
    tree = EntropyTreeRunnable(model=model, leaves=8)
    events = [event async for event in tree.astream_events(QUESTION, version="v2")]
    result = events[-1]["data"]["output"]
    custom = [(e["name"], e["data"]) for e in events if e["event"] == "on_custom_event"]
    check_events(custom, result)
    streamed = [e["data"]["chunk"] for e in events if e["event"] == "on_chain_stream"]
    check_snapshots(streamed)
    assert len({event["run_id"] for event in events}) == 1


@pytest.mark.parametrize("way", ["invoke", "batch", "stream", "ainvoke", "abatch"])
async def test_callbacks_get_the_events_too(
    model: ScriptedModel, recorder: Recorder, way: str
) -> None:
    tree = EntropyTreeRunnable(model=model, leaves=8)
    config: Any = {"callbacks": [recorder]}
    match way:
        case "invoke":
            result = tree.invoke(QUESTION, config)
        case "batch":
            [result] = tree.batch([QUESTION], config)
        case "stream":
            *_, result = tree.stream(QUESTION, config)
        case "ainvoke":
            result = await tree.ainvoke(QUESTION, config)
        case _:
            [result] = await tree.abatch([QUESTION], config)
    check_events(recorder.custom, result)
    assert [told for told, _ in recorder.told] == ["start", "end"]


def test_a_long_path_is_told_of_before_it_ends() -> None:
    with endless() as model:
        tree = EntropyTreeRunnable(model=model, decoder=MultiChain(leaves=1), max_tokens=LENGTH)
        stream = tree.stream(QUESTION)
        first, second = next(stream), next(stream)
        stream.close()
    assert (first.leaves_done, second.leaves_done) == (0, 0)
    assert second.tokens > first.tokens
    assert second.seconds - first.seconds >= 0.15


# Stopping.


def stops(model: ScriptedModel) -> bool:
    """Whether the model decodes no more than the step that was on its way, and works again.

    The step holds a token of each question, or asks whether it can be answered; there are two at most.
    """
    before = model.decoded
    return ended(model) and model.decoded - before <= 2 * (len(ANSWERABLE) + 3)


def long_tree(model: ScriptedModel) -> EntropyTreeRunnable:
    return EntropyTreeRunnable(model=model, decoder=MultiChain(leaves=1, max_tokens=LENGTH))


def usable(model: ScriptedModel) -> bool:
    return long_tree(model).invoke(QUESTION, max_tokens=3).usage.tokens_decoded == 3


def wait_until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.001)


@pytest.mark.parametrize("piped", [False, True])
def test_closing_a_stream_stops_decoding(recorder: Recorder, piped: bool) -> None:
    with endless() as model:
        chain = RunnableLambda(str) | long_tree(model) if piped else long_tree(model)
        stream: Any = chain.stream(QUESTION, {"callbacks": [recorder]})
        next(stream)
        stream.close()
        assert stops(model)
        assert usable(model)
    assert ("start", "EntropyTreeRunnable") in recorder.told
    assert len([told for told, _ in recorder.told if told == "start"]) == len(
        [told for told, _ in recorder.told if told != "start"]
    )


def test_leaving_a_loop_stops_decoding() -> None:
    with endless() as model:
        for _ in long_tree(model).stream(QUESTION):
            break
        assert stops(model)
        assert usable(model)


@pytest.mark.parametrize("piped", [False, True])
async def test_closing_an_async_stream_stops_decoding(piped: bool) -> None:
    with endless() as model:
        chain = RunnableLambda(str) | long_tree(model) if piped else long_tree(model)
        stream: Any = chain.astream(QUESTION)
        await anext(stream)
        await stream.aclose()
        assert await aended(model)
        assert usable(model)


async def test_leaving_the_events_stops_decoding() -> None:
    with endless() as model:
        events: Any = long_tree(model).astream_events(QUESTION, version="v2")
        async with aclosing(events):
            async for event in events:
                if event["event"] == "on_custom_event":
                    break
        assert await aended(model)
        assert usable(model)


@pytest.mark.parametrize("way", ["ainvoke", "abatch", "astream"])
async def test_cancelling_a_task_stops_decoding(recorder: Recorder, way: str) -> None:
    begun: set[str] = set()
    with endless(begun) as model:
        tree = long_tree(model)
        config: Any = {"callbacks": [recorder]}

        async def drain() -> None:
            async for _ in tree.astream(QUESTION, config):
                pass

        ways: dict[str, Callable[[], Any]] = {
            "ainvoke": lambda: tree.ainvoke(QUESTION, config),
            "abatch": lambda: tree.abatch([QUESTION, "Why?"], config),
            "astream": drain,
        }
        task = asyncio.ensure_future(ways[way]())
        # With a prompt on its way, the step that is waited for would be longer than `stops` allows.
        questions = 2 if way == "abatch" else 1
        await asyncio.to_thread(wait_until, lambda: len(begun) == questions)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stops(model)
        assert usable(model)
    assert {type(error) for error in recorder.errors} == {asyncio.CancelledError}


@pytest.mark.parametrize("events", [False, True])
async def test_a_cancelled_parallel_stream_decodes_up_to_its_next_snapshot(events: bool) -> None:
    with endless() as model:
        chain = RunnableParallel(a=long_tree(model))

        async def drain() -> None:
            if events:
                async for _ in chain.astream_events(QUESTION, version="v2"):
                    pass
            else:
                async for _ in chain.astream(QUESTION):
                    pass

        task = asyncio.ensure_future(drain())
        await asyncio.to_thread(wait_until, lambda: model.decoded > 50)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # LangChain leaves the task that waits for a snapshot running.
        assert await aended(model)
        assert usable(model)


def test_an_interrupt_stops_decoding(recorder: Recorder) -> None:
    class Interrupted(Recorder):
        raise_error = True

        def on_custom_event(self, name: str, data: Any, *, run_id: Any, **more: Any) -> None:
            raise KeyboardInterrupt

    with endless() as model:
        for ask in (long_tree(model).invoke, lambda *a: long_tree(model).batch([a[0]], a[1])):
            seen = Interrupted()
            with pytest.raises(KeyboardInterrupt):
                ask(QUESTION, {"callbacks": [seen]})
            assert stops(model)
            assert isinstance(seen.errors[0], KeyboardInterrupt)
        assert usable(model)


class Breaking(ScriptedModel):
    """Fails after some steps, as llama.cpp may."""

    broken = True
    calls = 0

    def decode(self, batch: Any) -> Any:
        self.calls += 1
        if self.broken and self.calls > 5:
            raise DecodeError("llama_decode failed with code 1")
        return super().decode(batch)


async def test_a_failure_while_decoding(recorder: Recorder) -> None:
    config: Any = {"callbacks": [recorder]}
    with Breaking.from_texts(TEXTS) as model:
        assert isinstance(model, Breaking)
        tree = EntropyTreeRunnable(model=model, decoder=EntropyTree(leaves=4))
        with pytest.raises(DecodeError):
            list(tree.stream(QUESTION, config))
        with pytest.raises(DecodeError):
            await tree.ainvoke(QUESTION, config)
        with pytest.raises(DecodeError):
            tree.batch([QUESTION, QUESTION], config)
        assert [told for told, _ in recorder.told].count("error") == 4
        model.broken = False
        assert tree.invoke(QUESTION).answer == "4"


def test_the_consumer_may_be_slow(model: ScriptedModel) -> None:
    tree = EntropyTreeRunnable(model=model, leaves=8)
    quick, slow = [], []
    for chunk in tree.stream(QUESTION):
        quick.append(chunk)
    for chunk in tree.stream(QUESTION):
        slow.append(chunk)
        threading.Event().wait(0.01)
    without = {"seconds", "usage"}
    assert [one.model_dump(exclude=without) for one in quick] == [
        one.model_dump(exclude=without) for one in slow
    ]
