"""Questions to servers: what they are asked, and what is read of their replies."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from et_agent import Direct, EntropyTree, Greedy, MultiChain, OpenAICompatibleModel, ask
from et_agent.errors import EtAgentError, SettingsError, UnsupportedModelError
from et_agent.gate import Clarifier, Gate, GatePolicy
from tests.engines.openai_server import (
    Body,
    OpenAIServer,
    Respond,
    choice,
    completion,
    model_behind,
    serving,
)

if TYPE_CHECKING:
    from et_agent.engines.llama_cpp.model import LlamaCppModel

CHAINS = MultiChain(leaves=2)
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
Behind = Callable[..., tuple[OpenAIServer, OpenAICompatibleModel]]


@pytest.fixture
def behind() -> Iterator[Behind]:
    with ExitStack() as stack:

        def make(given: Body | Respond) -> tuple[OpenAIServer, OpenAICompatibleModel]:
            respond = given if callable(given) else lambda _: completion(given)
            server = stack.enter_context(serving(respond))
            return server, stack.enter_context(OpenAICompatibleModel(server.url))

        yield make


def call(arguments: Any, name: str = "weather") -> Body:
    said = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": said}}


def calling(*calls: Body) -> Body:
    return choice(None, tool_calls=list(calls), finish="tool_calls")


@pytest.mark.parametrize("decoder", [EntropyTree(), EntropyTree(leaves=2), Direct()])
def test_decoders_that_need_logits_are_refused_with_those_that_do_not(
    behind: Behind, decoder: Any
) -> None:
    server, model = behind(choice("x"))
    with pytest.raises(UnsupportedModelError, match="use MultiChain or Greedy"):
        ask(model, "A or B?\nA) x\nB) y", decoder=decoder)
    assert not server.requests


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"chat": "plain"}, SettingsError, "chat='model'"),
        ({"thinking": "on"}, UnsupportedModelError, "template_options"),
        ({"thinking": "off"}, UnsupportedModelError, "template_options"),
        ({"same": "meaning"}, UnsupportedModelError, "same='tests'"),
        ({"attention": True}, UnsupportedModelError, "attention"),
    ],
)
def test_options_that_need_the_template_are_refused(
    behind: Behind, options: Any, error: type[EtAgentError], told: str
) -> None:
    _, model = behind(choice("x"))
    with pytest.raises(error, match=told):
        ask(model, "2 + 3?", **options)


def test_options_reach_the_server(behind: Behind) -> None:
    server, model = behind(choice("\\boxed{5}"))
    ask(
        model,
        "2 + 3?",
        decoder=MultiChain(leaves=1, temperature=0.5, max_tokens=50),
        stop=["\n\n", "}"],
        template_options={"enable_thinking": False},
        max_thinking_tokens=100,
        system_prompt="Be brief. \\boxed{}",
    )
    (body,) = server.requests
    assert body["temperature"] == 0.5
    assert body["max_tokens"] == 150  # thought and reply
    assert body["stop"] == ["\n\n"]  # a box may end with the other
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert [one["role"] for one in body["messages"]] == ["system", "user"]
    assert body["messages"][0]["content"].startswith("Be brief")


def test_a_stop_sequence_that_closes_a_box_is_looked_for_here(behind: Behind) -> None:
    _, model = behind(choice("So \\boxed{5} and \\boxed{6}"))
    result = ask(model, "2 + 3?", decoder=CHAINS, stop=["}"])
    assert result.answer == "5"
    assert result.tree is not None
    assert result.tree.leaves[0].text == "So \\boxed{5"


def test_seeds_of_questions_differ(behind: Behind) -> None:
    server, model = behind(choice("x"))
    for seed in (0, 1):
        ask(model, "2 + 3?", decoder=MultiChain(leaves=3), seed=seed)
    assert len({body["seed"] for body in server.requests}) == len(server.requests)


def test_a_tool_call_is_an_answer(behind: Behind) -> None:
    server, model = behind(calling(call({"city": "Oslo", "days": 2})))
    result = ask(model, "Weather in Oslo?", decoder=CHAINS, tools=[WEATHER], tool_choice="any")
    (found,) = result.tool_calls
    assert found.name == "weather"
    assert found.arguments == {"city": "Oslo", "days": 2}
    assert result.kind == "tool_call"
    assert result.share == 1.0
    assert result.fields["weather.city"].share == 1.0
    assert result.confidence is not None
    (body, *_) = server.requests
    assert body["tool_choice"] == "required"
    assert body["tools"] == [WEATHER]


def test_words_where_a_tool_may_be_called_are_an_answer_in_words(behind: Behind) -> None:
    server, model = behind(choice("I do not know. \\boxed{5}"))
    result = ask(model, "2 + 3?", decoder=CHAINS, tools=[WEATHER])
    assert result.answer == "5"
    assert result.tool_calls == ()
    assert server.requests[0]["tool_choice"] == "auto"


def test_a_tool_by_name_and_none(behind: Behind) -> None:
    server, model = behind(calling(call({"city": "Oslo", "days": 2})))
    ask(model, "Weather?", decoder=CHAINS, tools=[WEATHER], tool_choice="weather")
    assert server.requests[0]["tool_choice"]["function"]["name"] == "weather"
    server.requests.clear()
    function: Any = WEATHER["function"]
    called = {**WEATHER, "function": {**function, "name": "any"}}
    wanted = {"type": "function", "function": {"name": "any"}}
    ask(model, "Weather?", decoder=CHAINS, tools=[called, WEATHER], tool_choice=wanted)
    assert server.requests[0]["tool_choice"] == wanted
    assert not server.requests[0].get("parallel_tool_calls")
    server.requests.clear()
    ask(model, "Weather?", decoder=CHAINS, tools=[WEATHER], tool_choice="none")
    assert "tools" not in server.requests[0]


@pytest.mark.parametrize(
    "calls",
    [
        [call({"city": "Oslo"})],
        [call({"city": "Oslo", "days": "two"})],
        [call({"city": "Oslo", "days": 2}, name="other")],
        [call('{"city": "Oslo", ')],
        [call("[]")],
        [call({"city": "Oslo", "days": 2}), call({"city": "Rome"})],
        [call('{"city": "a", "days": 1}}</tool_call><tool_call>{"name": "weather", "arguments": '
              '{"city": "b", "days": 2}')],
        [call({"city": "b", "days": 2}, name='weather", "arguments": {"city": "a", "days": 1}}'
              '</tool_call><tool_call>{"name": "weather')],
    ],
)  # fmt: skip
def test_calls_that_do_not_fit_are_no_answers(behind: Behind, calls: list[Body]) -> None:
    _, model = behind(calling(*calls))
    result = ask(model, "Weather?", decoder=CHAINS, tools=[WEATHER], tool_choice="any")
    assert result.tool_calls == ()
    assert result.answer is None
    assert result.confidence is None


def test_a_reply_may_make_several_calls_unless_a_tool_is_named(behind: Behind) -> None:
    both = [call({"city": city, "days": 2}) for city in ("Oslo", "Rome")]
    server, model = behind(calling(*both))
    for choice_of_tool, count in (("auto", 2), ("any", 2), ("weather", 0)):
        server.requests.clear()
        result = ask(model, "Weather?", decoder=CHAINS, tools=[WEATHER], tool_choice=choice_of_tool)
        assert len(result.tool_calls) == count
        assert server.requests[0]["parallel_tool_calls"] is (count == 2)


def test_results_without_ids_answer_the_calls_in_their_order(behind: Behind) -> None:
    server, model = behind(choice("\\boxed{dry}"))
    cities = ("Oslo", "Rome")
    made = [{"function": {"name": "weather", "arguments": {"city": one}}} for one in cities]
    turn = [
        {"role": "assistant", "content": "", "tool_calls": made},
        {"role": "tool", "content": "rain"},
        {"role": "tool", "content": "sun"},
    ]
    said: list[Any] = [{"role": "user", "content": "Weather?"}, *turn, *turn]
    ask(model, said, decoder=CHAINS, tools=[WEATHER])
    sent = [one for one in server.requests[0]["messages"] if one["role"] != "system"]
    ids = [one["id"] for message in sent for one in message.get("tool_calls", ())]
    assert len(set(ids)) == 4
    assert [one["tool_call_id"] for one in sent if one["role"] == "tool"] == ids


@pytest.mark.parametrize(
    "options",
    [
        {"tools": [{"type": "function", "function": {"name": "x", "description": "\ud800"}}]},
        {"template_options": {"x": "\ud800"}},
        {"stop": ["\ud800"]},
    ],
)
def test_halves_of_surrogate_pairs_are_refused(behind: Behind, options: Any) -> None:
    server, model = behind(choice("x"))
    with pytest.raises(SettingsError, match=r"JSON|UTF-8"):
        ask(model, "2 + 3?", **options)
    assert not server.requests


def test_long_answers_have_no_confidence_and_no_votes(behind: Behind) -> None:
    _, model = behind(choice("Oslo is a city. It lies in Norway."))
    result = ask(model, "Tell me about Oslo.", kind="long", decoder=CHAINS)
    assert result.confidence is None
    assert any("no server" in note for note in result.notes)
    with pytest.raises(SettingsError, match="stop_risk"):
        ask(model, "Oslo?", kind="long", decoder=MultiChain(leaves=2, stop_risk=0.1))


def test_arguments_in_another_order_are_the_same_call(behind: Behind) -> None:
    turns = iter([{"city": "Oslo", "days": 2}, {"days": 2, "city": "Oslo"}] * 2)
    _, model = behind(lambda _: completion(calling(call(next(turns)))))
    result = ask(model, "Weather?", decoder=CHAINS, tools=[WEATHER], tool_choice="any")
    assert result.share == 1.0


def test_a_conversation_with_calls_is_sent_as_the_interface_has_it(behind: Behind) -> None:
    server, model = behind(choice("It rains. \\boxed{rain}"))
    said: list[Any] = [
        {"role": "user", "content": "Weather in Oslo?"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "I shall look.",
            "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}],
        },
        {"role": "tool", "content": "rain"},
        {"role": "user", "content": "So?"},
    ]
    ask(model, said, decoder=CHAINS, tools=[WEATHER])
    _, assistant, tool, _ = server.requests[0]["messages"][-4:]
    (made,) = assistant["tool_calls"]
    assert json.loads(made["function"]["arguments"]) == {"city": "Oslo"}
    assert made["type"] == "function"
    assert tool["tool_call_id"] == made["id"]
    assert "reasoning_content" not in assistant


def test_json_that_fits_is_an_answer_with_fields(behind: Behind) -> None:
    server, model = behind(choice('{"age": 30, "name": "Ada"}'))
    result = ask(model, "Who?", decoder=CHAINS, schema=PERSON)
    assert result.answer == '{"age":30,"name":"Ada"}'
    assert result.kind == "json"
    assert result.fields["age"].value == 30
    assert result.fields["age"].confidence is not None
    form = server.requests[0]["response_format"]
    assert form["json_schema"]["schema"] == PERSON
    assert "stop" not in server.requests[0]


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Ada"}',
        '{"name": "Ada", "age": "30"}',
        '{"name": "Ada", "age": 30, "more": 1}',
        'Sure: {"name": "Ada", "age": 30}',
        '{"name": "Ada", "age": 30',
        "",
    ],
)
def test_json_that_no_server_checked_and_that_does_not_fit_is_none(
    behind: Behind, text: str
) -> None:
    _, model = behind(choice(text))
    result = ask(model, "Who?", decoder=CHAINS, schema=PERSON)
    assert result.answer is None
    assert result.confidence is None


def test_options_are_answered_by_letter(behind: Behind) -> None:
    _, model = behind(choice("It is \\boxed{B}."))
    result = ask(model, "Which is even?\nA) 3\nB) 4")
    assert result.answer == "B"
    assert result.kind == "choice"


def test_passages_are_shown_and_a_confidence_that_needs_more_is_not_made_up(
    behind: Behind,
) -> None:
    server, model = behind(choice("Ada"))
    result = ask(model, "Who wrote it?", context="Ada wrote it.")
    assert result.answer == "Ada"
    assert "Ada wrote it." in server.requests[0]["messages"][-1]["content"]
    assert result.confidence is None
    assert any("no confidence" in note for note in result.notes)


def test_a_gate_decides_by_the_general_confidence(behind: Behind) -> None:
    _, model = behind(choice("\\boxed{5}"))
    decision = Gate(GatePolicy(answer_at=0.9)).ask(model, "2 + 3?", decoder=MultiChain(leaves=8))
    assert decision.action == "abstain"
    assert "general map" in decision.reason
    share = GatePolicy(answer_at=0.9, uncalibrated="share")
    asked = Gate(share).ask(model, "2 + 3?", decoder=MultiChain(leaves=8), calibrator=None)
    assert asked.answer == "5"


def test_calibrators_are_found_by_the_servers_model(behind: Behind) -> None:
    _, model = behind(choice("\\boxed{5}"))
    result = ask(model, "2 + 3?", decoder=CHAINS)
    assert result.model.fingerprint == model.info.fingerprint
    assert result.calibration is not None
    assert result.calibration.notes == ("no calibrator for this model",)


def test_readings_of_a_question_need_logits(behind: Behind) -> None:
    _, model = behind(choice("x"))
    with pytest.raises(UnsupportedModelError, match="needs logits"):
        Clarifier(model)


@pytest.mark.model
def test_a_model_behind_a_server_says_what_it_says_here(small_model: "LlamaCppModel") -> None:
    question, greedy = "Tom has 3 boxes with 4 pens each. How many pens?", Greedy(max_tokens=40)
    chains = MultiChain(leaves=3, max_tokens=40)
    with (
        serving(model_behind(small_model)) as server,
        OpenAICompatibleModel(server.url) as model,
    ):
        here, there = (ask(one, question, decoder=greedy, seed=0) for one in (small_model, model))
        assert here.tree is not None
        assert there.tree is not None
        assert there.tree.leaves[0].text == here.tree.leaves[0].text
        assert there.answer == here.answer
        known = [one for one in here.tree.nodes[0].log_probs if one is not None]
        told = [one for one in there.tree.nodes[0].log_probs if one is not None]
        assert told[:-1] == pytest.approx(known[: len(told) - 1], abs=0.05)
        sampled = ask(model, question, decoder=chains)
        assert sampled.usage.leaves == 3
        assert sampled.features.keys() == here.features.keys()
