"""Trees that are told while they grow."""

from typing import Any

import pytest
from et_agent_server.routes.events import AskEvent

from et_agent import ScriptedModel
from et_agent.gate import GatePolicy

from .conftest import Serve
from .support import QUESTION, TEXTS, Served, endless, raw_request, until

PATH = "/v1/ask/events"


def events(server: Served, **fields: Any) -> list[Any]:
    """The events of a question, each of which has to fit its description."""
    fields = {"messages": None, "stream": None, "question": QUESTION, **fields}
    given = {name: value for name, value in fields.items() if value is not None}
    with server.client.stream("POST", PATH, json={"model": "scripted", **given}) as response:
        assert response.status_code == 200, response.read()
        lines = [line[6:] for line in response.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [AskEvent.model_validate_json(line).root for line in lines[:-1]]


def test_text_and_trees_come_before_the_result(server: Served) -> None:
    found = events(server, seed=1, leaves=4)
    kinds = [one.type for one in found]
    assert (kinds[0], kinds[-1]) == ("began", "end")
    assert kinds.index("text") < kinds.index("tree") or kinds.index("tree") < len(kinds) - 1
    end, trees = found[-1], [one for one in found if one.type == "tree"]
    assert found[0].id == end.id
    assert "".join(one.text for one in found if one.type == "text") == end.reply
    last = trees[-1].tree
    assert [leaf.answer for leaf in last.leaves] == [leaf.answer for leaf in end.result.tree.leaves]
    assert [node.text for node in last.nodes] == [node.text for node in end.result.tree.nodes]
    label = server.client.post("/v1/labels", json={"id": end.id, "right": True})
    assert label.json()["learnt"]


def test_a_gate_s_decision_is_in_the_end(serve: Serve, tmp_path: Any) -> None:
    with (
        ScriptedModel.from_texts(TEXTS) as small,
        ScriptedModel.from_texts({"So \\boxed{6}": 1.0}) as large,
    ):
        server = serve(
            {"scripted": small, "large": large},
            escalate_to="large",
            policy=GatePolicy(answer_at=0.6, cautious=False),
            decisions=str(tmp_path / "log.db"),
        )
        found = events(server, model="scripted:gated", seed=1)
        assert found[0].gated
        assert found[-1].result.decision.escalated
        assert found[-1].reply == "So \\boxed{6}"
        kept = events(server, on_doubt="abstain", seed=1)[-1]
        assert kept.result.decision.action == "abstain"
        assert "not sure enough" in kept.reply
        listed = server.client.get("/v1/decisions").json()
    assert [one["action"] for one in listed["decisions"]] == ["abstain", "answer"]


def test_a_refusal_of_json_is_the_reply(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts({'{"legs": 4}': 0.6, '{"legs": 5}': 0.4}))
    asked = {"schema": {"type": "object"}, "answer_at": 1, "on_doubt": "abstain"}
    assert "not sure enough" in events(server, **asked)[-1].reply


def test_what_cannot_be_asked_is_refused_before_the_stream(server: Served) -> None:
    response = server.client.post(PATH, json={"model": "scripted"})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "question"


def test_who_stalls_is_left(serve: Serve) -> None:
    server = serve(endless(0), send_seconds=0.3, seconds=60)
    body = b'{"model": "scripted", "question": "q", "max_tokens": 8000, "leaves": 16}'
    with raw_request(server.url, body, path=PATH):
        assert until(lambda: server.state.admission.decoding == 1)
        assert server.idle(30)


def test_an_error_ends_the_stream(serve: Serve) -> None:
    server = serve(endless(0.01), seconds=0.5)
    with server.client.stream(
        "POST", PATH, json={"model": "scripted", "question": "q", "leaves": 1}
    ) as response:
        lines = [line for line in response.iter_lines() if line.startswith("data: ")]
    assert '"code": "timeout"' in lines[-1]
    assert server.idle()


def test_the_page_is_open_and_its_data_are_not(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts(TEXTS), api_keys=("a-key-of-some-length",))
    page = server.client.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    assert 'data-key="needed"' in page.text
    for name in ("app.js", "result.js", "result.css", "page.css", "icon.svg"):
        assert server.client.get(f"/ui/{name}").status_code == 200, name
    for path in ("/v1/offer", "/v1/runs", "/v1/runs/x/risk", "/v1/decisions"):
        assert server.client.get(path).status_code == 401, path
    assert server.client.post(PATH, json={}).status_code == 401


@pytest.mark.parametrize(
    "name", ["index.html", "nothing.js", "..%2Fapp.py", "%2e%2e%2fapp.py", "page.py"]
)
def test_other_files_are_not_given(server: Served, name: str) -> None:
    assert server.client.get(f"/ui/{name}").status_code == 404


def test_what_can_be_asked_for_is_told(server: Served) -> None:
    found = server.client.get("/v1/offer").json()
    assert found["models"] == ["scripted"]
    assert found["doubts"] == ["abstain", "ask", "mark"]  # there is no larger model
    assert not found["keeps_decisions"]
    assert server.client.get("/v1/decisions").json()["error"]["code"] == "no_log"
