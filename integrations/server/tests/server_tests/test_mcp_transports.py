"""The protocol over HTTP, beside the other routes, and over standard input and output."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from et_agent import ScriptedModel
from et_agent.cli import main

from .conftest import Serve
from .support import QUESTION, TEXTS, Served, endless

MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])
KEY = "a-key-of-some-length"
USER = tempfile.mkdtemp(prefix="et-agent-tests-")  # no calibrators of the user, and none for them
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(sys.path),
    "XDG_DATA_HOME": USER,
}
COMMAND = ["-m", "et_agent.cli.main", "mcp"]
SMALL = ["--model", "smollm2-135m", "--leaves", "2", "--context", "1024", "--threads", "1"]
OPENING = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@asynccontextmanager
async def client_of(server: Served, mode: str, key: str | None = None) -> AsyncIterator[Client]:
    headers = None if key is None else {"Authorization": f"Bearer {key}"}
    async with (
        create_mcp_http_client(headers=headers) as http,
        Client(streamable_http_client(f"{server.url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


async def answer(client: Client, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool("ask_with_confidence", {"question": QUESTION, **arguments})
    assert not result.is_error, result.content
    data: dict[str, Any] = result.structured_content
    return data


@MODES
async def test_http_beside_the_other_routes(server: Served, mode: str) -> None:
    async with client_of(server, mode) as client:
        found = await answer(client, kind="number")
    assert found["answer"] == "4"
    # An id is an id, whichever interface it came by.
    body = {"id": found["id"], "right": True}
    assert (server.client.post("/v1/labels", json=body)).json()["id"] == found["id"]
    figures = server.client.get("/metrics").text
    assert re.search(
        r'et_agent_requests_total\{model="scripted",route="mcp ask_with_confidence",status="200"}',
        figures,
    )


@MODES
async def test_http_progress_and_cancelling(serve: Serve, mode: str) -> None:
    with endless() as model:
        server = serve(model, max_tokens=100_000)
        told: list[float] = []
        async with client_of(server, mode) as client, anyio.create_task_group() as calls:

            async def progressed(progress: float, total: float | None, message: str | None) -> None:
                told.append(progress)
                if len(told) == 2:
                    calls.cancel_scope.cancel()

            calls.start_soon(
                lambda: client.call_tool(
                    "ask_with_confidence", {"question": QUESTION}, progress_callback=progressed
                )
            )
        assert told == sorted(set(told))
        assert await anyio.to_thread.run_sync(server.idle)


@MODES
async def test_a_key_is_needed_where_there_are_keys(serve: Serve, mode: str) -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        server = serve(model, api_keys=(KEY,))
        assert server.client.post("/mcp", json=OPENING, headers=ACCEPT).status_code == 401
        async with client_of(server, mode, KEY) as client:
            assert (await answer(client))["answer"] == "4"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:80"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_pages_of_the_web_are_kept_out(
    server: Served, headers: dict[str, str], status: int
) -> None:
    response = server.client.post("/mcp", json=OPENING, headers={**ACCEPT, **headers})
    assert response.status_code == status


def test_a_large_body_is_refused(serve: Serve) -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        server = serve(model, max_body=2048)
        body = {**OPENING, "padding": "x" * 4096}
        assert server.client.post("/mcp", json=body, headers=ACCEPT).status_code == 413
        pieces = (piece.encode() for piece in json.dumps(body))
        sent = server.client.post(
            "/mcp", content=pieces, headers={**ACCEPT, "Content-Type": "application/json"}
        )
        assert sent.status_code == 413


@pytest.mark.model
@MODES
async def test_stdio_asks_a_real_model(mode: str, tmp_path: Path) -> None:
    server = StdioServerParameters(command=sys.executable, args=[*COMMAND, *SMALL], env=ENVIRONMENT)
    errors = tmp_path / "errors"
    with errors.open("w") as log:
        async with Client(stdio_client(server, errlog=log), mode=mode) as client:
            asked = {"question": "What is the capital of France?", "answer_at": 0.99}
            told: list[float] = []

            async def progressed(progress: float, total: float | None, message: str | None) -> None:
                told.append(progress)

            found = await client.call_tool(
                "ask_with_confidence", asked, progress_callback=progressed
            )
            assert not found.is_error, found.content
            data = found.structured_content
            assert 0 <= data["confidence"] <= 1
            assert data["model"] == "smollm2-135m"
            assert data["usage"]["tokens"] > 0
            assert data["decision"]["action"] in ("answer", "abstain")
            assert told
            for leaves in (0, 10_000):
                assert (
                    await client.call_tool("ask_with_confidence", {**asked, "leaves": leaves})
                ).is_error
            huge = await client.call_tool("ask_with_confidence", {"question": "word " * 200_000})
            assert huge.is_error
            score = await client.call_tool(
                "score_answer",
                {"question": "What is the capital of France?", "answer": "Paris"},
            )
            assert score.structured_content["mean_log_prob"] < 0
            label = await client.call_tool("label_answer", {"id": data["id"], "right": True})
            assert label.structured_content["learnt"]
    lines = [json.loads(line) for line in errors.read_text().splitlines() if line[:1] == "{"]
    routes = [line["route"] for line in lines]
    assert routes[0] == "mcp ask_with_confidence"
    assert routes[-1] == "mcp score_answer"


@pytest.mark.model
@pytest.mark.posix
@pytest.mark.parametrize("ends", ["closed input", "SIGINT", "SIGTERM"])
def test_stdio_holds_the_protocol_alone_and_ends_at_once(ends: str) -> None:
    # The command prints through Python and beside it, as libraries in other languages do.
    noisy = (
        "import os, sys\nfrom et_agent.cli import loading, main\nopen_model = loading.open_model\n"
        "def noisy(*given, **named):\n"
        "    print('printed')\n    os.write(1, b'written\\n')\n    return open_model(*given, **named)\n"
        "loading.open_model = noisy\nsys.exit(main.main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", noisy, "mcp", *SMALL, "--max-tokens", "900"]
    call = {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": {
            "name": "ask_with_confidence",
            "arguments": {"question": "Tell a very long story.", "leaves": 16, "kind": "long"},
            "_meta": {"progressToken": 7},
        },
    }
    messages = [OPENING, {"jsonrpc": "2.0", "method": "notifications/initialized"}, call]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for message in messages:
            process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        first, progress = (json.loads(process.stdout.readline()) for _ in range(2))
        assert first["result"]["serverInfo"]["name"] == "et-agent"
        assert progress["params"]["progressToken"] == 7
        watch = threading.Timer(60, process.kill)
        watch.start()
        if ends == "closed input":
            process.stdin.close()
        else:
            process.send_signal(getattr(signal, ends))
        rest, log = process.stdout.read(), process.stderr.read()
        process.wait()
        watch.cancel()
    assert process.returncode == (0 if ends == "closed input" else -getattr(signal, ends))
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in rest.splitlines())
    assert "printed" in log
    assert "written" in log
    assert "Traceback" not in log
    if ends == "closed input":
        assert '"outcome": "client gone"' in log


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "1"], "add it"),
        (["--leaves", "0"], "leaves"),
        (["--http", "--host", "0.0.0.0"], "open to other machines"),
    ],
)
def test_wrong_options_are_told(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main.main(["mcp", *arguments]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert not printed.out


def test_the_command_tells_how_to_install_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from et_agent.cli import mcp as command

    monkeypatch.setattr(command, "find_spec", lambda _: None)
    assert main.main(["mcp"]) == 2
    assert "integrations/server[mcp]'" in capsys.readouterr().err


@pytest.mark.model
@pytest.mark.posix
async def test_the_command_listens() -> None:
    command = [sys.executable, *COMMAND, *SMALL, "--http", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stderr is not None
        found = None
        while found is None:
            line = process.stderr.readline()
            assert line
            found = re.search(r"http://\S+/mcp", line)
        async with Client(found[0]) as client:
            assert (await client.list_tools()).tools
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
        process.wait(90)
        assert time.monotonic() - began < 90
