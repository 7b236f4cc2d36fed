"""All ways of asking agree for the same seed."""

import pytest

from et_agent import EntropyTree, MultiChain, ScriptedModel
from et_agent.decoding.base import DecoderSettings
from et_agent.results import AskResult
from et_agent.runnables import EntropyTreeRunnable
from tests.runnables.conftest import QUESTION, timeless

OTHERS = ["How many legs has a dog?", "How many legs has a hen?"]


@pytest.mark.parametrize(
    "decoder", [EntropyTree(leaves=8, roots=3), MultiChain(leaves=5)], ids=["tree", "chains"]
)
@pytest.mark.parametrize("seed", [0, 7])
async def test_all_ways_agree(model: ScriptedModel, decoder: DecoderSettings, seed: int) -> None:
    tree = EntropyTreeRunnable(model=model, decoder=decoder, seed=seed, include_tree=True)
    expected = timeless(tree.invoke(QUESTION))
    ended = [
        event["data"]["output"]
        async for event in tree.astream_events(QUESTION, version="v2")
        if event["event"] == "on_chain_end"
    ]
    found: dict[str, list[AskResult]] = {
        "ainvoke": [await tree.ainvoke(QUESTION)],
        "batch": tree.batch([QUESTION, *OTHERS])[:1],
        "narrow batch": tree.batch([QUESTION, *OTHERS], {"max_concurrency": 1})[:1],
        "abatch": (await tree.abatch([*OTHERS, QUESTION]))[-1:],
        "stream": list(tree.stream(QUESTION))[-1:],
        "astream": [chunk async for chunk in tree.astream(QUESTION)][-1:],
        "astream_events": ended,
        "transform": list(tree.transform(iter([QUESTION])))[-1:],
    }
    for way, results in found.items():
        assert list(map(timeless, results)) == [expected], way


def test_another_seed_would_not_agree(model: ScriptedModel) -> None:
    tree = EntropyTreeRunnable(model=model, decoder=MultiChain(leaves=5), include_tree=True)
    found = [timeless(tree.invoke(QUESTION, seed=seed)) for seed in (0, 7)]
    assert found[0]["tree"] != found[1]["tree"]


@pytest.mark.model
async def test_all_ways_agree_on_a_real_model(small_model_path) -> None:  # type: ignore[no-untyped-def]
    tree = EntropyTreeRunnable(
        model=str(small_model_path),
        load_options={"context": 2048, "threads": 1},
        leaves=3,
        max_tokens=12,
        kind="number",
    )
    question = "What is 2 + 3?"
    invoked = tree.invoke(question)
    assert invoked.usage.tokens_decoded > 3
    ways = [
        await tree.ainvoke(question),
        tree.batch([question])[0],
        [chunk async for chunk in tree.astream(question)][-1],
    ]
    # Not compared bit for bit: a batch of another shape rounds differently.
    for found in ways:
        assert (found.answer, found.usage.leaves) == (invoked.answer, invoked.usage.leaves)
        assert found.share == pytest.approx(invoked.share, abs=1e-3)
