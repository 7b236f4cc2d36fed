"""The command line over a server."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from et_agent import load_model
from et_agent.cli.display import Board
from et_agent.errors import SettingsError
from tests.cli.conftest import Run
from tests.engines.openai_server import OpenAIServer, Raw, choice, completion, serving


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with serving(lambda _: completion(choice("\\boxed{5}"))) as made:
        yield made


def test_ask_takes_the_address_of_a_server(run: Run, server: OpenAIServer) -> None:
    done = run("ask", "--model", f"{server.url}#tiny", "--leaves", "3", "--json", "2 + 3?")
    assert done.code == 0
    result = json.loads(done.out)
    assert result["answer"] == "5"
    assert result["decoder"]["name"] == "MultiChain"
    assert server.url not in done.out  # where a model is served is nobody else's concern
    assert "127.0.0.1" not in done.out


def test_the_tree_is_drawn_without_entropies(run: Run, server: OpenAIServer) -> None:
    done = run("ask", "--model", server.url, "--leaves", "3", "--tree", "2 + 3?")
    assert done.code == 0
    assert "nan" not in done.out.lower()
    assert "3 leaves, independent chains" in done.out


@pytest.mark.parametrize("command", [("ask",), ("gate", "ask")])
def test_the_display_names_the_decoder_of_servers(
    run: Run, server: OpenAIServer, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = []

    class NotedBoard(Board):
        def __init__(self, questions: Sequence[str], **named: Any) -> None:
            titles.append(named["decoder"])
            super().__init__(questions, **named)

    monkeypatch.setattr("et_agent.cli.display.Board", NotedBoard)
    monkeypatch.setattr("et_agent.cli.answering.Board", NotedBoard)
    run(*command, "--model", server.url, "--leaves", "3", "2 + 3?")
    run(*command, "--model", server.url, "--decoder", "greedy", "2 + 3?")
    assert titles == ["multi-chain", "greedy"]


def test_a_gate_and_a_pilot(run: Run, server: OpenAIServer, tmp_path: object) -> None:
    assert run("gate", "ask", "--model", server.url, "2 + 3?").code == 3
    questions = f"{tmp_path}/questions.txt"
    with open(questions, "w") as file:  # noqa: PTH123
        file.write("2 + 3?\n")
    done = run("pilot", "--model", server.url, "--questions", questions)
    assert done.code == 2
    assert "needs logits" in done.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--threads", "2"], "--threads"),
        (["--context", "4096"], "--context"),
        (["--dequantize"], "--dequantize"),
        (["--decoder", "entropy-tree"], "use MultiChain or Greedy"),
        (["--chat", "plain"], "use --chat model"),
        (["--thinking", "off"], "template_options"),
    ],
)
def test_what_servers_cannot_do_is_told(
    run: Run, server: OpenAIServer, options: list[str], told: str
) -> None:
    done = run("ask", "--model", server.url, *options, "2 + 3?")
    assert done.code == 2
    assert told in done.err


def test_doctor_asks_the_server_and_tune_refuses_it(run: Run, server: OpenAIServer) -> None:
    found = json.loads(run("doctor", "--model", f"{server.url}#tiny", "--json").out)
    (model,) = [one for one in found["checks"] if one["name"] == "model"]
    assert (model["status"], model["detail"]) == ("ok", "tiny, behind a server")
    done = run("tune", "--model", server.url)
    assert done.code == 2
    assert "tuned in this process" in done.err


def test_evaluations_ask_servers_too(run: Run, server: OpenAIServer, tmp_path: Path) -> None:
    data = tmp_path / "own.jsonl"
    data.write_text('{"question": "2 + 3?", "answer": "5"}\n')
    store = str(tmp_path / "runs.db")
    common = ("eval", "run", "--data", str(data), "--store", store, "--model", server.url)
    done = run(*common, "--decoder", "multi-chain", "--leaves", "2")
    assert done.code == 0
    assert ": 1 question\n" in done.out
    assert "use MultiChain or Greedy" in run(*common).err


def test_a_server_has_no_file(run: Run, server: OpenAIServer) -> None:
    for command in ("pull", "info"):
        done = run("models", command, server.url)
        assert done.code == 2
        assert "is a server's address, which has no model file" in done.err


def test_errors_of_a_server_are_one_line(run: Run) -> None:
    with serving(lambda _: Raw(400, b'{"error": {"message": "no\\nway"}}')) as server:
        done = run("ask", "--model", server.url, "2 + 3?")
    assert done.code == 2
    assert done.err.strip() == "error: the server refuses the request (400: no way)"


def test_load_model_names_the_class_for_servers() -> None:
    with pytest.raises(SettingsError, match="OpenAICompatibleModel"):
        load_model("http://localhost:8080/v1")
