"""Who is let in, how many at once, and that nothing goes on for those who left."""

import asyncio
import contextlib
import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from et_agent_server import ServerSettings

from et_agent import ScriptedModel
from et_agent.decoding.scheduler import scheduler_of
from et_agent.errors import SettingsError

from .conftest import Serve
from .support import MESSAGES, TEXTS, Served, endless, raw_request, until

KEY = "a-key-of-some-length"


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "scripted", "messages": MESSAGES, **fields}).encode()


def stands_still(model: ScriptedModel) -> bool:
    before = model.decoded
    time.sleep(0.1)
    return model.decoded == before


# --- Keys


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", "Bearer \xe9"]
)
def test_a_wrong_key_is_refused(serve: Serve, header: str | None) -> None:
    server = serve(ScriptedModel.from_texts(TEXTS), api_keys=("another-key-of-length", KEY))
    headers = [] if header is None else [(b"authorization", header.encode("latin-1"))]
    response = server.client.get("/v1/models", headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.json()["error"]["param"] == "Authorization"
    assert KEY not in response.text
    assert server.client.get("/metrics", headers=headers).status_code == 401
    assert server.client.get("/healthz", headers=headers).status_code == 200


def test_a_right_key_opens(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts(TEXTS), api_keys=("another-key-of-length", KEY))
    headers = {"Authorization": f"Bearer {KEY}", "Host": "somewhere.test"}
    assert server.client.get("/v1/models", headers=headers).status_code == 200


def test_an_open_server_needs_a_key() -> None:
    with pytest.raises(SettingsError, match="open to other machines"):
        ServerSettings(host="0.0.0.0")
    with pytest.raises(SettingsError, match="16 characters"):
        ServerSettings(api_keys=("short",))
    assert KEY not in repr(ServerSettings(host="0.0.0.0", api_keys=(KEY,)))
    assert ServerSettings(host="::1").host == "::1"


# --- Places


@pytest.mark.fault("busy")
def test_too_many_are_told_to_come_back(serve: Serve) -> None:
    server = serve(endless(), concurrent=1, queue=1)
    with raw_request(server.url, body(max_tokens=8000)):
        assert until(lambda: server.state.admission.decoding == 1)
        with raw_request(server.url, body(max_tokens=8000)):
            assert until(lambda: server.state.admission.waiting == 1)
            assert server.client.get("/healthz").status_code == 200
            response = server.chat()
            assert response.status_code == 429
            assert int(response.headers["Retry-After"]) >= 1
            assert response.json()["error"]["code"] == "rate_limit_exceeded"
            assert server.client.get("/readyz").status_code == 503
    assert server.idle()


@pytest.mark.fault("busy")
def test_who_waits_too_long_is_told_to_come_back(serve: Serve) -> None:
    server = serve(endless(), concurrent=1, queue_seconds=0.2)
    with raw_request(server.url, body(max_tokens=8000)):
        assert until(lambda: server.state.admission.decoding == 1)
        assert server.chat().status_code == 429
    assert server.idle()


def test_all_who_are_let_in_are_answered(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts(TEXTS), concurrent=4, queue=6)
    with ThreadPoolExecutor(20) as pool:
        codes = list(pool.map(lambda _: server.chat(n=4).status_code, range(40)))
    assert set(codes) <= {200, 429}
    assert codes.count(200) >= 10
    assert server.idle()


def test_requests_that_wait_in_threads_keep_no_other_waiting(serve: Serve) -> None:
    """A score is waited for in a thread, of which a loop has few by itself."""
    server = serve({"slow": endless(), "scripted": ScriptedModel.from_texts(TEXTS)}, concurrent=40)
    sent = {"model": "slow", "question": "How many?", "answer": "4", "max_tokens": 8000}
    with contextlib.ExitStack() as stack:
        for _ in range(36):
            stack.enter_context(
                raw_request(server.url, json.dumps(sent).encode(), path="/v1/score")
            )
        assert until(lambda: server.state.admission.decoding == 36, 20)
        time.sleep(0.2)
        assert server.chat().status_code == 200
    assert server.idle(20)


@pytest.mark.fault("64 tasks")
async def test_64_tasks_of_all_kinds_some_of_which_are_cancelled(serve: Serve) -> None:
    model = ScriptedModel.from_texts(TEXTS)
    server = serve(model, concurrent=6, queue=80)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/chat/completions", {"messages": MESSAGES, "n": 2}),
        ("/v1/chat/completions", {"messages": MESSAGES, "stream": True}),
        ("/v1/completions", {"prompt": "x", "max_tokens": 9}),
        ("/v1/ask", {"question": "How many?", "answer_at": 0.5}),
        ("/v1/score", {"question": "How many?", "answer": "4"}),
    ]
    draw = random.Random(0)

    async def one(client: httpx.AsyncClient, number: int) -> int:
        path, sent = asked[number % len(asked)]
        going = asyncio.ensure_future(client.post(path, json={"model": "scripted", **sent}))
        if number % 4 == 0:
            await asyncio.sleep(draw.uniform(0, 0.1))
            going.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            return (await going).status_code
        return 0

    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        codes = await asyncio.gather(*(one(client, number) for number in range(64)))
    assert set(codes) <= {0, 200}
    assert codes.count(200) >= 48
    assert server.idle()
    assert until(lambda: stands_still(model))
    assert scheduler_of(model).pending == scheduler_of(model).paths_in_cache == 0


@pytest.mark.fault("busy")
def test_a_model_that_is_busy_is_told_as_such(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts(TEXTS, max_pending=1), concurrent=9)
    model = server.state.models.all()[0].model
    held = threading.Event()
    model.submit(lambda: held.wait(20))
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(server.chat)
        assert until(lambda: scheduler_of(model).pending > 0)
        response = server.chat()
        held.set()
        assert going.result(20).status_code == 200
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "rate_limit_exceeded"
    assert int(response.headers["Retry-After"]) >= 1


# --- Clients that go away


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["chat", "completions", "ask", "score"])
def test_who_goes_away_stops_decoding(serve: Serve, stream: bool, path: str) -> None:
    model = endless()
    server = serve(model)
    sent: dict[str, Any] = {"max_tokens": 8000, "model": "scripted"}
    name = "/v1/chat/completions"
    if path == "chat":
        sent |= {"messages": MESSAGES, "stream": stream}
    elif path == "completions":
        name, sent = "/v1/completions", sent | {"prompt": "x", "stream": stream}
    elif stream:
        pytest.skip("has no streams")
    else:
        name, sent = f"/v1/{path}", sent | {"question": "How many?"}
        sent |= {"answer": "4"} if path == "score" else {}
    with raw_request(server.url, json.dumps(sent).encode(), path=name) as connection:
        assert until(lambda: model.decoded > 40)
        if stream:
            assert b" 200 OK" in connection.recv(1000)
    assert server.idle()
    assert until(lambda: stands_still(model))
    assert "et_agent_clients_gone_total" in server.client.get("/metrics").text


def test_who_goes_away_while_waiting_leaves_the_queue(serve: Serve) -> None:
    server = serve(endless(), concurrent=1)
    with raw_request(server.url, body(max_tokens=8000)):
        assert until(lambda: server.state.admission.decoding == 1)
        with raw_request(server.url, body()):
            assert until(lambda: server.state.admission.waiting == 1)
        assert until(lambda: server.state.admission.waiting == 0)
    assert server.idle()


@pytest.mark.fault("cancelled at random moments")
def test_hundreds_of_connects_and_cancels_leave_nothing(serve: Serve) -> None:
    model = endless(0.0005)
    server = serve(model, concurrent=8, queue=600)
    threads = threading.active_count()

    def come_and_go(number: int) -> None:
        with raw_request(
            server.url, body(max_tokens=500, stream=number % 2 == 0, n=1 + number % 3)
        ) as connection:
            if number % 5:
                connection.settimeout(0.1 * (number % 4) + 0.001)
                with contextlib.suppress(TimeoutError):
                    connection.recv(100)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(come_and_go, range(500)))
    assert server.idle(30)
    assert until(lambda: stands_still(model))
    assert (
        model.free_positions == model.info.context or server.chat(max_tokens=2).status_code == 200
    )
    assert threading.active_count() <= threads + 40  # threads of pools stay for the next


@pytest.mark.fault("network that hangs")
def test_who_stalls_is_left(serve: Serve) -> None:
    server = serve(endless(0), send_seconds=0.3, seconds=60)
    # Much more than what sockets hold, or the server would be done before it has to wait.
    with raw_request(server.url, body(max_tokens=8000, stream=True, n=8)):
        assert until(lambda: server.state.admission.decoding == 1)
        assert server.idle(30)
    assert "et_agent_clients_gone_total" in server.client.get("/metrics").text


# --- Being stopped


def stopped(server: Served, request: Callable[[], httpx.Response]) -> httpx.Response:
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(request)
        assert until(lambda: server.state.admission.decoding == 1)
        server.ask_to_stop()
        return going.result(20)


def test_who_is_being_answered_is_answered_when_the_server_is_stopped(serve: Serve) -> None:
    server = serve(endless(0.01), grace_seconds=20)
    response = stopped(server, lambda: server.chat(max_tokens=40, et_agent={"leaves": 1}))
    assert response.json()["choices"][0]["message"]["content"] == "a" * 40


def test_a_stream_is_finished_when_the_server_is_stopped(serve: Serve) -> None:
    server = serve(endless(0.01), grace_seconds=20)
    sent = body(max_tokens=100, stream=True, et_agent={"leaves": 1})
    response = stopped(
        server,
        lambda: server.client.post(
            "/v1/chat/completions", content=sent, headers={"Content-Type": "application/json"}
        ),
    )
    assert response.text.rstrip().endswith("data: [DONE]")


def test_the_grace_has_an_end(serve: Serve) -> None:
    model = endless()
    server = serve(model, grace_seconds=0.5)
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(lambda: server.chat(max_tokens=8000))
        assert until(lambda: server.state.admission.decoding == 1)
        server.ask_to_stop()
        response = going.result(20)
    assert response.status_code == 503
    assert response.json()["error"]["message"] == "the server is being stopped"
    assert until(lambda: stands_still(model))
