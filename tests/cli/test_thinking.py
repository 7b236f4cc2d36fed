"""`et-agent ask` of models that think."""

import json
from typing import Any

import pytest
from typer.main import get_command

from et_agent.asking.options import ThinkingKeywords
from et_agent.cli.main import app
from et_agent.templates.reasoning import ReasoningFormat
from tests.cli.conftest import Install, Run

FORM = ReasoningFormat(
    "<think>", "</think>", on={"enable_thinking": True}, off={"enable_thinking": False}
)
TEXTS = {
    r"<think>\boxed{5}?</think>So \boxed{4}": 0.6,
    "<think>\n\n</think>\n\nSo \\boxed{6}": 0.3,
    "<think>\\\n</think>\n\n8": 0.1,
}


@pytest.mark.parametrize(
    ("options", "answer", "reasoning"),
    [
        ([], "4", r"\boxed{5}?"),
        (["--thinking", "on"], "4", r"\boxed{5}?"),
        (["--thinking", "off"], "6", None),
        (["--template-option", "enable_thinking=false"], "6", None),
        (["--max-thinking-tokens", "1"], "8", "\\"),
    ],
)
def test_options_reach_the_template(
    run: Run, install: Install, options: list[str], answer: str, reasoning: str | None
) -> None:
    install(TEXTS, reasoning=FORM)
    shown = run("ask", "How many?", "--decoder", "greedy", "--json", *options)
    assert shown.code == 0
    found = json.loads(shown.out)
    assert (found["answer"], found["reasoning"]) == (answer, reasoning)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--thinking", "on"], "choose a model that thinks"),
        (["--max-thinking-tokens", "9"], "leave it out"),
        (["--template-option", "enable_thinking"], "use NAME=VALUE"),
        (["--template-option", "=1"], "use NAME=VALUE"),
        (["--template-option", "effort=low"], "does not look at"),
        (["--thinking", "on", "--chat", "plain"], "use --chat model"),
    ],
)
def test_what_cannot_be_had_ends_with_one_message(
    run: Run, install: Install, options: list[str], says: str
) -> None:
    install({"7": 1.0})
    shown = run("ask", "How many?", *options)
    assert shown.code == 2
    assert says in " ".join(shown.err.split())
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    "path", [("ask",), ("gate", "ask"), ("eval", "run"), ("calibrate", "model")]
)
def test_every_command_that_asks_has_the_same_options(path: tuple[str, ...]) -> None:
    found: Any = get_command(app)
    for name in path:
        found = found.commands[name]
    own = {one.name: (one.opts, one.help) for one in found.params}
    wanted = {one.name: (one.opts, one.help) for one in get_command(app).commands["ask"].params}  # type: ignore[attr-defined]
    for name in ThinkingKeywords.__annotations__:
        assert own[name] == wanted[name]


@pytest.mark.parametrize(
    ("options", "answer"),
    [(["--thinking", "off"], "6"), (["--max-thinking-tokens", "1"], "8")],
)
def test_a_gate_asks_with_them(run: Run, install: Install, options: list[str], answer: str) -> None:
    install(TEXTS, reasoning=FORM)
    shown = run(
        "gate",
        "ask",
        "How many?",
        "--answer-at",
        "0",
        "--share",
        "--leaves",
        "4",
        "--json",
        *options,
    )
    assert json.loads(shown.out)["alternatives"][0]["answer"] == answer
