"""`tool_choice`: ways to choose, tools by name, and tools that are called like a way."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from et_agent import AskResult, MultiChain, ScriptedModel, ask
from et_agent.asking.tool_choice import Chosen, chosen_tool
from et_agent.errors import SettingsError

WAYS = ["auto", "any", "required", "none"]
CHAINS = MultiChain(leaves=6, temperature=1)


def tool(name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


@pytest.mark.parametrize("way", WAYS)
def test_a_word_is_a_way_whatever_tools_are_called(way: str) -> None:
    assert chosen_tool(way, WAYS) == chosen_tool(way, []) == chosen_tool(way, ["add"])
    assert chosen_tool(way, WAYS).name is None


@pytest.mark.parametrize("name", [*WAYS, "add"])
def test_a_mapping_names_a_tool(name: str) -> None:
    found = chosen_tool(named(name), [*WAYS, "add"])
    assert found == Chosen("any", name)
    assert chosen_tool(found.choice, [*WAYS, "add"]) == found


@pytest.mark.parametrize(
    "choice", ["sub", "", named("sub"), {}, {"function": {}}, 3, None, ["any"]]
)
def test_anything_else_is_refused(choice: Any) -> None:
    with pytest.raises(SettingsError, match="use one of auto, any, none, add"):
        chosen_tool(choice, ["add"])


def script(names: list[str]) -> Mapping[str, float]:
    call = '<tool_call>\n{{"name": "{}", "arguments": {{"n":1}}}}\n</tool_call>'
    return {call.format(name): 1 / len(names) for name in names}


def called(result: AskResult) -> set[str]:
    assert result.tree is not None
    return {one.name for leaf in result.tree.leaves for one in leaf.tool_calls}


@pytest.mark.parametrize("name", WAYS)
def test_the_tool_that_is_named_is_called(name: str) -> None:
    tools = [tool(name), tool("add")]
    with ScriptedModel.from_texts(script([name, "add"])) as model:
        asked = partial(ask, model, "?", tools=tools, decoder=CHAINS)
        assert called(asked(tool_choice=named(name))) == {name}
        for way in ("any", "required"):
            assert called(asked(tool_choice=way)) == {name, "add"}
        assert not called(asked(tool_choice="none"))
