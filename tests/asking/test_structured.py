"""Conversations, tools, schemas and stop sequences, from the question to the result."""

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from et_agent import AskResult, EntropyTree, Greedy, MultiChain, ScriptedModel, ask, submit
from et_agent.answers import AnswerKind, instruction
from et_agent.calibration import Calibrator, Fingerprint
from et_agent.decoding.naming import described
from et_agent.engines.scripted import TURN
from et_agent.errors import (
    CalibratorMismatchError,
    ModelClosedError,
    QuestionError,
    SettingsError,
    UnsupportedModelError,
)
from et_agent.results import ToolCall
from et_agent.templates.messages import Message, Tool

CHAINS = MultiChain(leaves=20, temperature=1)
TREES = [
    EntropyTree(leaves=8, roots=4, temperature=1, tau=0.1, value="mass_per_token"),
    EntropyTree(leaves=16, temperature=1),
    EntropyTree(schedule="stratified", leaves=16, temperature=1),
    CHAINS,
]


@pytest.fixture(autouse=True)
def _no_pilots(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))


def tool(name: str, **properties: str) -> Tool:
    parameters = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


ADD, FIND = tool("add", a="integer", b="integer"), tool("find", q="string")


def call(name: str, arguments: str) -> str:
    return f'<tool_call>{{"name": "{name}", "arguments": {arguments}}}</tool_call>'


class Recorder(ScriptedModel):
    """Remembers the prompt it was asked to tokenise."""

    prompt: tuple[int, ...] = ()

    def chat_tokens(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        options: Mapping[str, Any] | None = None,
    ) -> list[int]:
        self.prompt = tuple(super().chat_tokens(messages, tools, options))
        return list(self.prompt)


REPLIES = {
    call("add", '{"a":1,"b":2}'): 0.3,
    call("add", '{"a": 1, "b": 2}'): 0.2,
    call("add", '{"b": 1}'): 0.1,
    "I shall add. " + call("add", '{"a":1,"b":2}'): 0.1,
    "It is \\boxed{3}": 0.2,
    call("find", '{"q":"x"}'): 0.1,
}


def shares(result: AskResult) -> dict[str | None, float]:
    return {one.answer: one.share for one in result.distribution}


# --- Tools


def test_equal_calls_are_one_answer_among_answers_in_words() -> None:
    with ScriptedModel.from_texts(REPLIES) as model:
        decoder = EntropyTree(schedule="stratified", leaves=64, temperature=1)
        result = ask(model, "What is 1 + 2?", tools=[ADD, FIND], decoder=decoder)
    # {"b": 1} lacks a: its beginning goes on as the grammar allows, here {"a".
    truth = {'add({"a":1,"b":2})': 0.7, "3": 0.2, 'find({"q":"x"})': 0.1}
    assert shares(result) == pytest.approx(truth, abs=0.05)
    assert result.answer == 'add({"a":1,"b":2})'
    assert result.tool_calls == (ToolCall(name="add", arguments={"a": 1, "b": 2}),)
    assert (result.kind, result.kind_reason) == ("tool_call", "the answer calls a tool")
    assert result.calibration is not None
    assert result.calibration.source == "general"
    assert AskResult.model_validate_json(result.model_dump_json()) == result
    assert result.tree is not None
    assert {leaf.found_by for leaf in result.tree.leaves} == {"tool call", "boxed"}


@pytest.mark.parametrize("decoder", TREES)
@pytest.mark.parametrize("choice", ["any", "add", "find"])
def test_a_call_that_must_be_made_is_made(decoder: Any, choice: str) -> None:
    with ScriptedModel.from_texts(REPLIES) as model:
        result = ask(
            model, "What is 1 + 2?", tools=[ADD, FIND], tool_choice=choice, decoder=decoder
        )
    allowed = {"add", "find"} if choice == "any" else {choice}
    assert result.tree is not None
    for leaf in result.tree.leaves:
        (made,) = leaf.tool_calls
        assert made.name in allowed
        assert leaf.finish == "stop"
    assert result.kind == "tool_call"
    assert sum(shares(result).values()) == pytest.approx(1)


BARE = '{"name": "add", "arguments": {"a":1,"b":2}}'


@pytest.mark.parametrize(
    "reply",
    [
        BARE,
        f"```json\n{BARE}\n```",
        f" {BARE} and so on",
        BARE.replace('{"name": ', '{\n  "name":'),
        BARE.replace('"b":2}', '"c":2}'),  # the grammar holds, whatever the model would say
        BARE.replace('"arguments"', '"parameters"'),
    ],
)
def test_a_call_without_the_templates_tags_is_a_call(reply: str) -> None:
    with ScriptedModel.from_texts({BARE: 0.2, reply: 0.8}) as model:
        pending = submit(model, "1 + 2?", tools=[FIND, ADD], decoder=Greedy())
        result = pending.result()
        assert result.answer == 'add({"a":1,"b":2})' or '"c"' in reply or "param" in reply
        assert result.best_leaf is not None
        assert result.best_leaf.text.endswith("}")
        assert pending.content(result.best_leaf) == ""
        (made,) = result.tool_calls
        assert set(made.arguments) == {"a", "b"}


@pytest.mark.parametrize(
    "reply",
    [
        '{"name": "Ann", "age": 3}',
        f"Here: {BARE}",
        '{"a": 1}',
        '{"name": "addition"}',
        '"name": "a',
    ],
)
def test_other_json_is_no_call(reply: str) -> None:
    with ScriptedModel.from_texts({reply: 1.0}) as model:
        pending = submit(model, "Who?", kind="text", tools=[ADD], decoder=Greedy())
        result = pending.result()
        assert result.tool_calls == ()
        assert result.best_leaf is not None
        assert result.best_leaf.text == pending.content(result.best_leaf) == reply


def test_no_call_is_made_when_none_is_to_be() -> None:
    with Recorder.from_texts({"It is \\boxed{3}": 1.0}) as model:
        assert isinstance(model, Recorder)
        result = ask(model, "1 + 2?", tools=[ADD], tool_choice="none", decoder=Greedy())
        assert b"add" not in bytes(token for token in model.prompt if token < 256)
    assert (result.answer, result.tool_calls, result.kind) == ("3", (), "number")
    assert result.instruction == instruction(AnswerKind.NUMBER)


def test_answers_in_words_are_compared_as_such_when_tools_are_there() -> None:
    replies = {"\\boxed{\\frac{1}{2}}": 0.4, "\\boxed{0.5}": 0.3, call("add", '{"a":1,"b":2}'): 0.3}
    with ScriptedModel.from_texts(replies) as model:
        result = ask(model, "Solve for x.", kind="math", tools=[ADD], decoder=CHAINS)
    assert len(result.distribution) == 2
    assert (result.kind, result.tool_calls) == ("math", ())


def test_a_call_that_is_cut_off_is_no_answer() -> None:
    with ScriptedModel.from_texts(REPLIES) as model:
        result = ask(
            model,
            "1 + 2?",
            tools=[ADD],
            tool_choice="any",
            decoder=MultiChain(leaves=3, max_tokens=40),
        )
        assert (result.answer, result.tool_calls, result.kind) == (None, (), "tool_call")
        pending = submit(
            model, "1 + 2?", tools=[ADD], tool_choice="any", decoder=Greedy(max_tokens=40)
        )
        leaf = pending.result().best_leaf
        assert leaf is not None
        assert (pending.content(leaf), leaf.finish) == ("", "length")


def test_what_is_said_before_a_call_is_content() -> None:
    reply = "I shall add. " + call("add", '{"a":1,"b":2}')
    with ScriptedModel.from_texts({reply: 1.0}) as model:
        pending = submit(model, "1 + 2?", tools=[ADD], decoder=Greedy())
        leaf = pending.result().best_leaf
        assert leaf is not None
        assert leaf.text == reply
        assert pending.content(leaf) == "I shall add."


def test_tools_are_shown_and_a_conversation_goes_on_after_them() -> None:
    conversation: list[Message] = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "1 + 2?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1}}}],
        },
        {"role": "tool", "content": "3"},
    ]
    with Recorder.from_texts({"It is \\boxed{3}": 1.0}) as model:
        assert isinstance(model, Recorder)
        result = ask(model, conversation, tools=[ADD], decoder=Greedy())
        said = bytes(t if t < 256 else 10 for t in model.prompt).decode().split("\n")
    shown = json.dumps(ADD)
    assert said == ["", shown, "Be kind.", "1 + 2?", call("add", '{"a": 1}'), "3", ""]
    assert (result.question, result.instruction) == ("1 + 2?", "Be kind.")
    assert result.answer == "3"


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def test_parameters_in_several_ways_hold_what_these_name() -> None:
    one = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    other = {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]}
    several: list[dict[str, Any]] = [
        {"anyOf": [one, other]},
        {"type": "object", "oneOf": [one, other]},
        {"$ref": "#/$defs/A", "$defs": {"A": one}},
    ]
    for parameters in several:
        pay: Tool = {"type": "function", "function": {"name": "pay", "parameters": parameters}}
        replies = {call("pay", '{"a":1}'): 0.4, call("pay", '{"a":1,"x":1}'): 0.6}
        with ScriptedModel.from_texts(replies) as model:
            decoder = EntropyTree(schedule="stratified", leaves=32, temperature=1)
            result = ask(model, "?", tools=[pay], tool_choice="any", decoder=decoder)
        assert set(shares(result)) == {'pay({"a":1})'}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tools": [ADD], "tool_choice": "sub"}, "'sub': use one of auto, any, none, add"),
        ({"tool_choice": "any"}, "there are no tools"),
        ({"tool_choice": "add"}, "tool_choice is 'add'"),
        ({"tools": [ADD, ADD]}, "two tools are called add"),
        ({"tools": [{"name": "add"}]}, "tool 1 has no name"),
        ({"tools": ["add"]}, "tool 1 has no name"),
        ({"tools": 5}, "pass a list of tools"),
        ({"tools": [{"function": {"name": "a", "x": {1}}}]}, "tool a is not valid JSON"),
        (
            {"tools": [{"function": {"name": "a", "parameters": {"not": {}}}}]},
            "tool a: no grammar can express",
        ),
        (
            {"tools": [{"function": {"name": "a", "parameters": {"type": "array"}}}]},
            "tool a: its parameters are not the schema of an object",
        ),
        (
            {"tools": [{"function": {"name": "a", "parameters": {"type": ["string", "null"]}}}]},
            "tool a: its parameters are not the schema of an object",
        ),
        (
            {"tools": [{"function": {"name": "a", "parameters": True}}]},
            "tool a: its parameters are not the schema of an object",
        ),
        (
            {"tools": [{"function": {"name": "a", "parameters": False}}]},
            "tool a: its parameters are not the schema of an object",
        ),
        (
            {"tools": [{"function": {"name": "a", "parameters": nested(3000)}}]},
            "tool a.* nested too deeply|tool a: .*nested",
        ),
        ({"schema": nested(3000)}, "nested too deeply"),
        ({"schema": nested(3000), "system_prompt": ""}, "nested too deeply"),
        ({"tools": [ADD], "schema": {}}, "exclude each other"),
        ({"tools": [ADD], "chat": "plain"}, "need the chat template"),
        ({"schema": {"not": {}}}, "at #, not: nothing enforces"),
        ({"schema": 3}, "pass a JSON schema as a dict"),
        ({"stop": [""]}, "stop sequence is ''"),
        ({"stop": "}"}, "pass a list"),
        ({"stop": ["Done", "\\boxed{"]}, "'.*boxed{' would end paths before the answer"),
        ({"stop": ["\\"], "kind": "text"}, "would end paths before the answer"),
        ({"stop": [": \\box"], "chat": "plain"}, "would end paths before the answer"),
        ({"stop": ["boxed"], "system_prompt": "Use \\boxed."}, "would end paths before"),
        (
            {"stop": ["{"], "tools": [ADD], "system_prompt": "Use \\boxed{}."},
            "would end paths before",
        ),
    ],
)
def test_what_cannot_be_asked_for(options: dict[str, Any], says: str) -> None:
    with ScriptedModel.from_texts(REPLIES) as model:
        with pytest.raises(SettingsError, match=says):
            submit(model, "1 + 2?", **options)
        assert model.decoded == 0


def test_a_template_without_tools_is_an_error() -> None:
    with ScriptedModel.from_texts(REPLIES, tools=False) as model:
        with pytest.raises(UnsupportedModelError, match="knows no tools"):
            submit(model, "1 + 2?", tools=[ADD])
        assert ask(model, "1 + 2?", tools=[ADD], tool_choice="none", decoder=Greedy()).answer


# --- Schemas

AGE: Mapping[str, Any] = {
    "type": "object",
    "properties": {"age": {"type": "number"}},
    "required": ["age"],
}


@pytest.mark.parametrize("decoder", TREES)
def test_equal_json_is_one_answer_and_all_of_it_fits(decoder: Any) -> None:
    replies = {'{"age":1}': 0.3, '{"age": 1.0}': 0.2, '{"age":2}': 0.2, "It is 7": 0.3}
    with ScriptedModel.from_texts(replies) as model:
        result = ask(model, "How old?", schema=AGE, decoder=decoder)
    assert set(shares(result)) <= {'{"age":1}', '{"age":2}'}
    assert result.answer == '{"age":1}'
    assert (result.kind, result.tool_calls) == ("json", ())
    assert json.dumps(AGE) in result.instruction
    assert result.tree is not None
    for leaf in result.tree.leaves:
        assert set(json.loads(leaf.text)) == {"age"}
        assert leaf.text.endswith("}"), "nothing is decoded after the last brace"


def test_json_that_is_cut_off_is_no_answer() -> None:
    with ScriptedModel.from_texts({'{"age":12345}': 1.0}) as model:
        result = ask(model, "?", schema=AGE, decoder=MultiChain(leaves=2, max_tokens=9))
        assert (result.answer, result.cut_off_share) == (None, 1.0)
    # 12 may go on: only the end token says that the number is whole.
    with ScriptedModel.from_texts({"123": 1.0}) as model:
        whole = ask(model, "?", schema={"type": "integer"}, decoder=Greedy())
        cut = ask(model, "?", schema={"type": "integer"}, decoder=Greedy(max_tokens=2))
    assert (whole.answer, cut.answer) == ("123", None)


def test_bounds_are_kept_while_decoding() -> None:
    schema = {**AGE, "properties": {"age": {"type": "integer", "maximum": 100}}}
    replies = {'{"age":7}': 0.4, '{"age":700}': 0.6}
    with ScriptedModel.from_texts(replies) as model:
        decoder = EntropyTree(schedule="stratified", leaves=32, temperature=1)
        result = ask(model, "?", schema=schema, decoder=decoder)
    # "0" may follow "70" no more, so the object is closed there.
    assert shares(result) == pytest.approx({'{"age":7}': 0.4, '{"age":70}': 0.6}, abs=0.05)


def test_json_outside_what_no_grammar_keeps_is_no_answer() -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    with ScriptedModel.from_texts({"[1,2]": 0.4, "[1,1]": 0.6}) as model:
        decoder = EntropyTree(schedule="stratified", leaves=32, temperature=1)
        result = ask(model, "?", schema=schema, decoder=decoder)
        wrong = ask(model, "?", schema=schema, decoder=Greedy())
    assert shares(result) == pytest.approx({"[1,2]": 0.4, None: 0.6}, abs=0.05)
    assert (result.answer, wrong.answer) == ("[1,2]", None)
    assert wrong.cut_off_share == 0, "it ended by itself"


@pytest.mark.parametrize("choice", ["any", "auto"])
def test_a_call_outside_what_no_grammar_keeps_is_no_answer(choice: str) -> None:
    numbers = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    parameters = {
        "type": "object",
        "properties": {"n": {"anyOf": [numbers, {"type": "null"}]}},
        "required": ["n"],
    }
    pay: Tool = {"type": "function", "function": {"name": "pay", "parameters": parameters}}
    replies = {call("pay", '{"n":[5]}'): 0.4, call("pay", '{"n":[5,5]}'): 0.6}
    with ScriptedModel.from_texts(replies) as model:
        decoder = EntropyTree(schedule="stratified", leaves=32, temperature=1)
        result = ask(model, "?", tools=[pay, ADD], tool_choice=choice, decoder=decoder)
    assert shares(result) == pytest.approx({'pay({"n":[5]})': 0.4, None: 0.6}, abs=0.05)
    assert result.tree is not None
    for leaf in result.tree.leaves:
        assert leaf.finish == "stop"
        assert bool(leaf.tool_calls) == (leaf.answer is not None)


def test_stop_sequences_do_not_cut_structured_replies() -> None:
    with ScriptedModel.from_texts({'{"age":12}': 1.0}) as model:
        assert ask(model, "?", schema=AGE, stop=["1", "}"], decoder=Greedy()).answer == '{"age":12}'
    with ScriptedModel.from_texts({call("find", '{"q":"STOP"}'): 1.0}) as model:
        result = ask(model, "?", tools=[FIND], stop=["STOP"], decoder=Greedy())
        assert result.tool_calls[0].arguments == {"q": "STOP"}


def test_a_schema_needs_no_chat_template() -> None:
    with ScriptedModel.from_texts({'{"age":1}': 1.0}, chat_template=False) as model:
        assert ask(model, "?", schema=AGE, chat="plain", decoder=Greedy()).answer == '{"age":1}'


# --- Conversations


def test_one_conversation_or_several() -> None:
    one: list[Message] = [{"role": "user", "content": "Say 1?"}]
    with ScriptedModel.from_texts(lambda prompt: {prompt.strip()[-2]: 1.0}) as model:
        assert ask(model, one, kind="number", decoder=Greedy()).answer == "1"
        both: list[list[Message]] = [one, [{"role": "user", "content": "Say 2?"}]]
        several = ask(model, both, kind="number")
        assert [result.answer for result in several] == ["1", "2"]
        assert ask(model, ["Say 3?"], kind="number")[0].answer == "3"


def test_system_prompts_of_conversations() -> None:
    own: list[Message] = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "How many?"},
    ]
    with ScriptedModel.from_texts({"\\boxed{3}": 1.0}) as model:
        box = instruction(AnswerKind.NUMBER)
        assert ask(model, own[1:], decoder=Greedy()).instruction == box
        assert ask(model, own, decoder=Greedy()).instruction == "Be kind."
        asked = ask(model, own, system_prompt="Be brief.", decoder=Greedy())
        assert asked.instruction == "Be kind.\n\nBe brief."
        assert ask(model, own[1:], system_prompt="", decoder=Greedy()).instruction == ""
        with_tools = ask(model, own[1:], tools=[ADD], decoder=Greedy())
        assert with_tools.instruction == "", "the template says what tools are"


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "conversation is empty"),
        ([{"role": "system", "content": "Be kind."}], "only system messages"),
        ([{"role": "user", "content": [{"type": "image"}]}], "no images"),
        (
            [{"role": "user", "content": "?"}, {"role": "tool", "content": "3"}],
            "answers? no|for a call",
        ),
    ],
)
def test_conversations_that_are_none(messages: Any, says: str) -> None:
    with ScriptedModel.from_texts(REPLIES) as model:
        with pytest.raises(QuestionError, match=says):
            submit(model, messages)
        assert model.decoded == 0


def test_plain_prompts_are_for_single_questions() -> None:
    with (
        ScriptedModel.from_texts(REPLIES) as model,
        pytest.raises(SettingsError, match="need the chat template"),
    ):
        submit(model, [{"role": "user", "content": "?"}], chat="plain")


def test_calibrators_hold_for_questions_in_words(calibrator: Calibrator) -> None:
    with ScriptedModel.from_texts(REPLIES) as model:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"tools": [ADD], "tool_choice": "any"}, "tool_call"),
            ({"schema": AGE}, "json"),
        ]
        for options, form in cases:
            with pytest.raises(CalibratorMismatchError, match=f"answers of kind {form} instead"):
                submit(model, "How many?", calibrator=calibrator, **options)


@pytest.fixture
def calibrator() -> Calibrator:
    asked = Fingerprint.of(
        model="", decoder=described(EntropyTree()), instructions={"number": ""}, chat="model"
    )
    return Calibrator.general(fingerprint=asked)


# --- Stop sequences


@pytest.mark.parametrize(
    ("stop", "answer", "shown"),
    [
        (["}"], "42", "So \\boxed{42"),
        (["4"], None, "So \\boxed{"),
        (["{4"], None, "So \\boxed"),
        ([" and"], "42", "So \\boxed{42}"),
        (["is", " and more"], "42", "So \\boxed{42}"),
        ([], "42", "So \\boxed{42} and more"),
    ],
)
def test_stop_sequences_end_paths(stop: list[str], answer: str | None, shown: str) -> None:
    with ScriptedModel.from_texts({"So \\boxed{42} and more": 1.0}) as model:
        result = ask(model, "How many?", stop=stop, decoder=Greedy())
    assert result.answer == answer
    assert result.tree is not None
    assert result.tree.leaves[0].text == shown
    assert result.tree.leaves[0].finish == "stop"
    stopped = next((one for one in stop if one in "So \\boxed{42} and more"), "")
    assert result.usage.tokens_decoded == len(shown) + (len(stopped) or 1)


@pytest.mark.parametrize(
    "options",
    [
        {"system_prompt": ""},
        {"system_prompt": "", "kind": "text"},
        {"tools": [ADD]},
        {"tools": [ADD], "tool_choice": "any", "system_prompt": "Use \\boxed{}."},
        {"schema": AGE, "system_prompt": "Use \\boxed{}."},
    ],
)
def test_where_no_box_is_asked_for_any_stop_sequence_will_do(options: dict[str, Any]) -> None:
    with ScriptedModel.from_texts({"It is 42 \\ or so": 1.0}) as model:
        pending = submit(model, "How many?", stop=["\\"], decoder=Greedy(), **options)
        pending.cancel()


def test_a_user_who_asks_for_a_box_gets_no_stop_sequence_within_it() -> None:
    said: list[Message] = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "How many? Use \\boxed{}."},
        {"role": "assistant", "content": "Of what?"},
        {"role": "user", "content": "Legs."},
    ]
    with ScriptedModel.from_texts(REPLIES) as model:
        with pytest.raises(SettingsError, match="would end paths before the answer"):
            submit(model, said, stop=["{"])
        said[1]["content"] = "How many?"
        submit(model, said, stop=["{"], decoder=Greedy()).cancel()


def test_a_stop_sequence_across_tokens_and_characters() -> None:
    with ScriptedModel.from_texts({"Yes été no": 1.0}) as model:
        result = ask(model, "Who?", stop=["té n"], decoder=Greedy())
    assert result.tree is not None
    assert result.tree.leaves[0].text == "Yes é"


def test_stop_sequences_in_trees_keep_all_weight() -> None:
    texts = {"It is 4\nor so": 0.4, "It is 5\nI say": 0.3, "none": 0.3}
    with ScriptedModel.from_texts(texts) as model:
        for decoder in TREES:
            result = ask(model, "How many?", stop=["\n"], decoder=decoder)
            assert result.tree is not None
            assert {leaf.text for leaf in result.tree.leaves} <= {"It is 4", "It is 5", "none"}
            assert sum(leaf.weight for leaf in result.tree.leaves) == pytest.approx(1)


def test_a_base_models_own_next_question_stays_a_stop_sequence() -> None:
    with ScriptedModel.from_texts({" 4\n\nQuestion: 5": 0.5, " 6 STOP": 0.5}) as model:
        result = ask(model, "How many?", chat="plain", stop=[" STOP"], decoder=CHAINS)
    assert {share.answer for share in result.distribution} == {"4", "6"}


# --- Others


def test_a_closed_model_is_a_typed_error() -> None:
    model = ScriptedModel.from_texts(REPLIES)
    model.close()
    every: list[dict[str, Any]] = [{}, {"tools": [ADD]}, {"schema": AGE}]
    for options in every:
        with pytest.raises(ModelClosedError):
            submit(model, "1 + 2?", **options)


def test_constrained_and_free_questions_share_batches() -> None:
    with ScriptedModel.from_texts(REPLIES) as model, ScriptedModel.from_texts(REPLIES) as other:
        event = threading.Event()
        other.submit(lambda: event.wait(10))
        alone = ask(model, "?", tools=[ADD], tool_choice="any", decoder=TREES[0], seed=3)
        free = submit(other, "?", decoder=TREES[1], seed=1)
        bound = submit(other, "?", tools=[ADD], tool_choice="any", decoder=TREES[0], seed=3)
        event.set()
        assert bound.result().tree == alone.tree
        assert free.result().complete
    assert TURN not in alone.tree.nodes[0].tokens if alone.tree else False
