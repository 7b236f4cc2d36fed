"""Clients of OpenAI's interface, unchanged, against the small real model."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import openai
import pytest
from et_agent_server import ServerSettings, create_app
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from et_agent.engines.loading import load_model

from .support import ADD, QUESTION, Served, listening

pytestmark = pytest.mark.model

KEY = "a-key-of-some-length"
NODE = Path(__file__).parent / "node"
LLAMA_INDEX = Path(__file__).parent / "llama_index"
MODEL = "smollm2-135m"
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]


class Sky(BaseModel):
    """What the sky is like."""

    clear: bool
    clouds: int


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    settings = ServerSettings(port=0, leaves=3, max_tokens=24, api_keys=(KEY,), grace_seconds=1)
    with load_model(MODEL, context=2048, max_sequences=16, threads=1) as model:
        served = listening(create_app({MODEL: model}, settings), settings)
        served.client.headers["Authorization"] = f"Bearer {KEY}"
        yield served
        served.stop()


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def report_of(reply: Any) -> dict[str, Any]:
    return cast(dict[str, Any], reply.model_extra["et_agent"])


def test_openai_in_python(client: openai.OpenAI) -> None:
    assert [one.id for one in client.models.list()] == [MODEL, f"{MODEL}:gated"]
    reply = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, seed=1, extra_body={"et_agent": {"leaves": 4}}
    )
    assert reply.choices[0].message.content
    assert reply.usage is not None
    assert reply.usage.total_tokens > reply.usage.prompt_tokens
    report = report_of(reply)
    assert report["decoder"]["leaves"] == 4
    assert 0 < report["confidence"] < 1 or report["answer"] is None


def test_openai_streams(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        seed=1,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    texts = [one.choices[0].delta.content for one in chunks if one.choices]
    assert sum(bool(text) for text in texts) > 3
    assert chunks[-1].usage is not None
    (report,) = [found for one in chunks if (found := (one.model_extra or {}).get("et_agent"))]
    text = "".join(text or "" for text in texts)
    assert (report["streamed"] == "confirmed") or report["reply"] != text


def test_openai_parses(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(
        model=MODEL, messages=MESSAGES, response_format=Sky, max_tokens=64, seed=0
    )
    assert isinstance(parsed.choices[0].message.parsed, Sky)
    assert report_of(parsed)["fields"]["clouds"]["share"] > 0


def test_openai_samples_and_log_probabilities(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, n=3, logprobs=True, top_logprobs=5, max_tokens=8, seed=2
    )
    assert len(reply.choices) == 3
    for choice in reply.choices:
        assert choice.logprobs is not None
        listed = choice.logprobs.content or []
        assert b"".join(bytes(one.bytes or []) for one in listed).decode() == choice.message.content
        assert {len(one.top_logprobs) for one in listed} == {5}
        assert all(one.logprob <= one.top_logprobs[0].logprob + 1e-6 for one in listed)


def test_openai_continues(client: openai.OpenAI) -> None:
    made = client.completions.create(model=MODEL, prompt="1, 2, 3, 4,", max_tokens=6, temperature=0)
    assert "5" in made.choices[0].text
    pieces = client.completions.create(
        model=MODEL, prompt="1, 2, 3, 4,", max_tokens=6, temperature=0, stream=True
    )
    assert "".join(one.choices[0].text for one in pieces) == made.choices[0].text


def test_openais_errors(client: openai.OpenAI, server: Served) -> None:
    with pytest.raises(openai.BadRequestError) as found:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, n=10_000)
    assert found.value.param == "n"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-5", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError) as no_tools:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=[cast(Any, ADD)])
    assert no_tools.value.param == "tools"
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0) as wrong,
        pytest.raises(openai.AuthenticationError),
    ):
        wrong.models.list()


async def test_openai_asynchronously(server: Served) -> None:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=KEY) as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=MESSAGES, max_tokens=1000, stream=True
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
        await stream.close()
    assert server.idle()


def test_chat_openai(server: Served) -> None:
    langchain_openai = pytest.importorskip("langchain_openai")
    chat = langchain_openai.ChatOpenAI(
        base_url=f"{server.url}/v1", api_key=KEY, model=MODEL, max_tokens=24, seed=1
    )
    message = chat.invoke(QUESTION)
    assert message.content
    assert message.usage_metadata["output_tokens"] > 0
    streamed = "".join(chunk.content for chunk in chat.stream(QUESTION))
    assert streamed
    sky = chat.bind(max_tokens=64).with_structured_output(Sky).invoke("How is the sky?")
    assert isinstance(sky, Sky)


def test_llama_index(server: Served) -> None:
    python = os.environ.get("ET_AGENT_LLAMA_INDEX")
    if python is None:
        pytest.skip(
            f"ET_AGENT_LLAMA_INDEX names no Python with the packages of {LLAMA_INDEX}, which lower "
            "the versions of others here"
        )
    command = [python, str(LLAMA_INDEX / "client.py"), f"{server.url}/v1", KEY, MODEL]
    made = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert made.returncode == 0, made.stderr
    found = json.loads(made.stdout)
    assert found["reply"]
    assert len([piece for piece in found["pieces"] if piece]) > 3
    assert "5" in found["continued"]
    assert "".join(found["continued in pieces"]) == found["continued"]
    assert server.idle()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "client.mjs"):
        shutil.copy(NODE / name, folder)
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if made.returncode:
        pytest.skip(f"OpenAI's client for Node cannot be installed: {made.stderr[-200:]}")
    return folder


def test_openai_in_node(server: Served, node: Path) -> None:
    command = ["node", "client.mjs", f"{server.url}/v1", KEY, MODEL]
    made = subprocess.run(command, cwd=node, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    found = json.loads(made.stdout)
    assert found["models"] == [MODEL, f"{MODEL}:gated"]
    assert found["whole"]["choices"][0]["message"]["content"] == found["text"]
    assert found["whole"]["et_agent"]["decoder"]["name"] == "Greedy"
    assert found["report"]["streamed"] == "confirmed"
    assert found["error"] == {"status": 400, "param": "n", "name": "BadRequestError"}
    assert server.idle()


def test_open_webuis_calls(server: Served) -> None:
    """What its backend sends: models, a streamed chat, and what it asks for when that has ended."""
    listed = server.client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert all(one["id"] and one["owned_by"] for one in listed["data"])
    sent: dict[str, Any] = {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "You are helpful."},
            {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 16,
        "temperature": 0.8,
        "top_p": 1.0,
        "frequency_penalty": 0.0,
        "stop": None,
        "seed": None,
        "user": "a person",
        "metadata": {"chat_id": "1"},
    }
    events = server.events(**sent)
    assert events[-1]["usage"]["completion_tokens"] > 0
    said = "".join(
        choice["delta"].get("content") or "" for one in events for choice in one["choices"]
    )
    assert said
    history = f"<chat_history>\nUSER: {QUESTION}\nASSISTANT: {said}\n</chat_history>"
    for task, limit in (
        ('Generate a title as JSON: { "title": "…" }', {"max_completion_tokens": 16}),
        ('Generate 1-3 tags as JSON: { "tags": ["…"] }', {"max_tokens": 16}),
        ('Suggest 3 follow-up questions as JSON: { "follow_ups": ["…"] }', {}),
        ('Generate search queries as JSON: { "queries": ["…"] }', {}),
    ):
        asked = [{"role": "user", "content": f"### Task:\n{task}\n{history}"}]
        made = server.chat(model=MODEL, stream=False, messages=asked, **limit)
        assert made.status_code == 200, made.text
        assert made.json()["choices"][0]["message"]["content"]
    assert server.idle()
