"""Runs a document's Python, with what the document says that it gives."""

import ast
import asyncio
import inspect
import types
from typing import Any, Final

MARK: Final = "  # > "
"""Says what a line gives; `ruff format`, which formats documents, puts a space behind every "#"."""


def run(code: str, names: dict[str, Any], name: str = "snippet") -> int:
    """Run a snippet; how many of its lines were held against what they are said to give."""
    held = 0
    for statement in ast.parse(code, name).body:
        last = code.splitlines()[statement.end_lineno - 1] if statement.end_lineno else ""
        _, says, expected = last.partition(MARK)
        if says:
            assert isinstance(statement, ast.Expr), f"{name}: {MARK.strip()} stands behind {last!r}"
            expression = compile(ast.Expression(statement.value), name, "eval")
            given = eval(expression, names)
            assert given == ast.literal_eval(expected), f"{name}: {last.strip()} gives {given!r}"
            held += 1
            continue
        module = ast.Module([statement], [])
        made = compile(module, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        body = types.FunctionType(made, names)()
        if inspect.iscoroutine(body):
            asyncio.run(body)
    return held
