"""What comes from outside passes one check: its kind, size, depth, texts and numbers."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent import MultiChain, ScriptedModel, ask
from et_agent.asking.calling import check_tools
from et_agent.errors import InputError, QuestionError, SettingsError
from et_agent.grammar import json_rule
from et_agent.validation import parsed_toml, plain_json, type_of, wait_seconds

QUESTION = "How many legs has a cat?"


def levels(depth: int, inner: Any = 1) -> Any:
    for at in range(depth):
        inner = {"a": inner} if at % 2 else [inner]
    return inner


def doubled(times: int, inner: Any) -> Any:
    """A few objects in memory, 2**times values as JSON."""
    for _ in range(times):
        inner = {"anyOf": [inner, inner]}
    return inner


def circle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


NO_JSON: dict[str, Any] = {
    "surrogate": {"a": ["\ud800"]},
    "surrogate in a name": {"\udfff": 1},
    "NaN": [float("nan")],
    "infinity": {"a": float("-inf")},
    "a number of 5000 digits": 10**5000,
    "3000 levels": levels(3000),
    "100,000 levels": levels(100_000),
    "a circle": circle(),
    "doubled 16 times": doubled(16, {"type": "integer", "minimum": 0}),
    "doubled 60 times": doubled(60, {"type": "integer"}),
    "200,000 values": [f"v{at}" for at in range(200_000)],
    "100 MB of text": ["x" * 1_000_000] * 100,
    "an object": object(),
    "a set": {1, 2},
    "bytes": b"1",
    "a tuple as name": {(1, 2): 3},
}


@pytest.mark.parametrize("value", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_of_moderate_size_is_refused(value: Any) -> None:
    with pytest.raises(
        QuestionError, match=r"^the value is (not valid JSON: at #|too large|nested)"
    ):
        plain_json(value, "the value", error=QuestionError)


@pytest.mark.parametrize("value", NO_JSON.values(), ids=NO_JSON)
def test_no_part_of_a_question_may_be_such(value: Any) -> None:
    call = {"function": {"name": "f", "arguments": {"a": value}}}
    said = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "1"},
        {"role": "user", "content": QUESTION},
    ]
    tool = {"function": {"name": "f", "parameters": {"type": "object", "default": value}}}
    with ScriptedModel.from_texts({"1": 1.0}) as model:
        ask_with: dict[str, Any] = {"decoder": MultiChain(leaves=2)}
        for question, changes in (
            (said, {}),
            (QUESTION, {"schema": {"default": value}}),
            (QUESTION, {"schema": {"enum": [value]}}),
            (QUESTION, {"tools": [tool]}),
            (QUESTION, {"template_options": {"a": value}}),
        ):
            with pytest.raises(InputError):
                ask(model, question, **ask_with, **changes)  # type: ignore[arg-type]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_stays_what_it_is(value: Any) -> None:
    try:
        copied = plain_json(value, "the value")
    except SettingsError:
        with pytest.raises((ValueError, UnicodeEncodeError)):
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    else:
        assert copied == value
        assert json.dumps(copied) == json.dumps(value)


def test_a_copy_shares_nothing() -> None:
    shared = [1]
    copied = plain_json({"a": shared, "b": shared}, "the value")
    copied["a"].append(2)
    assert copied["b"] == shared == [1]


def test_a_schema_that_is_large_is_refused_before_a_grammar_is_made_of_it() -> None:
    for schema in ({"enum": [f"v{at}" for at in range(200_000)]}, doubled(30, {"type": "null"})):
        with pytest.raises(SettingsError, match=r"too large: at #/.* more than 100000 values"):
            json_rule(schema)


@pytest.mark.parametrize("seconds", [float("nan"), "1", b"", True, [], object()])
def test_seconds_are_numbers(seconds: Any) -> None:
    with pytest.raises(SettingsError, match="timeout"):
        wait_seconds(seconds)


@pytest.mark.parametrize("seconds", [1e10, 1e308, float("inf"), 10**400, 9e9])
def test_any_time_can_be_waited(seconds: float) -> None:
    from et_agent import submit

    with ScriptedModel.from_texts({"So \\boxed{4}": 1.0}) as model:
        assert submit(model, QUESTION, decoder=MultiChain(leaves=2)).result(seconds).complete


@pytest.mark.parametrize("model", [None, 4, "smollm2-135m", object(), ScriptedModel])
@pytest.mark.parametrize("question", [QUESTION, [QUESTION]])
def test_a_model_has_to_be_one(model: Any, question: Any) -> None:
    with pytest.raises(SettingsError, match=r"the model is (an? |None).*load_model"):
        ask(model, question)


@pytest.mark.parametrize(
    "question", [None, 4, b"x", 1.5, {}, {"role": "user"}, object(), [None], [[]], [4], [b"x"], {1}]
)
def test_a_question_has_to_be_one(question: Any) -> None:
    with ScriptedModel.from_texts({"1": 1.0}) as model, pytest.raises(QuestionError):
        ask(model, question)


@pytest.mark.parametrize("unit", ["<tool_call>", "a", "1 ", " x", "日本"])
def test_a_text_that_no_context_holds_is_refused_before_it_is_read(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedModel.from_texts({"1": 1.0}, context=512) as model:
        monkeypatch.setattr(model, "tokenize", lambda _text: pytest.fail("it was tokenised"))
        for question, changes in (
            (unit * 100_000, {}),
            ([{"role": "system", "content": unit * 100_000}, {"role": "user", "content": "?"}], {}),
            (QUESTION, {"context": [unit * 100_000]}),
        ):
            with pytest.raises(QuestionError, match="context of 512 tokens"):
                ask(model, question, **changes)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("value", "said"), [(None, "None"), (3, "an int"), ([], "a list"), (object(), "an object")]
)
def test_types_have_their_article(value: object, said: str) -> None:
    assert type_of(value) == said


@pytest.mark.parametrize(
    "text",
    [
        "a" + ".a" * 100_000 + " = 1",
        "[" + "a." * 100_000 + "a]",
        "a = {" + "b . " * 100_000 + "c = 1}",
        "'a'" + ".'a'" * 50_000 + " = 1",
    ],
    ids=["key", "table", "inline", "quoted"],
)
def test_a_dotted_key_without_end_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match="nested too deeply"):
        parsed_toml(text)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("text", ["a" * 900_000, "a " * 400_000, "a." * 190 + "b", "." * 900_000])
def test_other_long_texts_are_read(text: str) -> None:
    began = time.process_time()
    assert parsed_toml(f"a = '{text}' # {text}") == {"a": text}
    assert time.process_time() - began < 2


def test_tools_without_end_are_refused_at_once() -> None:
    tools: Any = [{"type": "function", "function": {"name": f"f{at}"}} for at in range(10_000)]
    with pytest.raises(SettingsError, match="10000 tools, and 500 are the most"):
        check_tools(tools)
