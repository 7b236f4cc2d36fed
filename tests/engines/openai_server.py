"""A server with OpenAI's interface on a loopback port: behind it a model of this process, or a script.

What it answers is up to its `respond`, so that tests can make it behave badly too.
"""

import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from et_agent import AskResult, Greedy, MultiChain, submit
from et_agent.engines.base import LanguageModel
from et_agent.results import Leaf

Body = dict[str, Any]


@dataclass(frozen=True)
class Raw:
    """A reply to the letter.

    Attributes:
        status: HTTP status.
        body: What follows the headers.
        headers: More headers.
        cut: Whether the connection is closed after half of the body.
        before: Seconds before anything is sent.
        between: Seconds between the bytes of the body.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    before: float = 0.0
    between: float = 0.0


Reply = Body | Raw
Respond = Callable[[Body], Reply]


class OpenAIServer(ThreadingHTTPServer):
    """The server. `requests` has the bodies that came, `headers` the headers of each."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, respond: Respond, models: Reply | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.respond = respond
        self.models: Reply = {"data": [{"id": "tiny"}]} if models is None else models
        self.requests: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.closed = threading.Event()
        """Set once a client has closed its connection before it got the reply."""

    @property
    def url(self) -> str:
        """The address up to /v1."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none of a test's concern."""


class _Handler(BaseHTTPRequestHandler):
    server: OpenAIServer

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self.server.headers.append(dict(self.headers))
        self._send(self.server.models)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.headers.append(dict(self.headers))
        self.server.requests.append(body)
        self._send(self.server.respond(body))

    def _send(self, reply: Reply) -> None:
        raw = reply if isinstance(reply, Raw) else Raw(body=json.dumps(reply).encode())
        if not self._wait(raw.before):
            return
        self.send_response(raw.status)
        for name, value in raw.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw.body)))
        self.end_headers()
        if raw.between:
            for at in range(len(raw.body)):
                if not self._wait(raw.between):
                    return
                self.wfile.write(raw.body[at : at + 1])
            return
        self.wfile.write(raw.body[: len(raw.body) // 2] if raw.cut else raw.body)
        if raw.cut:
            self.close_connection = True

    def _wait(self, seconds: float) -> bool:
        """Wait; False once the client has gone."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.connection.settimeout(min(left, 0.02))
            try:
                if self.connection.recv(1, socket.MSG_PEEK) == b"":
                    self.server.closed.set()
                    return False
            except TimeoutError:
                continue
            except OSError:
                self.server.closed.set()
                return False
        self.connection.settimeout(None)
        return True


@contextmanager
def serving(respond: Respond, models: Reply | None = None) -> Iterator[OpenAIServer]:
    """A server that is ready."""
    server = OpenAIServer(respond, models)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def choice(text: str | None, *, logprob: float | None = -0.1, **message: Any) -> Body:
    """A choice with one token per letter; None as `logprob` tells none."""
    finish = message.pop("finish", "stop")
    made: Body = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": text, **message},
    }
    if logprob is not None and text is not None:
        told = [{"token": one, "logprob": logprob} for one in "xy" * 10]
        made["logprobs"] = {
            "content": [
                {
                    "token": one,
                    "logprob": logprob,
                    "bytes": list(one.encode()),
                    "top_logprobs": told,
                }
                for one in text
            ]
        }
    return made


def completion(*choices: Body, usage: Body | None = None) -> Body:
    """A completion with these choices."""
    made: Body = {"id": "c", "object": "chat.completion", "choices": list(choices)}
    return made if usage is None else {**made, "usage": usage}


def model_behind(model: LanguageModel) -> Respond:
    """Answers with a real model of this process: `n` choices, tools, schemas and stops as asked."""

    def respond(body: Body) -> Reply:
        settings = {"max_tokens": body["max_tokens"]}
        count = body.get("n", 1)
        decoder = (
            Greedy(**settings)
            if body["temperature"] == 0
            else MultiChain(leaves=count, temperature=body["temperature"], **settings)
        )
        wanted = body.get("tool_choice", "auto")
        if isinstance(wanted, dict):
            wanted = wanted["function"]["name"]
        form = body.get("response_format")
        schema = None
        if form is not None:
            schema = {"type": "object"}
            if form["type"] == "json_schema":
                schema = form["json_schema"]["schema"]
        pending = submit(
            model,
            [_message(one) for one in body["messages"]],
            decoder=decoder,
            seed=body["seed"],
            system_prompt="",
            calibrator=None,
            tools=body.get("tools", ()),
            tool_choice="any" if wanted == "required" else wanted,
            schema=schema,
            stop=body.get("stop", ()),
        )
        result = pending.result()
        assert result.tree is not None
        made = [_choice(result, leaf, model) for leaf in result.tree.leaves]
        usage = {
            "prompt_tokens": result.usage.prompt_tokens,
            "prompt_tokens_details": {"cached_tokens": result.usage.cached_tokens},
            "completion_tokens": result.usage.tokens_as_chains,
        }
        return completion(*made, usage=usage)

    return respond


def _message(given: Body) -> Any:
    made = dict(given)
    if calls := made.get("tool_calls"):
        made["tool_calls"] = [
            {
                **call,
                "function": {
                    **call["function"],
                    "arguments": json.loads(call["function"]["arguments"]),
                },
            }
            for call in calls
        ]
    return made


def _choice(result: AskResult, leaf: Leaf, model: LanguageModel) -> Body:
    assert result.tree is not None
    nodes, path, at = result.tree.nodes, [], leaf.node
    while True:
        path.append(nodes[at])
        parent = nodes[at].parent
        if parent is None:
            break
        at = parent
    content = [
        {
            "token": piece.decode("utf-8", "replace"),
            "logprob": log_prob,
            "bytes": list(piece),
            "top_logprobs": [{"token": "", "logprob": log_prob - math.log(2)}] * 20,
        }
        for node in reversed(path)
        for token, log_prob in zip(node.tokens, node.log_probs, strict=True)
        if (piece := model.token_bytes(token)) and log_prob is not None
    ]
    calls = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
        }
        for number, call in enumerate(leaf.tool_calls)
    ]
    return {
        "index": 0,
        "finish_reason": "tool_calls" if calls else leaf.finish,
        "message": {"role": "assistant", "content": None if calls else leaf.text}
        | ({"tool_calls": calls} if calls else {}),
        "logprobs": {"content": content},
    }
