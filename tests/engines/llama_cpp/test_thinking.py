"""Thoughts of the small real model, with a chat template that has its model think."""

import json
from typing import TYPE_CHECKING, Unpack

import pytest

from et_agent import EntropyTree, MultiChain, ask
from et_agent.asking.options import AskKeywords, AskOptions
from et_agent.decoding.thinking import Thoughts, thought_ending
from et_agent.results import AskResult
from et_agent.templates.messages import Message
from tests.templates.thinking import CASES

if TYPE_CHECKING:
    from et_agent.engines.llama_cpp.model import LlamaCppModel

pytestmark = pytest.mark.model

LIMIT = 24
QUESTION = "How many legs have 3 cats?"
SCHEMA = {
    "type": "object",
    "properties": {"legs": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["legs"],
    "additionalProperties": False,
}


@pytest.fixture(params=["think, opened by the prompt", "think, opened by the model"])
def thinker(
    request: pytest.FixtureRequest, small_model: "LlamaCppModel", monkeypatch: pytest.MonkeyPatch
) -> "LlamaCppModel":
    """The small model, whose own turns have the same marks."""
    monkeypatch.setattr(small_model._tokenizer, "_template_text", CASES[request.param].source)
    return small_model


def asked(model: "LlamaCppModel", **options: Unpack[AskKeywords]) -> AskResult:
    decoder = MultiChain(leaves=4, max_tokens=32)
    asking = AskOptions(decoder=decoder, max_thinking_tokens=LIMIT, calibrator=None)
    return ask(model, QUESTION, asking, **options)


def test_a_prompt_opens_and_closes_a_thought(thinker: "LlamaCppModel") -> None:
    form = thinker.reasoning_format()
    assert form is not None
    messages: list[Message] = [{"role": "user", "content": "Is <think> a tag? </think>"}]
    states = {}
    for name, options in (("auto", None), ("off", form.off)):
        prompt = thinker.chat_tokens(messages, (), options)
        states[name] = Thoughts(thinker, form, prompt).state
        closed = [*prompt, *thought_ending(thinker, prompt)]
        assert Thoughts(thinker, form, closed).state == "closed"
    assert states == {"auto": form.prompt, "off": "closed"}


def test_a_thought_is_closed_at_its_limit_and_an_answer_follows(thinker: "LlamaCppModel") -> None:
    result = asked(thinker, kind="number")
    assert result.tree is not None
    form = thinker.reasoning_format()
    assert form is not None
    for leaf in result.tree.leaves:
        if form.prompt == "free" and leaf.reasoning is None:
            continue  # it said something without a thought
        assert leaf.reasoning is not None
        assert "</think>" not in leaf.reasoning + leaf.text
        ending = len(thinker.template_tokens("\n</think>"))
        assert ending < leaf.reasoning_tokens <= LIMIT + ending + 3
        assert leaf.tokens <= leaf.reasoning_tokens + 32
    assert any(leaf.reasoning_tokens > LIMIT for leaf in result.tree.leaves) or (
        form.prompt == "free"
    )
    assert result.usage.reasoning_tokens == sum(
        leaf.reasoning_tokens for leaf in result.tree.leaves
    )


def test_json_begins_after_the_thought(thinker: "LlamaCppModel") -> None:
    result = asked(thinker, schema=SCHEMA)
    assert result.tree is not None
    for leaf in result.tree.leaves:
        assert leaf.answer is not None
        assert list(json.loads(leaf.text)) == ["legs"]
    assert result.fields["legs"].share > 0
    form = thinker.reasoning_format()
    assert form is not None
    if form.prompt == "open":
        assert all(leaf.reasoning for leaf in result.tree.leaves)


def test_a_tree_forks_in_thoughts_and_votes_with_answers(thinker: "LlamaCppModel") -> None:
    result = ask(
        thinker,
        QUESTION,
        decoder=EntropyTree(leaves=6, max_tokens=24),
        max_thinking_tokens=LIMIT,
        kind="number",
    )
    assert result.tree is not None
    assert sum(leaf.weight for leaf in result.tree.leaves) == pytest.approx(1)
    assert sum(one.share for one in result.distribution) == pytest.approx(1)
    for node in result.tree.nodes:
        assert len(node.tokens) == len(node.entropies) == len(node.log_probs)


def test_without_the_template_the_model_has_no_thoughts(small_model: "LlamaCppModel") -> None:
    assert small_model.reasoning_format() is None
    assert small_model.template_tokens("<|im_end|>") != small_model.tokenize("<|im_end|>")
