"""Every snippet of docs/langchain.md is run, on a scripted model; `# >` says what lines give."""

import ast
import asyncio
import inspect
import re
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import pytest

import et_agent
from et_agent import ScriptedModel
from et_agent.answers.choice import options_of
from et_agent.answers.kinds import DIRECT_INSTRUCTION
from et_agent.engines import loading
from et_agent.runnables import loading as shared
from et_agent.uncertainty.self_evaluation import ANSWERABLE

PAGE = Path(__file__).parents[1] / "docs" / "langchain.md"
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "  # > "  # `ruff format`, which formats the page, puts a space behind every "#"
ROW = re.compile(r"<tr><td>(.*?)</td><td>\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Row(NamedTuple):
    section: str
    wanted: str
    prelude: str
    snippet: str


def rows() -> list[Row]:
    found = []
    _, *parts = SECTION.split(PAGE.read_text(encoding="utf-8"))
    for section, text in zip(parts[::2], parts[1::2], strict=True):
        prelude = BLOCK.findall(text)[0]
        found += [Row(section, wanted, prelude, code) for wanted, code in ROW.findall(text)]
    return found


ROWS = rows()


def replies(prompt: str) -> Mapping[str, float]:
    """What the models of the page say."""
    if ANSWERABLE in prompt:
        return {"Yes": 0.8, "No": 0.2}
    if DIRECT_INSTRUCTION in prompt:
        return letters(prompt)
    asked = prompt.strip().rpartition("\n")[2]
    answers: Mapping[str, Mapping[str, float]] = {
        "repeat it word for word": {
            "How many miles is the race?": 0.5,
            "How many hours does the race take?": 0.5,
        },
        "paid 5": {"Done, the answer is 5.": 1.0},
        "paid 4": {"Done, the answer is 4.": 1.0},
        "the bill": {'{"amount": 12}': 1.0},
        "much was": {f'{{"amount": {amount}}}': 0.1 for amount in range(10)},
        "Pay 5": {'<tool_call>{"name": "pay", "arguments": {"amount": 5}}</tool_call>': 0.8}
        | {'<tool_call>{"name": "pay", "arguments": {"amount": 50}}</tool_call>': 0.2},
        "team should": {"\\boxed{A}": 0.9, "\\boxed{B}": 0.1},
        "urgent": {"\\boxed{A}": 1.0},
        "angry": {"\\boxed{B}": 1.0},
        "miles": {"The answer is 26.": 1.0},
        "hours": {"The answer is 4.": 1.0},
        "15 %": {"So it is \\boxed{36}": 0.75, "So it is \\boxed{360}": 0.25},
        "How long": {"The answer is 26.": 0.5, "The answer is 4.": 0.5},
        "led the men?": {"\\boxed{Rollo}": 1.0},
        "built the boat?": {"\\boxed{not in the passages}": 1.0},
        "Who won": {"\\boxed{Ida}": 0.4, "\\boxed{Brandt}": 0.3, "\\boxed{nobody}": 0.3},
    }
    for words, said in answers.items():
        if words in (asked if words in ("miles", "hours", "How long") else prompt):
            return said
    return {"I cannot tell": 1.0}  # a beginning that several prompts share


def letters(prompt: str) -> Mapping[str, float]:
    """The letter that stands before the right option, and another one."""
    options = options_of(prompt)
    right = ("billing", "yes", "Annoyed")
    sure = [one for one, text in options.items() if text.lower().startswith(right)]
    sure = sure or [one for one, text in options.items() if "Annoyed" in text]
    others = [one for one in options if one not in sure]
    return {sure[0]: 0.9, others[0]: 0.1} if sure and others else {"I cannot tell": 1.0}


@pytest.fixture
def _scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """`load_model` gives scripted models, by whatever name."""
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))
    made = []

    def load(name: str, **_: Any) -> ScriptedModel:
        sure = {"Ida Brandt": 1.0}
        strong = name == "qwen2.5-coder-1.5b"
        made.append(ScriptedModel.from_texts((lambda _: sure) if strong else replies))
        return made[-1]

    monkeypatch.setattr("langchain_et_agent._engines._HELD", {})
    monkeypatch.setattr(shared, "_SHARED", WeakValueDictionary())
    monkeypatch.setattr(et_agent, "load_model", load)
    monkeypatch.setattr(loading, "load_model", load)
    yield
    for model in made:
        model.close()


def run(code: str, names: dict[str, Any]) -> int:
    """Run a snippet; how many of its lines were held against what they are said to give."""
    held = 0
    for statement in ast.parse(code).body:
        last = code.splitlines()[statement.end_lineno - 1] if statement.end_lineno else ""
        _, says, expected = last.partition(MARK)
        if says:
            assert isinstance(statement, ast.Expr)
            expression = compile(ast.Expression(statement.value), PAGE.name, "eval")
            assert eval(expression, names) == ast.literal_eval(expected), ast.unparse(statement)
            held += 1
            continue
        module = ast.Module([statement], [])
        made = compile(module, PAGE.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        body = types.FunctionType(made, names)()
        if inspect.iscoroutine(body):
            asyncio.run(body)
    return held


@pytest.mark.usefixtures("_scripted")
@pytest.mark.parametrize("row", ROWS, ids=[f"{row.section}: {row.wanted}" for row in ROWS])
def test_the_snippet_does_what_the_page_says(row: Row) -> None:
    names: dict[str, Any] = {"__name__": "snippet"}
    run(row.prelude, names)
    assert run(row.snippet, names) == len(re.findall(r"#\s*> ", row.snippet))


def test_every_block_of_the_page_is_run() -> None:
    text = PAGE.read_text(encoding="utf-8")
    sections = {row.section for row in ROWS}
    assert sections == set(SECTION.findall(text))
    assert len(BLOCK.findall(text)) == len(ROWS) + len(sections)
    assert len(ROWS) >= 20
    assert sum(row.snippet.count(MARK) for row in ROWS) >= 30
    assert f"`{MARK.strip()}` says what a line gives" in text


def test_a_line_that_gives_something_else_fails() -> None:
    assert run("1 + 1  # > 2", {}) == 1
    with pytest.raises(AssertionError):
        run("1 + 1  # > 3", {})
