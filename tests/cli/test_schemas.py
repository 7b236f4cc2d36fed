"""What each command prints with `--json` fits the schema that `et-agent schema` prints."""

import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.main import get_command

from et_agent.cli.main import app
from et_agent.cli.schemas import SCHEMAS
from et_agent.engines.llama_cpp import tuning
from et_agent.engines.scripted import ScriptedModel
from tests.cli.conftest import TEXTS, Install, Outcome, Run
from tests.weights.gguf_builder import write_gguf
from tests.weights.local.stores import pulled, put

QUESTION = "How many clips were sold?"
FEW = ("--temperature", "1", "--leaves", "4", "--decoder", "multi-chain")
PRICE = json.dumps(
    {"type": "object", "properties": {"price": {"type": "integer"}}, "required": ["price"]}
)


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that the commands below read, and models of other programs."""
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    for name in ("OLLAMA_MODELS", "LLAMA_CACHE", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    models = home / ".ollama" / "models"
    pulled(models, "registry.ollama.ai/library/tiny/latest")
    put(models / "manifests/registry.ollama.ai/library/bad/latest", "{")
    put(home / ".lmstudio/models/a/b/broken.gguf", b"GGUF")
    put(home / "price.json", PRICE)
    put(home / "data.jsonl", lines({"question": "What is 1 + 1?", "answer": "2"}))
    put(
        home / "answers.jsonl",
        lines(
            {"question": QUESTION, "answer": "72", "id": "a", "samples": ["72", "24"]},
            {"question": "x " * 20_000, "answer": "72"},
        ),
    )
    write_gguf(home / "tiny.gguf")
    monkeypatch.chdir(home)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is loaded or measured by `tune`."""
    rates = [tuning.Rate(1, 8, 20.5), tuning.Rate(2, 16, 31.0)]
    monkeypatch.setattr(tuning, "tune", lambda *_, **__: rates)
    model = ScriptedModel.from_texts(TEXTS)
    monkeypatch.setattr("et_agent.engines.loading.load_model", lambda *_, **__: closing(model))


PRINTED: Mapping[str, Sequence[tuple[str, ...]]] = {
    "ask": [
        ("ask", *FEW, "--explain", QUESTION),
        ("ask", *FEW, "--tree", "--alternatives", "2", QUESTION),
        ("ask", *FEW, "--kind", "long", QUESTION),
        ("ask", *FEW, "--schema", "price.json", QUESTION, "And then?"),
    ],
    "chat": [("chat", *FEW, "--no-save")],
    "score": [("score", *FEW, "--question", QUESTION, "--answer", "72")],
    "score --file": [("score", "--file", "answers.jsonl", "--leaves", "2")],
    "gate ask": [
        ("gate", "ask", *FEW, QUESTION),
        ("gate", "ask", *FEW, "--answer-at", "0.01", "--least-calibration", "general", QUESTION),
    ],
    "config list": [("config", "list")],
    "config env": [("config", "env")],
    "doctor": [("doctor",), ("doctor", "--model", "nosuch")],
    "eval list": [("eval", "list", "--store", "runs.sqlite")],
    "models list": [("models", "list")],
    "models list --local": [("models", "list", "--local")],
    "models info": [("models", "info", "tiny.gguf"), ("models", "info", "ollama:tiny")],
    "tune": [("tune", "--dry-run")],
}
"""Calls of each command, without `--json`."""
PER_LINE = {"chat", "score --file"}
"""Commands that print one document per line, whatever they are asked."""


def documents(printed: str, *, per_line: bool) -> list[Any]:
    if per_line or printed.count("\n{") > 1:
        return [json.loads(line) for line in printed.splitlines()]
    return [json.loads(printed)]


def printed(run: Run, name: str, arguments: tuple[str, ...]) -> Outcome:
    return run(*arguments, *(() if name == "score --file" else ("--json",)))


def closed(found: Any) -> Iterator[str]:
    """Objects of a schema that list their keys and yet take others."""
    if isinstance(found, dict):
        if found.get("properties") and found.get("additionalProperties") is not False:
            yield str(found.get("title"))
        for value in found.values():
            yield from closed(value)
    elif isinstance(found, list):
        for value in found:
            yield from closed(value)


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_printed_fits_its_schema(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    schema = json.loads(run("schema", *name.split()).out)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert list(closed(schema)) == []
    if name == "eval list":
        install()
        data = ("--data", "data.jsonl", "--decoder", "multi-chain", "--leaves", "2")
        assert run("eval", "run", *data, "--store", "runs.sqlite").code == 0
    for arguments in PRINTED[name]:
        install()
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{QUESTION}\nAnd now?\n"))
        out = printed(run, name, arguments).out
        several = name in PER_LINE or arguments[-1] == "And then?"
        found = documents(out, per_line=several)
        assert found
        for one in found:
            jsonschema.validate(one, schema)
        if not any(found):
            pytest.fail(f"{arguments} printed nothing to look at")


def test_only_files_of_the_catalog_have_licence_and_sources(run: Run) -> None:
    schema = json.loads(run("schema", "models", "info").out)
    assert set(schema["properties"]) - set(schema["required"]) == {"licence", "sources"}


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, one in getattr(command, "commands", {}).items():
        yield (*path, name), one
        yield from commands(one, (*path, name))


def test_every_command_with_json_has_a_schema() -> None:
    found = {
        " ".join(path)
        for path, one in commands(get_command(app))
        if any("--json" in option.opts for option in one.params)
    }
    assert found == {name.partition(" --")[0] for name in SCHEMAS}
    assert set(PRINTED) == set(SCHEMAS)


def test_schemas_are_listed_and_named_as_commands_are_called(run: Run) -> None:
    assert run("schema").out.splitlines() == list(SCHEMAS)
    assert run("schema", "models", "list", "--json").out == run("schema", "models", "list").out
    wrong = run("schema", "nosuch", "--local")
    assert (wrong.code, wrong.out) == (2, "")
    assert "nosuch --local has no schema: use one of ask, chat" in wrong.err
    assert "Usage" in run("schema", "--help").out
