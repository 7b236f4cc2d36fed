"""Thoughts before calls, schemas and stop sequences: real chat templates on a tiny model.

Its vocabulary has the templates' tags as control tokens. It has random weights, so that no thought ends
by itself: each is closed by force, and what follows is held by the grammar alone.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from et_agent import AskResult, MultiChain, ask
from et_agent.engines.llama_cpp.model import LlamaCppModel
from tests.llama_cpp_source import SKIPPED, chat_templates
from tests.tiny_models import TOOL, tiny_model

TEMPLATES = chat_templates()
pytestmark = [pytest.mark.model, pytest.mark.skipif(not TEMPLATES, reason=SKIPPED)]

LIMIT = 6
TAG = re.compile(r"<[^<>\s{}]*>|\[/?[A-Z_]+\]")
NAMES = (
    "openai-gpt-oss-120b",
    "upstage-Solar-Open-100B",
    "Kimi-K3",
    "mistralai-Ministral-3-14B-Reasoning-2512",
    "google-gemma-4-31B-it",
    "Qwen-Qwen3-0.6B",
)
SCHEMA = TOOL["function"]["parameters"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCppModel]:
    controls = sorted({tag for name in NAMES for tag in TAG.findall(TEMPLATES[name])})
    path = tiny_model(tmp_path_factory.mktemp("tiny"), "llama", controls=controls)
    with LlamaCppModel(path, context=8192, max_sequences=4, repack=False) as model:
        yield model


@pytest.fixture(params=NAMES)
def thinker(
    request: pytest.FixtureRequest, tiny: LlamaCppModel, monkeypatch: pytest.MonkeyPatch
) -> LlamaCppModel:
    monkeypatch.setattr(tiny._tokenizer, "_template_text", TEMPLATES[request.param])
    return tiny


def asked(model: LlamaCppModel, max_tokens: int = 200, **options: Any) -> AskResult:
    form = model.reasoning_format()
    assert form is not None
    thinking: Any = "on" if form.on else "auto"
    result = ask(
        model,
        "How many?",
        decoder=MultiChain(leaves=2, max_tokens=max_tokens),
        calibrator=None,
        system_prompt="",
        thinking=thinking,
        max_thinking_tokens=LIMIT,
        **options,
    )
    assert isinstance(result, AskResult)
    assert result.tree is not None
    for leaf in result.tree.leaves:
        assert form.closing not in leaf.text + (leaf.reasoning or "")
    return result


def test_a_forced_call_follows_the_thought(thinker: LlamaCppModel) -> None:
    result = asked(thinker, tools=[TOOL], tool_choice="any", parallel_tool_calls=False)
    assert result.tree is not None
    for leaf in result.tree.leaves:
        (call,) = leaf.tool_calls
        assert call.name == "add"
        assert call.arguments["a"] in range(10)
        assert leaf.answer is not None


def test_a_schema_holds_behind_the_thought(thinker: LlamaCppModel) -> None:
    result = asked(thinker, schema=SCHEMA)
    assert result.tree is not None
    for leaf in result.tree.leaves:
        assert json.loads(leaf.text)["a"] in range(10)
        assert leaf.answer is not None


def test_stop_sequences_end_answers_alone(thinker: LlamaCppModel) -> None:
    every = [chr(code) for code in range(33, 127)][:16]
    result = asked(thinker, 400, stop=every, kind="text")
    assert result.tree is not None
    for leaf in result.tree.leaves:
        assert not set(every) & set(leaf.text)
        if leaf.reasoning:
            assert leaf.reasoning_tokens > LIMIT


def test_what_max_tokens_cuts_off_is_no_answer(thinker: LlamaCppModel) -> None:
    for options in ({"tools": [TOOL], "tool_choice": "any"}, {"schema": SCHEMA}):
        result = asked(thinker, 3, **options)
        assert result.answer is None
        assert result.tree is not None
        for leaf in result.tree.leaves:
            assert (leaf.answer, leaf.tool_calls, leaf.finish) == (None, (), "length")
