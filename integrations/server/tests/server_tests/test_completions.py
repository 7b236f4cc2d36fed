"""`/v1/completions`: texts that go on as they are."""

from typing import Any

import pytest

from .support import Served

PATH = "/v1/completions"


def complete(server: Served, **fields: Any) -> Any:
    return server.client.post(PATH, json={"model": "scripted", "prompt": "x", **fields})


def test_a_text_goes_on(server: Served) -> None:
    found = complete(server, temperature=0).json()
    assert found["object"] == "text_completion"
    (choice,) = found["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("So \\boxed{4}", "stop")
    assert found["usage"]["completion_tokens"] == len("So \\boxed{4}") + 1


def test_several_texts_and_samples(server: Served) -> None:
    found = complete(server, prompt=[[97, 257], [98, 257]], n=2, max_tokens=2, seed=1).json()
    assert [one["index"] for one in found["choices"]] == [0, 1, 2, 3]
    assert {one["finish_reason"] for one in found["choices"]} == {"length"}
    assert {one["text"] for one in found["choices"]} <= {"So", "We", "Wh"}


def test_stop_and_log_probabilities(server: Served) -> None:
    found = complete(server, temperature=0, stop=["boxed"], logprobs=2).json()["choices"][0]
    assert (found["text"], found["finish_reason"]) == ("So \\", "stop")
    listed = found["logprobs"]
    assert "".join(listed["tokens"]) == found["text"]
    assert listed["text_offset"] == [0, 1, 2, 3]
    assert list(listed["top_logprobs"][0]) == ["S", "W"]
    assert listed["token_logprobs"][0] == pytest.approx(listed["top_logprobs"][0]["S"], abs=1e-5)


@pytest.mark.parametrize(
    "fields", [{}, {"n": 2}, {"temperature": 0, "n": 2}, {"prompt": ["a", "b"], "n": 2}]
)
def test_a_stream_says_the_same(server: Served, fields: dict[str, Any]) -> None:
    sent = {"prompt": "x", "seed": 3, **fields}
    events = server.events(PATH, stream_options={"include_usage": True}, **sent)
    whole = complete(server, **sent).json()
    for choice in whole["choices"]:
        mine = [
            one for event in events for one in event["choices"] if one["index"] == choice["index"]
        ]
        assert "".join(one["text"] for one in mine) == choice["text"]
        assert len(mine) > 4
        assert mine[-1]["finish_reason"] == choice["finish_reason"]
    assert events[-1]["usage"] == whole["usage"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["x"] * 65}, "prompt"),
        ({"prompt": [1000]}, "prompt"),
        ({"prompt": "x" * 9000}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"n": 1000}, "n"),
        ({"prompt": ["x"] * 64, "n": 64}, "n"),
        ({"model": "scripted:gated"}, "model"),
        ({"suffix": "x"}, "suffix"),
        ({"echo": True}, "echo"),
        ({"logprobs": 50}, "logprobs"),
    ],
)
def test_the_field_is_named(server: Served, fields: dict[str, Any], param: str) -> None:
    response = complete(server, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert server.idle()
