"""The server on a cluster: a replica per node, and equal beginnings to the same one."""

import json
from collections.abc import Iterator

import httpx
import pytest

pytest.importorskip("ray.serve", exc_type=ImportError)

from et_agent_ray import Hosting
from et_agent_ray.serving import application, prefix_of, ranked
from ray import serve

from et_agent.errors import ClusterError
from ray_tests.conftest import Machines
from ray_tests.models import half_knowing_model

RULES = "You are a careful clerk. " * 20


def test_a_replica_can_be_named() -> None:
    replicas = [f"r{number}" for number in range(5)]
    assert [ranked(one, replicas)[0] for one in replicas] == replicas


def body(system: str, *said: str) -> dict[str, object]:
    users = [{"role": "user", "content": one} for one in said]
    return {
        "model": "sums",
        "messages": [{"role": "system", "content": system}, *users],
        "et_agent": {"leaves": 2},
        "max_tokens": 64,
    }


def prefix(system: str, *said: str) -> str:
    return prefix_of(json.dumps(body(system, *said)).encode())


def test_a_long_beginning_is_what_counts_and_a_short_one_takes_the_first_question_in() -> None:
    assert prefix(RULES, "one") == prefix(RULES, "two")
    assert prefix(RULES, "one") != prefix(RULES + "!", "one")
    assert prefix("short", "one") != prefix("short", "two")
    assert prefix("short", "one", "more") == prefix("short", "one")
    assert prefix_of(b"") == prefix_of(b"[]") == ""


def test_a_replica_that_goes_moves_its_own_prefixes_alone() -> None:
    replicas = [f"r{number}" for number in range(5)]
    first = {str(number): ranked(str(number), replicas)[0] for number in range(500)}
    assert all(60 < list(first.values()).count(one) < 140 for one in replicas)
    for key, before in first.items():
        after = ranked(key, replicas[:-1])[0]
        assert after == before or before == "r4"


@pytest.fixture(scope="module")
def url(machines: Machines) -> Iterator[str]:
    machines.have(2)
    serve.start(http_options={"host": "127.0.0.1", "port": 18743})
    made = application(Hosting(model=half_knowing_model), name="sums", replicas=2)
    serve.run(made, name="et-agent", route_prefix="/")
    yield "http://127.0.0.1:18743"
    serve.shutdown()


def test_equal_beginnings_go_to_the_same_replica(url: str) -> None:
    places: dict[int, set[str]] = {}
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for rules in range(8):
            for number in range(3):
                asked = body(f"{RULES}{rules}", f"What is {number} + {number * 3}?")
                reply = client.post("/v1/chat/completions", json=asked)
                assert reply.status_code == 200, reply.text
                assert reply.json()["et_agent"]["distribution"]
                places.setdefault(rules, set()).add(reply.headers["et-agent-replica"])
        assert all(len(one) == 1 for one in places.values())
        assert len(set.union(*places.values())) == 2

        asked = {**body(RULES, "What is 2 + 6?"), "stream": True}
        with client.stream("POST", "/v1/chat/completions", json=asked) as streamed:
            lines = [line for line in streamed.iter_lines() if line]
        assert lines[-1] == "data: [DONE]"
        assert client.get("/v1/models").json()["data"][0]["id"] == "sums"
        assert client.post("/v1/chat/completions", json={"model": "sums"}).status_code == 400


def test_a_label_goes_to_the_replica_that_replied(url: str) -> None:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for number in range(4):
            asked = body(f"{RULES}{number}", "What is 2 + 6?")
            asked["et_agent"] = {"leaves": 2, "instruct": False}
            reply = client.post("/v1/chat/completions", json=asked)
            label = {"id": reply.json()["id"], "right": True}
            to = {"et-agent-replica": reply.headers["et-agent-replica"]}
            found = client.post("/v1/labels", json=label, headers=to)
            assert found.status_code == 200, found.text
            assert found.headers["et-agent-replica"] == to["et-agent-replica"]


def test_a_request_that_is_too_large_goes_to_no_replica(url: str) -> None:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        found = client.post("/v1/chat/completions", content=b" " * (5 * 2**20))
    assert found.status_code == 413
    assert found.json()["error"]["code"] == "request_too_large"
    assert "et-agent-replica" not in found.headers


def test_agents_are_served_too(url: str) -> None:
    pytest.importorskip("mcp")
    opening = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    accept = {"Accept": "application/json, text/event-stream"}
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        found = client.post("/mcp", json=opening, headers=accept)
    assert found.status_code == 200, found.text
    assert "et-agent" in found.text


def test_no_node_holds_the_model(machines: Machines) -> None:
    machines.have(1)
    with pytest.raises(ClusterError, match="nowhere"):
        application(Hosting(model="./nowhere.gguf"), name="x", replicas=1)
