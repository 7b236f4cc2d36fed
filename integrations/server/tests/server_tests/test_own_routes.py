"""`/v1/ask`, `/v1/score` and `/v1/labels`."""

from typing import Any

import pytest

from et_agent import AskResult, ScriptedModel
from et_agent.scores import ScoreReport

from .conftest import Serve
from .support import ADD, CALL, MESSAGES, QUESTION, Served


def post(server: Served, name: str, **fields: Any) -> Any:
    return server.client.post(f"/v1/{name}", json={"model": "scripted", **fields})


def test_a_question_has_its_result(server: Served) -> None:
    found = post(server, "ask", question=QUESTION, leaves=3, seed=1, tree=True).json()
    result = found["result"]
    assert result["decision"] is None
    kept = {key: value for key, value in result.items() if key in AskResult.model_fields}
    read = AskResult.model_validate(kept)
    assert read.answer == "4"
    assert read.decoder["leaves"] == 3
    assert read.tree is not None
    assert "boxed" in read.instruction


def test_without_a_name_the_first_model_is_asked(server: Served) -> None:
    asked = server.client.post("/v1/ask", json={"question": QUESTION})
    assert asked.json()["result"]["answer"] == "4"
    scored = server.client.post("/v1/score", json={"question": QUESTION, "answer": "4"})
    assert scored.status_code == 200


def test_a_question_may_pass_a_gate(server: Served) -> None:
    found = post(server, "ask", messages=MESSAGES, answer_at=0.9, on_doubt="abstain").json()
    assert found["result"]["decision"]["action"] == "abstain"
    assert post(server, "ask", model="scripted:gated", question=QUESTION).json()["result"][
        "decision"
    ]


def test_a_schema_and_tools(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts({'{"a": 1}': 1.0}))
    found = post(server, "ask", question="x", schema={"type": "object"}).json()
    assert found["result"]["answer"] == '{"a":1}'
    calling = serve(ScriptedModel.from_texts({CALL: 1.0}))
    called = post(calling, "ask", question="x", tools=[ADD]).json()
    assert called["result"]["tool_calls"] == [{"name": "add", "arguments": {"a": 1, "b": 2}}]


@pytest.mark.parametrize(
    ("name", "fields", "param"),
    [
        ("ask", {}, "question"),
        ("ask", {"question": "x", "messages": MESSAGES}, "question"),
        ("ask", {"question": " "}, "question"),
        ("ask", {"question": "x", "leaves": 1000}, "leaves"),
        ("ask", {"question": "x", "kind": "poem"}, "kind"),
        ("score", {"question": "x", "answer": "4", "kind": "poem"}, "kind"),
        ("ask", {"question": "x", "on_doubt": "escalate"}, "on_doubt"),
        ("ask", {"question": "x", "schema": {"not": {}}}, "schema"),
        ("score", {"question": "x", "answer": ""}, "answer"),
        ("score", {"question": "x"}, "answer"),
        ("score", {"question": "x", "answer": "4", "samples": []}, "samples"),
        ("labels", {"id": "chatcmpl-1"}, "right"),
        ("labels", {"id": "chatcmpl-1", "right": "perhaps"}, "right"),
    ],
)
def test_the_field_is_named(server: Served, name: str, fields: Any, param: str) -> None:
    if name == "labels":
        response = server.client.post("/v1/labels", json=fields)
    else:
        response = post(server, name, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_a_score_says_who_agrees(server: Served) -> None:
    found = ScoreReport.model_validate(
        post(server, "score", question=QUESTION, answer="4", kind="number", seed=2).json()
    )
    assert found.agreement is not None
    assert found.agreement > 0.3
    assert found.own_answer == "4"
    given = post(server, "score", question=QUESTION, answer="4", samples=["4", "5", "4"]).json()
    assert given["agreement"] == pytest.approx(2 / 3)
    assert given["decoder"] is None
