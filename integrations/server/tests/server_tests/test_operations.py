"""Models, figures, logs, traces and the description of the interface."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from et_agent import ScriptedModel

from .conftest import Serve
from .support import QUESTION, TEXTS, Served


def test_models_are_listed_with_and_without_their_gate(server: Served) -> None:
    found = server.client.get("/v1/models").json()
    assert [one["id"] for one in found["data"]] == ["scripted", "scripted:gated"]
    card = server.client.get("/v1/models/scripted:gated").json()
    assert card["object"] == "model"
    assert card["et_agent"]["gated"] is True
    assert card["et_agent"]["context"] == 8192


def test_health(server: Served) -> None:
    assert server.client.get("/healthz").json() == {"status": "ok"}
    assert server.client.get("/readyz").json() == {"status": "ready"}


def figures(server: Served) -> dict[str, float]:
    lines = server.client.get("/metrics").text.splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def test_figures(serve: Serve) -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        server = serve(model)
        usage = server.chat().json()["usage"]
        server.events()
        server.chat(n=0)
        server.chat(model="scripted:gated", et_agent={"on_doubt": "abstain"})
        found = figures(server)
    route = 'route="/v1/chat/completions"'
    assert found[f'et_agent_requests_total{{model="scripted",{route},status="200"}}'] == 2
    assert found[f'et_agent_requests_total{{model="",{route},status="400"}}'] == 1
    assert found['et_agent_first_text_seconds_count{model="scripted"}'] == 2
    assert found['et_agent_queue_seconds_count{model="scripted"}'] == 2
    assert (
        found['et_agent_tokens_total{kind="output",model="scripted"}'] >= usage["completion_tokens"]
    )
    assert found['et_agent_gate_actions_total{action="abstain",model="scripted:gated"}'] == 1
    assert found["et_agent_decoding"] == 0


@pytest.mark.parametrize("texts", [False, True])
def test_the_log_has_no_texts_unless_they_are_wanted(
    serve: Serve, caplog: pytest.LogCaptureFixture, texts: bool
) -> None:
    server = serve(
        ScriptedModel.from_texts(TEXTS), log_texts=texts, api_keys=("a-key-of-some-length",)
    )
    server.client.headers["Authorization"] = "Bearer a-key-of-some-length"
    with caplog.at_level(logging.INFO, logger="et_agent.server"):
        number = server.chat(seed=4).json()["id"]
        server.client.get("/healthz")
        server.chat(n=0)
        server.stop()
    lines: list[dict[str, Any]] = [json.loads(record.message) for record in caplog.records]
    assert [one["status"] for one in lines] == [200, 400]
    first = lines[0]
    assert (first["id"], first["seed"], first["model"]) == (number, 4, "scripted")
    assert first["output_tokens"] > 0
    assert first["seconds"] >= first["queue_seconds"]
    assert (QUESTION in caplog.text) is texts
    assert ("reply" in first) is texts
    assert "a-key-of-some-length" not in caplog.text


@pytest.fixture(scope="module")
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield exporter
    provider.shutdown()


def test_traces_follow_the_conventions(spans: InMemorySpanExporter, serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts(TEXTS))
    parent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
    server.client.headers["traceparent"] = parent
    number = server.chat(seed=5, temperature=0.5).json()["id"]
    server.events()
    server.client.get("/healthz")
    server.chat(n=0)
    server.stop()
    found: list[ReadableSpan] = [
        one
        for one in spans.get_finished_spans()
        if one.instrumentation_scope is not None
        and one.instrumentation_scope.name == "et_agent.server"
    ]
    assert [one.name for one in found] == ["chat scripted"] * 2 + ["chat /v1/chat/completions"]
    first, _, failed = found
    assert f"{first.context.trace_id:032x}" == parent[3:35]
    attributes = dict(first.attributes or {})
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.request.model"] == "scripted"
    assert attributes["gen_ai.request.temperature"] == 0.5
    assert attributes["gen_ai.request.seed"] == 5
    assert attributes["gen_ai.response.id"] == number
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert attributes["et_agent.confidence"] > 0  # type: ignore[operator]
    assert QUESTION not in str(attributes)
    assert dict(failed.attributes or {})["error.type"] == "400"


def test_the_interface_is_described_with_examples(server: Served) -> None:
    described = server.client.get("/openapi.json").json()
    paths = described["paths"]
    assert {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/models",
        "/v1/ask",
        "/v1/score",
        "/v1/labels",
    } <= set(paths)
    shapes = described["components"]["schemas"]
    for name in (
        "ChatRequest",
        "CompletionRequest",
        "AskRequest",
        "ScoreRequest",
        "LabelRequest",
    ):
        assert shapes[name]["examples"], name
    reply = paths["/v1/chat/completions"]["post"]["responses"]["200"]["content"]
    assert reply["application/json"]["schema"]["$ref"].endswith("/ChatCompletion")
    assert "confidence" in shapes["AgentReport"]["properties"]


@pytest.mark.parametrize("name", ["ask", "score"])
def test_the_examples_work(server: Served, name: str) -> None:
    described = server.client.get("/openapi.json").json()
    shape = described["components"]["schemas"][f"{name.capitalize()}Request"]
    body = {**shape["examples"][0], "model": "scripted"}
    assert server.client.post(f"/v1/{name}", json=body).status_code == 200
