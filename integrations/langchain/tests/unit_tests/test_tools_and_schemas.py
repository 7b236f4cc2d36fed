"""Tools and structured output on a scripted model."""

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.tools import tool as named
from langchain_et_agent import ChatEntropyTree
from langgraph.checkpoint.memory import InMemorySaver

from et_agent import EntropyTree, Greedy, MultiChain, ScriptedModel
from et_agent.errors import QuestionError, SettingsError

from .support import (
    CALL,
    PERSON,
    QUESTION,
    REPLIES,
    STEPS,
    TEXTS,
    Person,
    Steps,
    add,
    merged,
    result_of,
    scripted,
)

ADD_SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}


@pytest.mark.parametrize("choice", ["any", "required", True, "add", {"function": {"name": "add"}}])
def test_forced_calls(choice: Any) -> None:
    message = scripted(REPLIES, leaves=8).bind_tools([add], tool_choice=choice).invoke(QUESTION)
    assert isinstance(message, AIMessage)
    (call,) = message.tool_calls
    assert (call["name"], call["args"], call["type"]) == ("add", {"a": 1, "b": 2}, "tool_call")
    assert call["id"]
    assert message.content == ""
    assert message.response_metadata["finish_reason"] == "tool_calls"
    found = result_of(message)
    assert found.tool_calls[0].arguments == {"a": 1, "b": 2}
    assert found.share == pytest.approx(1)


def test_a_tool_that_is_called_like_a_way_to_choose() -> None:
    tools: list[Any] = [{"name": "any", "description": "", "parameters": ADD_SCHEMA}, add]
    texts = {CALL.replace('"add"', '"any"'): 0.5, CALL: 0.5}
    chat = scripted(texts, decoder=MultiChain(leaves=6, temperature=1))
    named = {"type": "function", "function": {"name": "any"}}
    both = chat.bind_tools(tools, tool_choice="any").invoke(QUESTION)
    assert len(result_of(both).distribution) == 2
    one = chat.bind_tools(tools, tool_choice=named).invoke(QUESTION)
    assert [share.answer for share in result_of(one).distribution] == ['any({"a":1,"b":2})']


def test_the_model_may_call_or_say() -> None:
    decoder = EntropyTree(schedule="stratified", leaves=32, temperature=1)
    chat = scripted(REPLIES, decoder=decoder)
    message = chat.bind_tools([add]).invoke(QUESTION)
    assert isinstance(message, AIMessage)
    assert len(message.tool_calls) == 1
    shares = {one.answer: one.share for one in result_of(message).distribution}
    assert shares == pytest.approx({'add({"a":1,"b":2})': 0.7, "3": 0.3}, abs=0.05)
    said = chat.bind_tools([add], tool_choice="none").invoke(QUESTION)
    assert isinstance(said, AIMessage)
    assert said.tool_calls == []
    spoken = scripted({f"I add. {CALL}": 1.0}, leaves=2).bind_tools([add]).invoke(QUESTION)
    assert spoken.content == "I add."


def test_a_call_that_is_cut_off_is_an_invalid_one() -> None:
    runnable = scripted(REPLIES, decoder=Greedy(max_tokens=40)).bind_tools([add], tool_choice="any")
    for message in (runnable.invoke(QUESTION), merged(list(runnable.stream(QUESTION)))):  # type: ignore[arg-type]
        assert isinstance(message, AIMessage)
        assert (message.content, message.tool_calls) == ("", [])
        (invalid,) = message.invalid_tool_calls
        assert invalid["args"] == CALL[:40]
        assert message.response_metadata["finish_reason"] == "length"
    # Chunks have no place for the reason.
    assert "allow more tokens" in str(runnable.invoke(QUESTION).invalid_tool_calls[0]["error"])


@pytest.mark.parametrize(
    "written",
    [
        '<tool_call>{"name": "up", "arguments": {"a": [1, 1]}}</tool_call>',
        '{"name": "up", "arguments": {"a": [1, 1]}}',
    ],
)
def test_a_call_outside_its_tools_bounds_is_an_invalid_one(written: str) -> None:
    different = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    parameters = {"type": "object", "properties": {"a": different}}
    tool = {"type": "function", "function": {"name": "up", "parameters": parameters}}
    runnable = scripted({written: 1.0}, decoder=Greedy()).bind_tools([tool])
    message = runnable.invoke(QUESTION)
    for one in (message, merged(list(runnable.stream(QUESTION)))):  # type: ignore[arg-type]
        assert isinstance(one, AIMessage)
        assert (one.content, one.tool_calls) == ("", [])
        args = json.dumps(written) if written.startswith("{") else written
        assert [call["args"] for call in one.invalid_tool_calls] == [args]
        assert one.response_metadata["finish_reason"] == "stop"
    assert message.invalid_tool_calls[0]["error"] == "the tool call does not fit the tool's schema"


def test_a_conversation_goes_on_after_a_tool() -> None:
    chat = scripted({"It is \\boxed{3}": 1.0}, leaves=2).bind_tools([add])
    calling = AIMessage(
        [
            {"type": "text", "text": "I add."},
            {"type": "tool_use", "id": "1", "name": "add", "input": {"a": 1, "b": 2}},
        ],
        tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "1", "type": "tool_call"}],
    )
    message = chat.invoke([HumanMessage("1 + 2?"), calling, ToolMessage("3", tool_call_id="1")])
    assert message.content == "It is \\boxed{3}"


def test_an_agent_calls_its_tool_and_answers() -> None:
    def replies(prompt: str) -> dict[str, float]:
        return {"It is \\boxed{3}": 1.0} if prompt.strip().endswith("\n3") else {CALL: 1.0}

    with ScriptedModel.from_texts(replies) as model:
        agent = create_agent(ChatEntropyTree(engine=model, leaves=2), [add], system_prompt="Add.")
        state = agent.invoke({"messages": [HumanMessage("1 + 2?")]})
    kinds = [message.type for message in state["messages"]]
    assert kinds == ["human", "ai", "tool", "ai"]
    assert state["messages"][2].content == "3"
    assert state["messages"][-1].content == "It is \\boxed{3}"
    assert result_of(state["messages"][1]).kind == "tool_call"


def test_an_agent_gives_structured_output() -> None:
    call = '<tool_call>{"name": "Person", "arguments": {"name": "Ann", "age": 3}}</tool_call>'
    with ScriptedModel.from_texts({call: 1.0}) as model:
        chat = ChatEntropyTree(engine=model, leaves=2)
        agent = create_agent(chat, [add], response_format=ToolStrategy(Person))
        state = agent.invoke({"messages": [HumanMessage("Who?")]})
    assert state["structured_response"] == Person(name="Ann", age=3)


@pytest.mark.parametrize("choice", ["sub", {"function": {}}, 3])
def test_tool_choices_that_are_none(chat: ChatEntropyTree, choice: Any) -> None:
    with pytest.raises(SettingsError, match="tool_choice"):
        chat.bind_tools([add], tool_choice=choice)


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize("schema", [Person, Person.model_json_schema()])
def test_structured_output_fits_its_schema(schema: Any, include_raw: bool) -> None:
    chat = scripted(PERSON, decoder=MultiChain(leaves=8, temperature=1))
    made = chat.with_structured_output(schema, include_raw=include_raw).invoke(QUESTION)
    parsed = made["parsed"] if include_raw else made
    expected = {"name": "Ann", "age": 3}
    assert parsed == (Person(**expected) if schema is Person else expected)
    if include_raw:
        assert made["parsing_error"] is None
        found = result_of(made["raw"])
        assert (found.kind, found.answer) == ("json", '{"age":3,"name":"Ann"}')


@pytest.mark.parametrize(("reply", "value"), [("null", None), ('{"a": 1}', {"a": 1})])
def test_a_schema_that_may_be_null(reply: str, value: Any) -> None:
    nullable = {"title": "Found", "anyOf": [{"type": "object"}, {"type": "null"}]}
    chat = scripted({reply: 1.0}, leaves=2)
    assert chat.with_structured_output(nullable).invoke(QUESTION) == value
    listed = {"title": "Found", "type": ["object", "null"]}
    with pytest.raises(SettingsError, match="write anyOf with a schema for each"):
        chat.with_structured_output(listed)


def test_output_outside_the_schemas_bounds_does_not_parse() -> None:
    ages = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    schema = {"title": "P", "type": "object", "properties": {"ages": ages}, "required": ["ages"]}
    wrong = '{"ages":[3,3]}'

    def made(texts: dict[str, float], **options: Any) -> Any:
        chat = scripted(texts, decoder=MultiChain(leaves=16, temperature=1))
        return chat.with_structured_output(schema, **options).invoke(QUESTION)

    assert made({wrong: 0.6, '{"ages":[3,4]}': 0.4}) == {"ages": [3, 4]}
    with pytest.raises(OutputParserException, match="outside the schema's bounds"):
        made({wrong: 1.0})
    with pytest.raises(OutputParserException, match="outside the schema's bounds"):
        list(scripted({wrong: 1.0}, leaves=2).with_structured_output(schema).stream(QUESTION))
    raw = made({wrong: 1.0}, include_raw=True)
    assert raw["parsed"] is None
    assert result_of(raw["raw"]).answer is None


def test_structured_output_by_other_ways() -> None:
    call = '<tool_call>{"name": "Person", "arguments": {"name": "Ann", "age": 3}}</tool_call>'
    by_call = scripted({call: 1.0}, leaves=2).with_structured_output(
        Person, method="function_calling"
    )
    assert by_call.invoke(QUESTION) == Person(name="Ann", age=3)
    by_mode = scripted({'{"name": "Ann", "age": 3}': 1.0}, leaves=2).with_structured_output(
        Person, method="json_mode"
    )
    assert by_mode.invoke(QUESTION) == Person(name="Ann", age=3)
    with pytest.raises(SettingsError, match="method is 'yaml'"):
        scripted(PERSON).with_structured_output(Person, method="yaml")  # type: ignore[arg-type]


CUT = [
    (Steps, "json_schema", STEPS, 40),
    (Steps, "json_schema", STEPS, 9),
    (Steps.model_json_schema(), "json_schema", STEPS, 40),
    (Steps, "json_mode", STEPS, 40),
    ({"title": "Count", "type": "integer"}, "json_schema", "1234", 2),
]


@pytest.mark.parametrize(("schema", "method", "text", "tokens"), CUT)
async def test_output_that_is_cut_off_does_not_parse(
    schema: Any, method: Any, text: str, tokens: int
) -> None:
    chat = scripted({text: 1.0}, decoder=Greedy(max_tokens=tokens))
    with_raw = chat.with_structured_output(schema, method=method, include_raw=True)
    (streamed,) = with_raw.stream(QUESTION)
    for made in (with_raw.invoke(QUESTION), await with_raw.ainvoke(QUESTION), streamed):
        assert made["raw"].response_metadata["finish_reason"] == "length"
        assert result_of(made["raw"]).answer is None
        assert made["parsed"] is None
        assert isinstance(made["parsing_error"], OutputParserException)
        assert "allow more tokens (max_tokens)" in str(made["parsing_error"])
    plain = chat.with_structured_output(schema, method=method)
    with pytest.raises(OutputParserException, match="was cut off: allow more tokens"):
        plain.invoke(QUESTION)
    with pytest.raises(OutputParserException, match="was cut off: allow more tokens"):
        list(plain.stream(QUESTION))
    with pytest.raises(OutputParserException, match="was cut off: allow more tokens"):
        _ = [one async for one in plain.astream(QUESTION)]


def test_output_of_just_the_allowed_length_parses() -> None:
    chat = scripted({STEPS: 1.0}, decoder=Greedy(max_tokens=len(STEPS)))
    whole = Steps.model_validate_json(STEPS)
    made = chat.with_structured_output(Steps, include_raw=True).invoke(QUESTION)
    assert (made["parsed"], made["parsing_error"]) == (whole, None)
    assert list(chat.with_structured_output(Steps).stream(QUESTION))[-1] == whole


@pytest.mark.parametrize("strict", [True, False])
def test_tools_are_strict_anyway(strict: bool) -> None:
    message = scripted(REPLIES, leaves=2).bind_tools([add], strict=strict).invoke(QUESTION)
    assert isinstance(message, AIMessage)


def test_tools_that_a_provider_runs_are_refused_at_once(chat: ChatEntropyTree) -> None:
    for tool in ({"type": "web_search_preview"}, {"type": "function", "function": {}}):
        with pytest.raises(SettingsError, match="is not a named function: pass a function"):
            chat.bind_tools([add, tool])


def test_a_schema_that_requires_an_undefined_property_is_refused(chat: ChatEntropyTree) -> None:
    name = {"name": {"type": "string"}}
    schema = {"title": "P", "type": "object", "properties": name, "required": ["name", "zip"]}
    with pytest.raises(
        SettingsError, match="required: it names zip, which its properties do not define"
    ):
        chat.with_structured_output(schema).invoke(QUESTION)
    with pytest.raises(SettingsError, match=r"tool P: .* names zip"):
        chat.bind_tools([{"description": "P", **schema}]).invoke(QUESTION)


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"type": "xml"}, "response_format is"),
        ({"type": "json_schema"}, "response_format is"),
        ({"type": "json_schema", "json_schema": {"schema": {"not": {}}}}, "no grammar can express"),
    ],
)
def test_response_formats_that_are_none(chat: ChatEntropyTree, form: Any, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        chat.invoke(QUESTION, response_format=form)
    assert chat.invoke(QUESTION, response_format={"type": "text"}).content


def test_fields_in_plain_json_types() -> None:
    person = {'{"name": "Ann", "age": 3}': 0.75, '{"name": "Ann", "age": 30}': 0.25}
    decoder = EntropyTree(schedule="stratified", leaves=16, temperature=1)
    chat = scripted(person, decoder=decoder)
    made = chat.with_structured_output(Person, include_raw=True).invoke(QUESTION)
    fields = json.loads(json.dumps(made["raw"].response_metadata["et_agent"]["fields"]))
    assert {path: one["value"] for path, one in fields.items()} == {"name": "Ann", "age": 3}
    assert fields["name"]["share"] == 1.0
    assert fields["age"]["alternatives"] == [{"value": 30, "share": pytest.approx(0.25, abs=0.07)}]
    low, high = fields["age"]["calibration"]["interval"]
    assert low <= fields["age"]["confidence"] <= high
    assert fields["age"]["confidence"] < fields["name"]["confidence"]


def test_a_drawn_answer_has_no_fields_of_another() -> None:
    chat = scripted(REPLIES, choose="sample", decoder=MultiChain(leaves=16, temperature=1))
    bound = chat.bind_tools([add])
    messages = [bound.invoke(QUESTION, seed=seed) for seed in range(12)]
    said = [result_of(one) for one in messages if not one.tool_calls]
    assert said
    assert all(one.fields == {} or one.kind == "tool_call" for one in said)
    assert all(one.tools == ("add",) for one in said)


def test_tools_of_one_name_are_refused(chat: ChatEntropyTree) -> None:
    @named("Person")
    def person(name: str) -> str:
        """Find a person."""
        return name

    with pytest.raises(
        SettingsError, match="two tools are called add: give each a name of its own"
    ):
        chat.bind_tools([add, {"title": "add", "description": "Add.", "type": "object"}]).invoke(
            QUESTION
        )
    with ScriptedModel.from_texts(TEXTS) as model:
        agent = create_agent(
            ChatEntropyTree(engine=model), [person], response_format=ToolStrategy(Person)
        )
        with pytest.raises(SettingsError, match="two tools are called Person"):
            agent.invoke({"messages": [HumanMessage("Who?")]})


def test_no_tools_are_no_obstacle_unless_one_must_be_called(chat: ChatEntropyTree) -> None:
    assert chat.bind_tools([]).invoke(QUESTION).content == chat.invoke(QUESTION).content
    with pytest.raises(SettingsError, match="tool_choice is 'any' and there are no tools"):
        chat.bind_tools([], tool_choice="any").invoke(QUESTION)


def test_a_format_of_plain_text_excludes_no_tools(chat: ChatEntropyTree) -> None:
    assert chat.bind_tools([add], response_format={"type": "text"}).invoke(QUESTION)


def test_arguments_that_are_not_json_are_refused_where_they_come_from(
    chat: ChatEntropyTree,
) -> None:
    for args in ({"a": b"1"}, {"a": float("nan")}, {"a": {1, 2}}):
        call = {"name": "add", "args": args, "id": "1", "type": "tool_call"}
        history = [
            HumanMessage("1 + 2?"),
            AIMessage("", tool_calls=[call]),
            ToolMessage("3", tool_call_id="1"),
        ]
        with pytest.raises(QuestionError, match="is not valid JSON"):
            chat.bind_tools([add]).invoke(history)


def test_a_thread_goes_on_after_a_call_that_was_cut_off() -> None:
    """LangChain answers such a call with a message of its own."""
    with ScriptedModel.from_texts(lambda p: {CALL: 1.0} if "again" not in p else TEXTS) as model:
        chat = ChatEntropyTree(engine=model, decoder=Greedy(max_tokens=40))
        agent = create_agent(chat, [add], checkpointer=InMemorySaver())
        thread: Any = {"configurable": {"thread_id": "1"}}
        cut = agent.invoke({"messages": [HumanMessage("1 + 2?")]}, thread)
        assert cut["messages"][-1].invalid_tool_calls
        state = agent.invoke({"messages": [HumanMessage("Try again.")]}, thread)
    assert "tool" in [one.type for one in state["messages"]]
    assert state["messages"][-1].content == "So \\boxed{4}"


def test_of_two_tools_with_one_name_an_agent_shows_and_runs_the_last() -> None:
    """LangChain keeps one of them before anybody is told of them."""

    def other(a: int, b: int) -> int:
        """Add two numbers, badly."""
        return a - b

    def replies(prompt: str) -> dict[str, float]:
        return {"It is \\boxed{-1}": 1.0} if prompt.strip().endswith("\n-1") else {CALL: 1.0}

    with ScriptedModel.from_texts(replies) as model:
        agent = create_agent(ChatEntropyTree(engine=model, leaves=2), [add, named("add")(other)])
        state = agent.invoke({"messages": [HumanMessage("1 + 2?")]})
    assert [one.content for one in state["messages"][2:]] == ["-1", "It is \\boxed{-1}"]
