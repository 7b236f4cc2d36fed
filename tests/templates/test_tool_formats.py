"""Tool formats read off the chat templates of real models: written, forced by a grammar, read again."""

import re
from functools import cache
from typing import Any

import pytest

from et_agent.asking.calling import CallForm
from et_agent.asking.spoken import as_generated, spoken
from et_agent.errors import UnsupportedModelError
from et_agent.templates.chat import ChatTemplate
from et_agent.templates.messages import FunctionCall, Tool
from et_agent.templates.tool_format import ToolFormat
from tests.llama_cpp_source import SKIPPED, chat_templates
from tests.templates.byte_model import ByteModel

TEMPLATES = chat_templates()
pytestmark = pytest.mark.skipif(not TEMPLATES, reason=SKIPPED)
WITHOUT_TOOLS = {
    "HuggingFaceTB-SmolLM3-3B",  # shortened there: it takes results and shows neither tools nor calls
    "google-gemma-2-2b-it",
    "llama-cpp-rwkv-world",
    "microsoft-Phi-3.5-mini-instruct",
}
ENDS: tuple[str, ...] = (
    *(
        "<|call|>",
        "<|calls|>",
        "<|END_OF_TURN_TOKEN|>",
        "<|eom_id|>",
        "<|eot_id|>",
        "<|eom|>",
        "</s>",
    ),
    *("<|end_of_msg|>", "<SPECIAL_12>", "<|tool_response>"),
    *("<｜end▁of▁sentence｜>", "<｜hy_eos:opensource｜>"),  # noqa: RUF001
)
TAG = re.compile(r"<[^<>\s]*>|\[[A-Z_]+\]|\]<\]minimax\[>\[")


def tool(name: str, properties: dict[str, Any], required: list[str]) -> Tool:
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


WEATHER = tool(
    "get_weather",
    {
        "city": {"type": "string", "description": "City."},
        "days": {"type": "integer"},
        "metric": {"type": "boolean"},
        "share": {"type": "number"},
        "unit": {"enum": ["C", "F"]},
    },
    ["city"],
)
CLOCK = tool("get_time", {}, [])
TOOLS = (WEATHER, CLOCK)
CALLS: tuple[FunctionCall, ...] = (
    {"name": "get_weather", "arguments": {"city": 'São Tomé, {1} "x"', "days": 3}},
    {
        "name": "get_weather",
        "arguments": {"city": "Oslo", "metric": True, "share": 0.5, "unit": "C"},
    },
    {"name": "get_time", "arguments": {}},
)


@cache
def tool_format(name: str) -> ToolFormat:
    return ChatTemplate(TEMPLATES[name], "<s>", "</s>").tool_format()


def made(name: str, *, controls: bool, free: bool) -> tuple[ByteModel, CallForm]:
    """A template's form of calls, its tags being control tokens or not."""
    source = TEMPLATES[name]
    tags = [one for one in TAG.findall(source) if "{" not in one] if controls else []
    model = ByteModel([*tags, *ENDS] if controls else ENDS, ENDS)
    form = as_generated(model, tool_format(name))  # type: ignore[arg-type]
    return model, CallForm(form, TOOLS, free=free)


@pytest.mark.parametrize("name", sorted(set(TEMPLATES) - WITHOUT_TOOLS))
@pytest.mark.parametrize(
    ("controls", "free"),
    [(True, True), (True, False), (False, False)],
    ids=["control-free", "control-forced", "text-forced"],
)
def test_calls_are_written_forced_and_read(name: str, *, controls: bool, free: bool) -> None:
    model, form = made(name, controls=controls, free=free)
    constraint = form.constraint(model)  # type: ignore[arg-type]
    several = [CALLS] if form.format.between is not None else []
    for calls in (CALLS[:1], CALLS[1:2], CALLS[2:], *several):
        text = str(form.format.written(calls))
        tokens = model.template_tokens(text)
        for at in range(len(tokens)):
            allowed = constraint.allowed(tokens[:at])
            assert allowed is None or allowed[tokens[at]], text[:at]
        end = constraint.allowed(tokens)
        assert end is not None  # the call was noticed
        assert end[256]
        shown = spoken(model, form.format)  # type: ignore[arg-type]
        said = b"".join(map(shown.token_bytes, tokens)).decode()
        assert said.strip() == text.strip()
        assert form.begins(said)
        assert [(one.name, one.arguments) for one in form.calls(said)] == [
            (one["name"], one["arguments"]) for one in calls
        ]
        assert form.before(said) == ""
        # Behind a thought, or a header, spaces before an answer are none of it.
        assert form.calls(said.lstrip()) == form.calls(said)


@pytest.mark.parametrize("name", sorted(WITHOUT_TOOLS & set(TEMPLATES)))
def test_templates_without_tools_say_so(name: str) -> None:
    with pytest.raises(UnsupportedModelError, match="knows no tools"):
        ChatTemplate(TEMPLATES[name], "<s>", "</s>").tool_format()
