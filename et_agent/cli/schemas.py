"""`et-agent schema`: the JSON schema of what each command prints with `--json`."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer
from pydantic import JsonValue
from typing_extensions import TypedDict

from et_agent.cli.guard import command

__all__ = ["SCHEMAS", "schema"]


class Settings(TypedDict):
    """`config list`: settings by name, and environment variables with what they hold."""

    settings: dict[str, dict[str, JsonValue]]
    variables: dict[str, str | None]


class ListedRun(TypedDict):
    """A run of `eval list`. `wanted` is 0 where it is not known, `accuracy` null without a question."""

    name: str
    questions: int
    wanted: int
    accuracy: float | None
    created: str
    settings: dict[str, JsonValue]


class KnownModel(TypedDict):
    """A model of `models list`; `size` in bytes."""

    name: str
    title: str
    size: int
    licence: str
    instruct: bool
    sha256: str
    path: str
    cached: bool
    default: bool
    tried: bool
    sources: list[str]


class DoctorCheck(TypedDict):
    """A line of `doctor`; `status` is ok, warn or fail, `fix` empty when all is well."""

    name: str
    status: str
    detail: str
    fix: str


class Findings(TypedDict):
    """`doctor`: `ok` if no check failed."""

    ok: bool
    checks: list[DoctorCheck]


class MeasuredRate(TypedDict):
    """A setting that `tune` measured."""

    threads: int
    width: int
    tokens_per_second: float


class Tuned(TypedDict):
    """`tune`: what it chose, and all that it measured."""

    threads: int
    width: int
    rates: list[MeasuredRate]


def _result() -> Any:
    from et_agent.results import AskResult

    return AskResult


def _score() -> Any:
    from et_agent.scores import ScoreReport

    return ScoreReport


def _decision() -> Any:
    from et_agent.gate import Decision

    return Decision


_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS: Final[Mapping[str, Callable[[], Any]]] = MappingProxyType(
    {
        "ask": _result,
        "chat": _result,
        "score": _score,
        "gate ask": _decision,
        "config list": lambda: Settings,
        "config env": lambda: dict[str, str | None],
        "doctor": lambda: Findings,
        "eval list": lambda: list[ListedRun],
        "models list": lambda: list[KnownModel],
        "tune": lambda: Tuned,
    }
)
"""Types of what commands print with `--json`, by command; loaded when they are asked for."""


@command
def schema(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="A command, such as ask or gate ask."),
    ] = None,
) -> int:
    """Print the JSON schema of what a command prints with --json; without a command, list these."""
    from pydantic import TypeAdapter

    from et_agent.cli.terminal import write_line
    from et_agent.errors import SettingsError

    if not names:
        for name in SCHEMAS:
            write_line(name)
        return 0
    name = " ".join(names)
    if name not in SCHEMAS:
        raise SettingsError(f"{name} has no schema: use one of {', '.join(SCHEMAS)}")
    found = TypeAdapter(SCHEMAS[name]()).json_schema(mode="serialization")
    write_line(
        json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **found}, indent=2)
    )
    return 0
