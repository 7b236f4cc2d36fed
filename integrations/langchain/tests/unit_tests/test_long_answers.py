"""Long answers in messages, claim by claim."""

from collections.abc import Mapping

import pytest
from langchain_core.load import dumps, loads
from langchain_core.runnables import RunnableLambda
from langchain_et_agent import ChatEntropyTree

from et_agent import (
    EntropyTree,
    EntropyTreeRunnable,
    GateRunnable,
    Greedy,
    MultiChain,
    ScriptedModel,
    ask,
)
from et_agent.asking.prompting import LONG_DECODER
from et_agent.gate import GatePolicy

from .support import merged, result_of

CHAINS = MultiChain(leaves=6, temperature=1)
SHOWN = "Cats have four legs. Cats can bark."


def script(prompt: str) -> Mapping[str, float]:
    if "Judging by this text" in prompt or "several statements" in prompt:
        told = 0.95 if prompt.endswith("four legs.\n") else 0.1
        return {"True": told, "False": 1 - told}
    return {SHOWN: 0.8, "Cats have four legs. They hunt mice.": 0.2}


async def test_the_claims_are_in_the_metadata() -> None:
    with ScriptedModel.from_texts(script) as model:
        chat = ChatEntropyTree(engine=model, leaves=6, kind="long")
        ways = (
            chat.invoke("What are cats?"),
            await chat.ainvoke("What are cats?"),
            merged(list(chat.stream("What are cats?"))),
        )
    for message in ways:
        claims = message.response_metadata["et_agent"]["claims"]
        assert message.content == SHOWN
        assert [claim["text"] for claim in claims] == ["Cats have four legs.", "Cats can bark."]
        assert claims[0]["confidence"] > claims[1]["confidence"]
        result = result_of(message)
        assert result.confidence is not None
        assert len(result.claims) == 2


def test_a_leaf_that_was_drawn_has_no_claims() -> None:
    with ScriptedModel.from_texts({SHOWN: 0.5, "Dogs do bark.": 0.5}) as model:
        chats = [
            ChatEntropyTree(engine=model, decoder=CHAINS, kind="long", choose="sample", seed=seed)
            for seed in range(12)
        ]
        results = [result_of(chat.invoke("What are cats?")) for chat in chats]
    assert any(result.confidence is None and not result.claims for result in results)


def test_a_chain_of_tree_and_gate_drops_doubtful_claims() -> None:
    with ScriptedModel.from_texts(script) as model:
        tree = EntropyTreeRunnable(model=model, kind="long", decoder=CHAINS)
        between = tree.invoke("What are cats?").confidence
        assert between is not None
        policy = GatePolicy(answer_at=between, claims="drop", cautious=False)
        chain = tree | GateRunnable(gate=policy, answer=RunnableLambda(lambda one: one.answer))
        assert chain.invoke("What are cats?") == "Cats have four legs."


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_the_decoder_is_that_of_ask() -> None:
    with ScriptedModel.from_texts(script) as model:
        asked = ask(model, "What are cats?", kind="long").decoder
        chat = ChatEntropyTree(engine=model, kind="long")
        again = loads(
            dumps(chat),
            allowed_objects=[ChatEntropyTree],
            valid_namespaces=["langchain_et_agent"],
        )
        again.engine = model
        for one in (chat, again, ChatEntropyTree(engine=model)):
            assert result_of(one.invoke("What are cats?", kind="long")).decoder == asked
        tree = EntropyTreeRunnable(model=model, kind="long")
        assert tree.invoke("What are cats?").decoder == asked
    assert chat.decoder_for({}) == LONG_DECODER
    assert chat.decoder_for({"leaves": 4}) == LONG_DECODER.model_copy(update={"leaves": 4})
    assert tree.model_copy(update={"leaves": 4}).decoder_settings() == chat.decoder_for(
        {"leaves": 4}
    )
    assert chat.decoder_for({"temperature": 0}) == Greedy()
    assert chat.decoder_for({"kind": "auto"}) == EntropyTree()
    # Calls and JSON are voted on.
    assert chat.decoder_for({"response_format": {"type": "json_object"}}) == EntropyTree()
