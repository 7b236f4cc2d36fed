"""A chat template of its own for tools, which some files carry beside the plain one."""

from pathlib import Path
from typing import Any

import pytest

from et_agent import Greedy, ask
from et_agent.engines.llama_cpp.model import LlamaCppModel
from tests.tiny_models import TOOL, tiny_model

pytestmark = pytest.mark.model

WITH_TOOLS = (
    "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{% if m.tool_calls %}"
    "<call>{{ m.tool_calls[0].function.name }}({{ m.tool_calls[0].function.arguments | tojson }})"
    "</call>{% else %}T:{{ m.content }}{% endif %}{% endfor %}"
)
ASKED: Any = {"role": "user", "content": "How many?"}
CALL: Any = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "1", "function": {"name": "add", "arguments": {"a": 1}}}],
}


def test_it_is_used_where_there_are_tools(tmp_path: Path) -> None:
    path = tiny_model(tmp_path, "llama", tool_template=WITH_TOOLS)
    with LlamaCppModel(path, context=512, max_sequences=4, repack=False) as model:

        def text(messages: list[Any], tools: tuple[Any, ...] = ()) -> str:
            return b"".join(map(model.token_bytes, model.chat_tokens(messages, tools))).decode()

        assert text([ASKED]).startswith("user\nHow many?")
        assert text([ASKED], (TOOL,)).endswith("}]T:How many?")
        # A conversation with calls goes on in the same words.
        given: Any = {"role": "tool", "content": "2", "tool_call_id": "1"}
        assert text([ASKED, CALL, given]) == 'T:How many?<call>add({"a": 1})</call>T:2'
        assert model.tool_format().opening == "<call>"
        called: Any = {"tools": [TOOL], "tool_choice": "any", "parallel_tool_calls": False}
        result = ask(model, "How many?", decoder=Greedy(max_tokens=80), **called)
        (call,) = result.tool_calls
        assert (call.name, call.arguments["a"] in range(10)) == ("add", True)
