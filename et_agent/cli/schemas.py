"""`et-agent schema`: the JSON schema of what each command prints with `--json`."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer

from et_agent.cli.guard import command

__all__ = ["SCHEMAS", "schema"]


def _result() -> Any:
    from et_agent.results import AskResult

    return AskResult


def _score() -> Any:
    from et_agent.scores import ScoreReport

    return ScoreReport


def _decision() -> Any:
    from et_agent.gate import Decision

    return Decision


def _printed(name: str) -> Callable[[], Any]:
    def find() -> Any:
        from et_agent.cli import printed

        return getattr(printed, name)

    return find


def _rows_of(name: str) -> Callable[[], Any]:
    return lambda: list[_printed(name)()]  # type: ignore[misc]


_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS: Final[Mapping[str, Callable[[], Any]]] = MappingProxyType(
    {
        "ask": _result,
        "chat": _result,
        "score": _score,
        "score --file": _printed("ScoredRow"),
        "gate ask": _decision,
        "config list": _printed("Settings"),
        "config env": lambda: dict[str, str | None],
        "doctor": _printed("Findings"),
        "eval list": _rows_of("ListedRun"),
        "models list": _rows_of("KnownModel"),
        "models list --local": _printed("LocalFiles"),
        "models info": _printed("ModelInfo"),
        "tune": _printed("Tuned"),
    }
)
"""Types of what commands print with `--json`, by command and, where an option changes it, by that;
loaded when they are asked for. Of several results, one per line, the schema is that of a line."""


@command
def schema(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND", help="A command, such as `ask`, `gate ask` or `score --file`."
        ),
    ] = None,
) -> int:
    """Print the JSON schema of what a command prints with --json; without a command, list these."""
    from pydantic import TypeAdapter

    from et_agent.cli.terminal import visible, write_line
    from et_agent.errors import SettingsError

    if not names:
        for name in SCHEMAS:
            write_line(name)
        return 0
    name = " ".join(one for one in names if one != "--json")
    if name not in SCHEMAS:
        raise SettingsError(f"{visible(name)} has no schema: use one of {', '.join(SCHEMAS)}")
    found = TypeAdapter(SCHEMAS[name]()).json_schema(mode="serialization")
    write_line(json.dumps({"$schema": _DIALECT, **found}, indent=2))
    return 0
