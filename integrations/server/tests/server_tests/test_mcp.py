"""The tools of the Model Context Protocol, called by the protocol's own client in this process."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from et_agent_server import ServerSettings
from et_agent_server.mcp import mcp_server
from et_agent_server.models import ServedModels
from et_agent_server.state import ServerState
from mcp import Client
from mcp_types import CallToolResult, TextContent

from et_agent import ScriptedModel
from et_agent.gate import DecisionLog

from .support import QUESTION, TEXTS, endless

Connect = Callable[..., Any]


def state(models: Any, **settings: Any) -> ServerState:
    named = models if isinstance(models, dict) else {"scripted": models}
    made = ServerSettings(**{"leaves": 4, **settings})
    return ServerState(ServedModels(named, made), made)


@pytest.fixture(scope="module")
def shared() -> Iterator[ServerState]:
    with ScriptedModel.from_texts(TEXTS) as model:
        yield state(model)


@pytest.fixture(params=["legacy", "auto"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Connect a client to a server of these models, by the older and by the newer protocol."""

    @asynccontextmanager
    async def connected(shared: ServerState) -> AsyncIterator[Client]:
        async with Client(mcp_server(shared), mode=request.param) as client:
            yield client

    return connected


async def call(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(name, arguments)
    assert not result.is_error, said(result)
    data: dict[str, Any] = result.structured_content
    return data


def said(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def ask(client: Client, **arguments: Any) -> dict[str, Any]:
    return await call(client, "ask_with_confidence", **{"question": QUESTION, **arguments})


async def test_tools_say_what_they_take_and_give(connect: Connect, shared: ServerState) -> None:
    async with connect(shared) as client:
        tools = (await client.list_tools()).tools
        assert "scripted" in client.instructions
    assert [tool.name for tool in tools] == ["ask_with_confidence", "score_answer", "label_answer"]
    for tool in tools:
        assert tool.output_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        assert all("description" in one for one in tool.input_schema["properties"].values())


async def test_an_answer_has_its_confidence(connect: Connect, shared: ServerState) -> None:
    async with connect(shared) as client:
        result = await client.call_tool(
            "ask_with_confidence", {"question": QUESTION, "kind": "number", "leaves": 3}
        )
    found = result.structured_content
    assert found["answer"] == "4"
    assert 0 < found["interval"]["low"] < found["confidence"] < found["interval"]["high"] < 1
    assert found["calibration"] == "general"
    assert found["distribution"][0]["answer"] == "4"
    assert sum(one["share"] for one in found["distribution"]) == pytest.approx(1)
    assert 1 <= found["usage"]["leaves"] <= 3
    assert found["decision"] is None
    assert found["answer"] in said(result)


async def test_choices_are_answered_in_words(connect: Connect) -> None:
    with ScriptedModel.from_texts({"So \\boxed{B}": 0.7, "So \\boxed{A}": 0.3}) as model:
        async with connect(state(model)) as client:
            # Some clients send lists as texts.
            for choices in (["Sydney", "Canberra"], '["Sydney", "Canberra"]'):
                found = await ask(client, question="Which is the capital?", choices=choices)
                assert found["answer"] == "Canberra"
                shown = {one["answer"] for one in found["distribution"]}
                assert {"Canberra"} <= shown <= {"Canberra", "Sydney"}
            labelled = await call(client, "label_answer", id=found["id"], correct_answer="Canberra")
            assert labelled["right"]
            score = await call(
                client,
                "score_answer",
                question="Which?",
                choices=["Sydney", "Canberra"],
                answer="Sydney",
            )
            assert score["read_as"] == "Sydney"
            assert score["own_answer"] == "Canberra"


@pytest.mark.parametrize(
    ("asked", "action", "answer"),
    [
        ({"answer_at": 0.0}, "answer", "4"),
        ({"answer_at": 0.99}, "abstain", None),
        ({"answer_at": 0.99, "on_doubt": "escalate"}, "escalate", None),
        ({"answer_at": 0.99, "on_doubt": "ask"}, "abstain", None),
        ({"on_doubt": "abstain"}, "abstain", None),
    ],
)
async def test_a_decision(
    connect: Connect, shared: ServerState, asked: Any, action: str, answer: str | None
) -> None:
    async with connect(shared) as client:
        found = await ask(client, **asked)
    decision = found["decision"]
    assert decision["action"] == action
    assert found["answer"] == answer
    assert found["distribution"][0]["answer"] == "4"
    assert f"{decision['threshold']:.0%}" in decision["reason"]
    assert not decision["escalated"]


async def test_a_larger_model_answers(connect: Connect) -> None:
    small = ScriptedModel.from_texts(TEXTS)
    large = ScriptedModel.from_texts({"So \\boxed{7}": 1.0})
    with small, large:
        shared = state({"small": small, "large": large}, escalate_to="large")
        async with connect(shared) as client:
            found = await ask(client, answer_at=0.6, kind="number")
            assert found["decision"]["escalated"]
            assert found["distribution"][0]["answer"] == "7"
            assert (await ask(client, model="large"))["answer"] == "7"


async def test_a_server_that_marks_gives_no_doubtful_answer(connect: Connect) -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        async with connect(state(model, on_doubt="mark")) as client:
            for asked in ({"answer_at": 0.99}, {"model": "scripted:gated"}):
                found = await ask(client, **asked)
                assert found["decision"]["action"] == "abstain"
                assert found["answer"] is None


async def test_a_score(connect: Connect, shared: ServerState) -> None:
    async with connect(shared) as client:
        found = await call(
            client, "score_answer", question=QUESTION, answer="It is 4", kind="number"
        )
    assert found["read_as"] == found["own_answer"] == "4"
    assert found["agreement"] > 0.3
    assert found["interval"]["low"] < found["confidence"]
    assert found["mean_log_prob"] < 0


async def test_labels_move_the_confidence(connect: Connect, tmp_path: Any) -> None:
    decisions = tmp_path / "decisions.db"
    with ScriptedModel.from_texts({"So \\boxed{4}": 0.6, "So \\boxed{5}": 0.4}) as model:
        shared = state(model, decisions=str(decisions))
        async with connect(shared) as client:
            number = {"kind": "number", "answer_at": 0.0}
            before = await ask(client, **number)
            labels = []
            for at in range(6):
                found = await ask(client, **number)
                # Whether it is right is read as evaluations read it.
                given = {"right": False} if at % 2 else {"correct_answer": "six"}
                labels.append(await call(client, "label_answer", id=found["id"], **given))
            assert [one["right"] for one in labels] == [False] * 6
            assert labels[-1]["labels"] == labels[0]["labels"] + 5
            again = await call(client, "label_answer", id=found["id"], right=False)
            assert not again["learnt"]
            other = await client.call_tool("label_answer", {"id": found["id"], "right": True})
            assert other.is_error
            assert "right" in said(other)
            after = await ask(client, **number)
        shared.models.close()
    assert after["calibration"] == "own"
    assert after["labels"] == labels[-1]["labels"]
    assert after["confidence"] < before["confidence"]
    with DecisionLog(decisions) as log:
        assert [one.right for one in log.labels()] == [False] * 6


@pytest.mark.parametrize(
    ("name", "arguments", "field"),
    [
        ("ask_with_confidence", {}, "question"),
        ("ask_with_confidence", {"question": ""}, "question"),
        ("ask_with_confidence", {"question": "  \n"}, "question"),
        ("ask_with_confidence", {"question": "x " * 500_000}, "context"),
        ("ask_with_confidence", {"question": "x", "leaves": 0}, "leaves"),
        ("ask_with_confidence", {"question": "x", "leaves": 10_000}, "leaves: use 1 to 64"),
        ("ask_with_confidence", {"question": "x", "answer_at": 2}, "answer_at"),
        ("ask_with_confidence", {"question": "x", "kind": "poem"}, "kind: use one of"),
        ("ask_with_confidence", {"question": "x", "context": []}, "context"),
        ("ask_with_confidence", {"question": "x", "context": [" "]}, "context"),
        ("ask_with_confidence", {"question": "x", "choices": ["a"]}, "choices"),
        ("ask_with_confidence", {"question": "x", "choices": ["a", " "]}, "choices"),
        ("ask_with_confidence", {"question": "x", "choices": ["a", "a"]}, "choices"),
        ("ask_with_confidence", {"question": "x", "choices": ["a", "b"], "kind": "date"}, "kind"),
        ("ask_with_confidence", {"question": "x", "model": "none"}, "use one of scripted"),
        ("ask_with_confidence", {"question": "x", "temperature": 1}, "temperature"),
        ("score_answer", {"question": "x", "answer": ""}, "answer"),
        ("score_answer", {"question": "x", "answer": "y", "leaves": 10_000}, "leaves"),
        ("label_answer", {"id": "ask-1", "right": True}, "id"),
        ("label_answer", {"id": "ask-1"}, "either"),
        ("label_answer", {"id": "ask-1", "right": True, "correct_answer": "4"}, "either"),
        ("nothing", {}, "use one of ask_with_confidence"),
    ],
)
async def test_errors_name_the_remedy(
    connect: Connect, shared: ServerState, name: str, arguments: Any, field: str
) -> None:
    async with connect(shared) as client:
        result = await client.call_tool(name, arguments)
        assert result.is_error
        assert field in said(result)
        assert len(said(result)) < 1000
        assert "Traceback" not in said(result)
        assert (await ask(client))["answer"] == "4"


async def test_an_answer_that_cannot_be_compared(connect: Connect, shared: ServerState) -> None:
    async with connect(shared) as client:
        found = await ask(client, kind="number")
        result = await client.call_tool(
            "label_answer", {"id": found["id"], "correct_answer": "blue"}
        )
    assert result.is_error
    assert "number" in said(result)


async def test_a_bug_is_told_without_its_traceback(
    connect: Connect,
    shared: ServerState,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("et_agent_server.mcp.tools.ask_call", broken)
    async with connect(shared) as client:
        result = await client.call_tool("ask_with_confidence", {"question": QUESTION})
    assert result.is_error
    assert said(result) == "the server failed: its log says why"
    assert "secret" in caplog.text


async def test_progress_rises_and_cancelling_stops(connect: Connect) -> None:
    told: list[float] = []
    with endless() as model:
        shared = state(model, max_tokens=100_000)
        async with connect(shared) as client, anyio.create_task_group() as calls:

            async def progressed(progress: float, total: float | None, message: str | None) -> None:
                assert message is not None
                told.append(progress)
                if len(told) == 3:
                    assert shared.admission.decoding == 1
                    calls.cancel_scope.cancel()

            calls.start_soon(
                lambda: client.call_tool(
                    "ask_with_confidence", {"question": QUESTION}, progress_callback=progressed
                )
            )
        assert len(told) == 3
        assert told == sorted(set(told))
        with anyio.fail_after(5):
            while shared.admission.decoding:
                await anyio.sleep(0.01)


async def test_a_call_ends_in_time(connect: Connect) -> None:
    with endless() as model:
        async with connect(state(model, seconds=0.3, max_tokens=100_000)) as client:
            for name, more in (("ask_with_confidence", {}), ("score_answer", {"answer": "4"})):
                result = await client.call_tool(name, {"question": QUESTION, **more})
                assert result.is_error
                assert "within 0.3 s" in said(result)
