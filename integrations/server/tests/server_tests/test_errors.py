"""What is wrong with a request is told in OpenAI's shape, with the field, and nothing stays behind."""

import json
from typing import Any

import pytest
from et_agent_server import streaming

from et_agent import ScriptedModel
from et_agent.engines.openai_compatible import OpenAICompatibleModel

from .conftest import Serve
from .support import ADD, MESSAGES, Served, endless, raw_request, until

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
BROKEN_CALL = {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{"}}
ANSWERED = [*MESSAGES, {"role": "tool", "tool_call_id": "7", "content": "3"}]


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "gpt-5"}, 404, "model"),
        ({"model": "scripted:gated:gated"}, 404, "model"),
        ({"model": None}, 400, "model"),
        ({"messages": []}, 400, "messages"),
        ({"messages": "hello"}, 400, "messages"),
        ({"messages": [{"role": "user"}]}, 400, "messages[0].content"),
        ({"messages": [{"role": "poet", "content": "x"}]}, 400, "messages[0].role"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "\0"}]}, 400, "messages"),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, 400, "messages[0].content[0]"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [BROKEN_CALL]}]},
            400,
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"messages": ANSWERED}, 400, "messages"),
        ({"n": 0}, 400, "n"),
        ({"n": 10_000}, 400, "n"),
        ({"n": 2.5}, 400, "n"),
        ({"n": 2, "model": "scripted:gated"}, 400, "n"),
        ({"n": 2, "et_agent": {"leaves": 3}}, 400, "et_agent.leaves"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"temperature": -1}, 400, "temperature"),
        ({"temperature": "warm"}, 400, "temperature"),
        ({"top_p": 0.5}, 400, "top_p"),
        ({"frequency_penalty": 1}, 400, "frequency_penalty"),
        ({"logit_bias": {"50256": -100}}, 400, "logit_bias"),
        ({"seed": -1}, 400, "seed"),
        ({"stop": ""}, 400, "stop"),
        ({"stop": ["x"] * 17}, 400, "stop"),
        ({"top_k": 40}, 400, "top_k"),
        ({"top_logprobs": 3}, 400, "top_logprobs"),
        ({"tools": [{"type": "function", "function": {}}]}, 400, "tools"),
        ({"tools": [{"type": "retrieval"}]}, 400, "tools[0].type"),
        ({"tools": [ADD, ADD]}, 400, "tools"),
        ({"tools": [ADD], "tool_choice": "subtract"}, 400, "tool_choice"),
        ({"tool_choice": "required"}, 400, "tool_choice"),
        ({"response_format": {"type": "xml"}}, 400, "response_format"),
        (
            {"response_format": {"type": "json_object"}, "tools": [ADD]},
            400,
            "response_format",
        ),
        ({"et_agent": {"leaves": 0}}, 400, "et_agent.leaves"),
        ({"et_agent": {"leaves": 10_000}}, 400, "et_agent.leaves"),
        ({"et_agent": {"leafs": 3}}, 400, "et_agent.leafs"),
        ({"et_agent": {"kind": "poem"}}, 400, "et_agent.kind"),
        ({"et_agent": {"answer_at": 1.5}}, 400, "et_agent.answer_at"),
        ({"et_agent": {"on_doubt": "panic"}}, 400, "et_agent.on_doubt"),
        ({"et_agent": {"on_doubt": "escalate"}}, 400, "et_agent.on_doubt"),
        ({"et_agent": {"context": [""]}}, 400, "et_agent.context"),
        ({"chat_template_kwargs": {"fast": True}}, 400, "chat_template_kwargs"),
        ({"reasoning_effort": "high"}, 400, "reasoning_effort"),
        ({"et_agent": {"thinking": "on"}}, 400, "et_agent.thinking"),
        ({"messages": [{"role": "user", "content": "x" * 9000}]}, 400, "messages"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_field_is_named(
    server: Served, fields: dict[str, Any], status: int, param: str, stream: bool
) -> None:
    fields = {"model": "scripted", "messages": MESSAGES, "stream": stream, **fields}
    body = {key: value for key, value in fields.items() if value is not None}
    response = server.client.post("/v1/chat/completions", json=body)
    assert response.status_code == status
    error = response.json()["error"]
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert server.idle()


def test_a_long_prompt_has_openais_code(server: Served) -> None:
    response = server.chat(messages=[{"role": "user", "content": "x" * 9000}])
    assert response.json()["error"]["code"] == "context_length_exceeded"


def test_null_is_not_given(server: Served) -> None:
    names = (
        "n",
        "stream",
        "stop",
        "seed",
        "max_tokens",
        "temperature",
        "tools",
        "et_agent",
        "user",
    )
    assert server.chat(**dict.fromkeys(names)).status_code == 200
    kept = {"top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0, "logit_bias": {}}
    assert server.chat(**kept, et_agent={"thinking": None, "tree": None}).status_code == 200
    body = {"model": "scripted", "prompt": "x", "n": None, "stream": None}
    assert server.client.post("/v1/completions", json=body).status_code == 200


@pytest.mark.parametrize(
    "written",
    [
        '"seed": ' + "9" * 5000,
        '"seed": 1e400',
        '"temperature": NaN',
        '"max_tokens": 99999999999999999999999',
        '"n": true',
        '"metadata": ' + '{"a":' * 500 + "1" + "}" * 500,
        '"tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": NaN}}}]',
        '"tools": [[]]',
        '"tools": [{"function": "add"}]',
        '"tool_choice": {"type": "allowed_tools"}',
        '"tool_choice": []',
        '"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}',
        '"response_format": {"type": "json_schema", "json_schema": {"schema": []}}',
        '"user": "\\ud800"',
        '"model": "\\ud800"',
        '"stop": [""]',
        '"stop": [1]',
        '"stream_options": {"include_usage": "perhaps"}',
        '"et_agent": []',
        '"et_agent": {"max_thinking_tokens": 1e300}',
        '"chat_template_kwargs": {"a": {"b": Infinity}}',
    ],
)
def test_odd_values_are_refused_or_mean_something(server: Served, written: str) -> None:
    """Nothing that a client writes is an error of the server's."""
    whole = '{"model": "scripted", "messages": [{"role": "user", "content": "x"}], ' + written + "}"
    response = server.client.post(
        "/v1/chat/completions", content=whole, headers={"Content-Type": "application/json"}
    )
    assert response.status_code in (200, 400, 404), response.text
    if response.status_code != 200:
        assert response.json()["error"]["type"] == "invalid_request_error"
    assert server.idle()


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/decisions?before=99999999999999999999", "before"),
        ("/v1/decisions?before=-1", "before"),
        ("/v1/decisions?limit=0", "limit"),
        ("/v1/decisions?limit=x", "limit"),
        ("/v1/runs/%00/risk", "name"),
        ("/v1/runs/" + "x" * 9000 + "/risk", "name"),
        ("/v1/models/%ff", "model"),
    ],
)
def test_odd_addresses_name_what_is_wrong(server: Served, path: str, param: str) -> None:
    response = server.client.get(path)
    assert response.status_code in (400, 404)
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000, b"null"])
def test_a_body_that_is_no_object_is_refused(server: Served, body: bytes) -> None:
    response = server.client.post(
        "/v1/chat/completions", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_form_of_another_site_is_refused(server: Served) -> None:
    body = json.dumps({"model": "scripted", "messages": MESSAGES})
    response = server.client.post(
        "/v1/chat/completions", content=body, headers={"Content-Type": "text/plain"}
    )
    assert response.status_code == 400
    named = server.client.post("/v1/chat/completions", content=body, headers={"Host": "evil.test"})
    assert named.status_code == 403
    assert named.json()["error"]["param"] == "Host"


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "http://localhost.evil.test", "x"])
@pytest.mark.parametrize("path", ["/v1/labels", "/v1/ask", "/v1/runs", "/mcp", "/", "/healthz"])
def test_pages_of_others_are_refused(server: Served, origin: str, path: str) -> None:
    """Browsers send a body without a type to anyone."""
    refused = server.client.post(path, content=b"{}", headers={"Origin": origin})
    assert refused.status_code == 403
    assert refused.json()["error"]["param"] == "Origin"


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8000", "http://LOCALHOST", "https://[::1]:1"])
def test_pages_of_this_machine_are_not(server: Served, origin: str) -> None:
    assert server.client.get("/v1/models", headers={"Origin": origin}).status_code == 200


def test_with_a_key_a_page_of_others_may_ask(serve: Serve) -> None:
    key = "a-key-of-some-length"
    server = serve(ScriptedModel.from_texts({"x": 1.0}), api_keys=(key,))
    headers = {"Origin": "https://mine.test", "Authorization": f"Bearer {key}"}
    assert server.client.get("/v1/models", headers=headers).status_code == 200


def test_tools_that_the_template_cannot_write_are_refused(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts({"x": 1.0}, tools=False))
    error = server.chat(tools=[ADD]).json()["error"]
    assert (error["param"], error["code"]) == ("tools", "unsupported_model")


def test_a_schema_that_no_grammar_can_keep_is_refused(server: Served) -> None:
    schema = {"type": "object", "properties": {"a": {"not": {"type": "string"}}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    response = server.chat(response_format=form)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "response_format"


def test_unknown_paths_and_methods(server: Served) -> None:
    assert server.client.get("/v2").json()["error"]["message"]
    wrong = server.client.get("/v1/chat/completions")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert server.client.get("/v1/models/none").json()["error"]["code"] == "model_not_found"


def test_a_body_that_is_too_large_is_refused_with_and_without_its_length(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts({"x": 1.0}), max_body=2000)
    large = [{"role": "user", "content": "x" * 3000}]
    assert server.chat(messages=large).status_code == 413
    body = json.dumps({"model": "scripted", "messages": large}).encode()
    chunked = server.client.post("/v1/chat/completions", content=iter([body[:1500], body[1500:]]))
    assert chunked.status_code == 413
    assert "2000 bytes" in chunked.json()["error"]["message"]


def test_a_body_that_does_not_come_is_given_up(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts({"x": 1.0}), send_seconds=0.2)
    with raw_request(server.url, b'{"model"', length=100) as connection:
        assert b" 408 " in connection.recv(1000)


def test_a_model_that_was_closed_is_no_longer_there(serve: Serve) -> None:
    model = ScriptedModel.from_texts({"x": 1.0})
    server = serve(model)
    model.close()
    response = server.chat()
    assert response.status_code == 503
    assert response.json()["error"]["type"] == "server_error"
    assert server.idle()


def test_a_request_that_takes_too_long_is_stopped(serve: Serve) -> None:
    model = endless()
    server = serve(model, seconds=0.3)
    response = server.chat(max_tokens=8000)
    assert response.status_code == 504
    assert server.idle()
    before = model.decoded
    assert until(lambda: model.decoded == before)


def test_a_failure_within_a_stream_is_its_last_event(serve: Serve) -> None:
    server = serve(endless(), seconds=0.3)
    body = {"model": "scripted", "messages": MESSAGES, "stream": True, "max_tokens": 8000}
    with server.client.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = [line for line in response.iter_lines() if line.startswith("data: ")]
    assert json.loads(lines[-1][6:])["error"]["code"] == "timeout"
    assert server.idle()
    assert counted(server, "504") == 1


def test_a_failure_that_nobody_foresaw_is_the_last_event_too(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(found: object) -> None:
        raise RuntimeError("with a text of the user")

    monkeypatch.setattr(streaming, "choices_of", fail)
    server = serve(ScriptedModel.from_texts({"x": 1.0}))
    body = {"model": "scripted", "messages": MESSAGES, "stream": True}
    with server.client.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = [line for line in response.iter_lines() if line.startswith("data: ")]
    error = json.loads(lines[-1][6:])["error"]
    assert (error["type"], error["param"]) == ("server_error", None)
    assert "user" not in error["message"]
    assert server.idle()
    assert counted(server, "500") == 1


def counted(server: Served, status: str) -> float:
    """Chats with a status."""
    found = 0.0
    for line in server.client.get("/metrics").text.splitlines():
        if line.startswith("et_agent_requests_total") and f'status="{status}"' in line:
            found += float(line.rpartition(" ")[2])
    return found


def test_no_model_of_a_server_is_asked_for_what_takes_logits(serve: Serve) -> None:
    inner = serve(ScriptedModel.from_texts({"So \\boxed{4}": 1.0}))
    with OpenAICompatibleModel(f"{inner.url}/v1", "scripted") as behind:
        outer = serve({"behind": behind})
        found = outer.chat(model="behind", temperature=0.5)
        assert found.json()["choices"][0]["message"]["content"] == "So \\boxed{4}"
        assert found.json()["et_agent"]["decoder"]["name"] == "MultiChain"
        asked = outer.chat(model="behind", et_agent={"on_doubt": "ask"})
        assert asked.json()["error"]["param"] == "et_agent.on_doubt"
        body = {"model": "behind", "prompt": "x"}
        continued = outer.client.post("/v1/completions", json=body)
        assert continued.status_code == 400
