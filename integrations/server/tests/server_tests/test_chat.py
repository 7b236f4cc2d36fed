"""`/v1/chat/completions` on scripted models: shapes of replies and streams."""

import json
from typing import Any

import pytest
from et_agent_server import following

from et_agent import AskResult, ScriptedModel

from .conftest import Serve
from .support import ADD, CALL, MESSAGES, TEXTS, Served


def test_a_reply_is_the_heaviest_leaf_with_its_report(server: Served) -> None:
    found = server.chat(seed=1).json()
    assert found["object"] == "chat.completion"
    assert found["model"] == "scripted"
    (choice,) = found["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"] in TEXTS
    report = found["et_agent"]
    assert report["answer"] == "4"
    assert report["seed"] == 1
    assert 0 < report["confidence"] < 1
    assert report["calibration"]["source"] == "general"
    assert sum(one["share"] for one in report["distribution"]) == pytest.approx(1)
    assert report["decision"] is None
    assert report["decoder"]["leaves"] == 4
    usage = found["usage"]
    assert usage["completion_tokens"] == report["usage"]["tokens_decoded"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_the_report_is_a_result(server: Served) -> None:
    report = server.chat(et_agent={"tree": True}).json()["et_agent"]
    kept = {key: value for key, value in report.items() if key in AskResult.model_fields}
    result = AskResult.model_validate(kept)
    assert result.tree is not None
    assert result.best_leaf is not None


def test_nothing_is_added_to_a_plain_conversation_and_the_instruction_to_a_gated_one(
    server: Served,
) -> None:
    assert server.chat().json()["et_agent"]["instruction"] == ""
    assert "boxed" in server.chat(et_agent={"instruct": True}).json()["et_agent"]["instruction"]
    assert "boxed" in server.chat(model="scripted:gated").json()["et_agent"]["instruction"]
    own = [{"role": "developer", "content": "Be short."}, *MESSAGES]
    assert server.chat(messages=own).json()["et_agent"]["instruction"] == "Be short."


def test_the_same_seed_gives_the_same_reply(server: Served) -> None:
    def essence(found: dict[str, Any]) -> tuple[object, ...]:
        return found["choices"], found["et_agent"]["distribution"]

    first = server.chat(seed=7).json()
    assert essence(first) == essence(server.chat(seed=7).json())
    seeds = {server.chat(seed=None).json()["et_agent"]["seed"] for _ in range(3)}
    assert len(seeds) == 3


def test_n_gives_independent_samples_and_their_shares(server: Served) -> None:
    found = server.chat(n=8, seed=2).json()
    assert [one["index"] for one in found["choices"]] == list(range(8))
    texts = [one["message"]["content"] for one in found["choices"]]
    assert set(texts) <= set(TEXTS)
    assert len(set(texts)) > 1
    assert found["et_agent"]["decoder"]["name"] == "MultiChain"
    for one in found["choices"]:
        says = [other["et_agent"]["answer"] for other in found["choices"]]
        assert one["et_agent"]["share"] == pytest.approx(
            says.count(one["et_agent"]["answer"]) / 8, abs=1e-6
        )


def test_temperature_0_takes_the_likeliest_tokens_as_often_as_wanted(server: Served) -> None:
    found = server.chat(n=3, temperature=0).json()
    assert [one["message"]["content"] for one in found["choices"]] == ["So \\boxed{4}"] * 3
    assert found["et_agent"]["decoder"]["name"] == "Greedy"


def test_max_tokens_and_stop_end_a_reply(server: Served) -> None:
    cut = server.chat(max_tokens=2, temperature=0).json()["choices"][0]
    assert (cut["message"]["content"], cut["finish_reason"]) == ("So", "length")
    newer = server.chat(max_completion_tokens=1, temperature=0).json()["choices"][0]
    assert newer["message"]["content"] == "S"
    stopped = server.chat(stop="boxed", temperature=0).json()["choices"][0]
    assert (stopped["message"]["content"], stopped["finish_reason"]) == ("So \\", "stop")


def test_log_probabilities_spell_the_reply(server: Served) -> None:
    found = server.chat(temperature=0, logprobs=True, top_logprobs=2).json()["choices"][0]
    listed = found["logprobs"]["content"]
    assert "".join(one["token"] for one in listed) == found["message"]["content"]
    first = listed[0]
    assert first["bytes"] == [ord("S")]
    assert [one["token"] for one in first["top_logprobs"]] == ["S", "W"]
    assert first["logprob"] == pytest.approx(first["top_logprobs"][0]["logprob"], abs=1e-4)


def test_a_tool_is_called(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts({CALL: 0.7, "It is 3": 0.3}))
    found = server.chat(tools=[ADD]).json()
    (choice,) = found["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["function"]["name"] == "add"
    assert json.loads(call["function"]["arguments"]) == {"a": 1, "b": 2}
    assert found["et_agent"]["fields"]["add.a"]["value"] == 1
    answered = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": choice["message"]["tool_calls"]},
        {"role": "tool", "tool_call_id": call["id"], "content": "3"},
    ]
    assert server.chat(tools=[ADD], messages=answered, tool_choice="none").status_code == 200


def test_one_call_is_enough_where_parallel_ones_are_not_wanted(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts({CALL + CALL: 1.0}))
    both = server.chat(tools=[ADD], temperature=0).json()["choices"][0]["message"]
    assert len(both["tool_calls"]) == 2
    one = server.chat(tools=[ADD], temperature=0, parallel_tool_calls=False).json()
    assert len(one["choices"][0]["message"]["tool_calls"]) == 1


def test_a_refusal_is_part_of_the_history(serve: Serve) -> None:
    """A gate's refusal of JSON has no content, and goes back with the next question."""
    server = serve(ScriptedModel.from_texts({'{"legs": 4}': 0.6, '{"legs": 5}': 0.4}))
    refused = server.chat(
        response_format={"type": "json_object"}, et_agent={"answer_at": 1, "on_doubt": "abstain"}
    ).json()["choices"][0]["message"]
    assert refused["content"] is None
    assert refused["refusal"]
    later = server.chat(messages=[*MESSAGES, refused, *MESSAGES])
    assert later.status_code == 200, later.text
    part = {"role": "assistant", "content": [{"type": "refusal", "refusal": refused["refusal"]}]}
    assert server.chat(messages=[*MESSAGES, part, *MESSAGES]).status_code == 200


def test_a_schema_is_kept(serve: Serve) -> None:
    schema = {
        "type": "object",
        "properties": {"legs": {"type": "integer"}},
        "required": ["legs"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "legs", "schema": schema}}
    server = serve(ScriptedModel.from_texts({'{"legs": 4}': 0.6, "four": 0.4}))
    found = server.chat(response_format=form).json()
    assert json.loads(found["choices"][0]["message"]["content"]) == {"legs": 4}
    assert found["et_agent"]["fields"]["legs"]["value"] == 4
    loose = server.chat(response_format={"type": "json_object"}).json()
    assert isinstance(json.loads(loose["choices"][0]["message"]["content"]), dict)


def test_passages_are_answered_from(server: Served) -> None:
    found = server.chat(et_agent={"context": ["A cat has 4 legs."]}).json()["et_agent"]
    assert found["passages"] == ["A cat has 4 legs."]


def joined(events: list[dict[str, Any]], index: int = 0) -> str:
    deltas = [one for event in events for one in event["choices"] if one["index"] == index]
    return "".join(one["delta"].get("content") or "" for one in deltas)


@pytest.mark.parametrize("fields", [{"temperature": 0}, {"et_agent": {"leaves": 1}}, {}])
def test_a_stream_says_the_same_as_a_reply(server: Served, fields: dict[str, Any]) -> None:
    events = server.events(seed=3, **fields)
    whole = server.chat(seed=3, **fields).json()
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    pieces = [one for event in events for one in event["choices"] if one["delta"].get("content")]
    assert len(pieces) > 5  # token by token
    last = events[-1]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["et_agent"]["answer"] == whole["et_agent"]["answer"]
    assert last["et_agent"]["distribution"] == whole["et_agent"]["distribution"]
    if last["et_agent"]["streamed"] == "confirmed":
        assert joined(events) in TEXTS
        assert last["et_agent"]["reply"] is None
    else:
        assert last["et_agent"]["reply"] == whole["choices"][0]["message"]["content"]


def test_a_stream_tells_that_another_answer_won(serve: Serve) -> None:
    texts = {"It is \\boxed{5}": 0.34, "So \\boxed{4}": 0.33, "Thus \\boxed{4}": 0.33}
    server = serve(ScriptedModel.from_texts(texts), leaves=16)
    told = {}
    for seed in range(8):
        events = server.events(seed=seed)
        report = events[-1]["et_agent"]
        told[report["streamed"]] = (joined(events), report)
        if len(told) == 2:
            break
    shown, report = told["replaced"]
    assert report["answer"] not in shown
    assert report["answer"] in report["reply"]
    shown, report = told["confirmed"]
    assert report["answer"] in shown


def test_a_stream_may_wait_for_the_reply(server: Served) -> None:
    events = server.events(seed=3, et_agent={"shows": "reply"})
    pieces = [one for event in events for one in event["choices"] if one["delta"].get("content")]
    assert len(pieces) == 1
    assert joined(events) == server.chat(seed=3).json()["choices"][0]["message"]["content"]
    assert events[-1]["et_agent"]["streamed"] is None


@pytest.mark.parametrize("temperature", [0, 0.7])
def test_several_choices_are_streamed_side_by_side(server: Served, temperature: float) -> None:
    events = server.events(n=3, seed=3, temperature=temperature)
    whole = server.chat(n=3, seed=3, temperature=temperature).json()
    for choice in whole["choices"]:
        assert joined(events, choice["index"]) == choice["message"]["content"]
    order = [one["index"] for event in events for one in event["choices"]]
    assert order != sorted(order)
    assert sum("et_agent" in event for event in events) == 1


def test_a_slow_client_gets_larger_pieces(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = server.chat(n=3, seed=3).json()
    monkeypatch.setattr(following, "_MOST_WAITING", 0)
    events = server.events(n=3, seed=3)
    pieces = [one for event in events for one in event["choices"] if one["delta"].get("content")]
    assert len(pieces) == 3
    for choice in whole["choices"]:
        assert joined(events, choice["index"]) == choice["message"]["content"]


def test_a_stream_tells_its_usage_where_it_is_wanted(server: Served) -> None:
    events = server.events(seed=3, stream_options={"include_usage": True})
    assert events[-1]["choices"] == []
    assert events[-1]["usage"] == server.chat(seed=3).json()["usage"]
    assert all("usage" not in one for one in events[:-1])


def test_a_streamed_tool_call_is_whole(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts({f"I add. {CALL}": 1.0}))
    events = server.events(tools=[ADD])
    assert joined(events) == "I add."
    calls = [
        call
        for event in events
        for one in event["choices"]
        for call in one["delta"].get("tool_calls") or ()
    ]
    assert [one["function"]["name"] for one in calls] == ["add"]
    assert calls[0]["index"] == 0
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"
