"""Runnables over a server that they name by its address."""

import asyncio
from collections.abc import Iterator

import pytest

from et_agent import AskResult, EntropyTreeRunnable, GateRunnable
from et_agent.errors import SettingsError, UnsupportedModelError
from et_agent.gate import Gate, GatePolicy
from et_agent.runnables.events import TreeSnapshot
from tests.engines.openai_server import OpenAIServer, Raw, choice, completion, serving

QUESTION = "What is 2 + 3?"


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with serving(lambda _: completion(choice("\\boxed{5}"))) as made:
        yield made


def test_a_runnable_asks_a_server_for_chains(server: OpenAIServer) -> None:
    tree = EntropyTreeRunnable(model=server.url, leaves=3)
    result = tree.invoke(QUESTION)
    assert result.answer == "5"
    assert result.decoder["name"] == "MultiChain"
    assert result.usage.leaves == 3
    again = EntropyTreeRunnable.model_validate(tree.model_dump())
    assert again.invoke(QUESTION, temperature=0.5).decoder["temperature"] == 0.5


async def test_streams_end_with_the_result(server: OpenAIServer) -> None:
    tree = EntropyTreeRunnable(model=server.url, leaves=3)
    *snapshots, last = [chunk async for chunk in tree.astream(QUESTION)]
    assert snapshots
    assert all(isinstance(one, TreeSnapshot) for one in snapshots)
    assert isinstance(last, AskResult)
    assert len(await tree.abatch([QUESTION] * 3)) == 3


async def test_a_cancelled_task_closes_the_connection() -> None:
    with serving(lambda _: Raw(before=30)) as server:
        asking = asyncio.ensure_future(EntropyTreeRunnable(model=server.url).ainvoke(QUESTION))
        while not server.requests:
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await asyncio.to_thread(server.closed.wait, 5)


def test_a_gate_over_a_server(server: OpenAIServer) -> None:
    tree = EntropyTreeRunnable(model=server.url, leaves=3)
    assert (tree | GateRunnable(gate=Gate(GatePolicy(answer_at=0.9)))).invoke(
        QUESTION
    ).action == "abstain"


def test_what_is_for_models_in_this_process_is_refused(server: OpenAIServer) -> None:
    with pytest.raises(SettingsError, match="threads"):
        EntropyTreeRunnable(model=server.url, load_options={"threads": 2}).invoke(QUESTION)
    with pytest.raises(UnsupportedModelError, match="MultiChain"):
        EntropyTreeRunnable(model=server.url, decoder={"name": "EntropyTree"}).invoke(QUESTION)
