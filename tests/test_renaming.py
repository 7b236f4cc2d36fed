"""Old spellings work for a while; each says what to use instead."""

import importlib

import pytest

from et_agent import MultiChain, ScriptedModel, ask, submit
from et_agent.results import AskResult, Usage

OLD = [
    ("et_agent.decoding", "RunRequest", "RunInputs"),
    ("et_agent.decoding", "Ticket", "Request"),
    ("et_agent.decoding.base", "RunRequest", "RunInputs"),
    ("et_agent.decoding.scheduler", "Ticket", "Request"),
]


@pytest.mark.parametrize(("module", "old", "new"), OLD)
def test_renamed_classes(module: str, old: str, new: str) -> None:
    home = importlib.import_module(module)
    with pytest.warns(
        DeprecationWarning, match=f"{module}.{old} is deprecated and will be removed: use {new}"
    ):
        assert getattr(home, old) is getattr(home, new)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(home, "nothing")  # noqa: B009


def test_a_pending_answers_ticket() -> None:
    with ScriptedModel.from_texts({"The answer is 4.": 1.0}) as model:
        pending = submit(model, "What is 2 + 2?", decoder=MultiChain(leaves=2))
        with pytest.warns(
            DeprecationWarning,
            match=r"PendingAnswer\.ticket is deprecated and will be removed: use request",
        ):
            assert pending.ticket is pending.request
        pending.result(20)


def test_redone_tokens_are_read_as_recomputed_ones() -> None:
    with ScriptedModel.from_texts({"The answer is 4.": 1.0}) as model:
        usage = ask(model, "What is 2 + 2?", decoder=MultiChain(leaves=2)).usage
    data = usage.model_dump()
    data["tokens_redone"] = data.pop("tokens_recomputed") + 7
    old = Usage.model_validate(data)
    assert old.tokens_recomputed == 7
    with pytest.warns(
        DeprecationWarning,
        match=r"Usage\.tokens_redone is deprecated and will be removed: use tokens_recomputed",
    ):
        assert old.tokens_redone == 7


def test_the_share_of_a_node_is_read_as_that_of_its_branch() -> None:
    with ScriptedModel.from_texts({"The answer is 4.": 0.5, "It is 5.": 0.5}) as model:
        result = ask(model, "What is 2 + 2?", decoder=MultiChain(leaves=4), seed=1)
    data = result.model_dump(mode="json")
    for node in data["tree"]["nodes"]:
        assert "share" not in node
        node["share"] = node.pop("branch_share")
    old = AskResult.model_validate(data)
    assert old == result
    assert old.tree is not None
    with pytest.warns(
        DeprecationWarning,
        match=r"Node\.share is deprecated and will be removed: use branch_share",
    ):
        assert old.tree.nodes[-1].share == old.tree.nodes[-1].branch_share
