"""What the tests share: a server in a thread, and scripted models."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import uvicorn
from et_agent_server import ServerSettings
from fastapi import FastAPI
from numpy.typing import NDArray

from et_agent import ScriptedModel
from et_agent.engines.scripted import VOCABULARY

TEXTS = {
    "So \\boxed{4}": 0.4,
    "Well, the answer is 4.": 0.2,
    "So \\boxed{5}": 0.3,
    "Who knows": 0.1,
}
QUESTION = "How many legs has a cat?"
MESSAGES = [{"role": "user", "content": QUESTION}]
CALL = '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>'
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}


@dataclass
class Served:
    """A server that listens."""

    url: str
    app: FastAPI
    _server: uvicorn.Server
    _thread: threading.Thread
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=60)

    @property
    def state(self) -> Any:
        return self.app.state.et_agent

    def chat(self, **fields: Any) -> httpx.Response:
        body = {"model": "scripted", "messages": MESSAGES, "seed": 1, **fields}
        return self.client.post("/v1/chat/completions", json=body)

    def events(self, path: str = "/v1/chat/completions", **fields: Any) -> list[dict[str, Any]]:
        """The JSON of a stream's events; it has to end with [DONE]."""
        body = {"model": "scripted", "messages": MESSAGES, "seed": 1, "stream": True, **fields}
        if path.endswith("/v1/completions"):
            body.pop("messages")
        with self.client.stream("POST", path, json=body) as response:
            assert response.status_code == 200, response.read()
            lines = [line[6:] for line in response.iter_lines() if line.startswith("data: ")]
        assert lines[-1] == "[DONE]"
        return [json.loads(line) for line in lines[:-1]]

    def idle(self, seconds: float = 5.0) -> bool:
        """Whether nothing decodes or waits, now or within some seconds."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not self.state.admission.decoding and not self.state.admission.waiting:
                return True
            time.sleep(0.01)
        return False

    def ask_to_stop(self) -> None:
        self._server.should_exit = True

    def stop(self) -> None:
        self.client.close()
        self.ask_to_stop()
        self._thread.join(60)
        assert not self._thread.is_alive()


def listening(app: FastAPI, settings: ServerSettings) -> Served:
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
    )
    listener = config.bind_socket()
    # Little is left in sockets that nobody reads.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.005)
    return Served(f"http://127.0.0.1:{listener.getsockname()[1]}", app, server, thread)


def endless(delay: float = 0.002) -> ScriptedModel:
    def script(_prompt: str, _tokens: Sequence[int]) -> NDArray[np.float32]:
        time.sleep(delay)
        logits = np.full(VOCABULARY, -1e9, dtype=np.float32)
        logits[ord("a")] = 0
        return logits

    return ScriptedModel(script)


@contextlib.contextmanager
def raw_request(
    url: str, body: bytes, length: int | None = None, path: str = "/v1/chat/completions"
) -> Iterator[socket.socket]:
    """A request that is written by hand, and its socket."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.settimeout(20)
        connection.connect((host, int(port)))
        head = [
            f"POST {path} HTTP/1.1",
            f"Host: {host}:{port}",
            "Content-Type: application/json",
            f"Content-Length: {len(body) if length is None else length}",
        ]
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        yield connection


def until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()
