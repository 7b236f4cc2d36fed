"""Thoughts are no answers: of every kind, with schemas and tools, and as far as templates allow."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from et_agent import AskResult, EntropyTree, Greedy, MultiChain, ScriptedModel, ask
from et_agent.asking.options import AskOptions
from et_agent.asking.prompting import PreparedPrompt
from et_agent.asking.reading import PathReader
from et_agent.calibration.fingerprint import Fingerprint
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.direct import Direct
from et_agent.decoding.tree import Finish, Tree
from et_agent.engines.scripted import END, TOOL_FORMAT
from et_agent.errors import SettingsError, UnsupportedModelError
from et_agent.templates.messages import Message
from et_agent.templates.reasoning import ReasoningFormat
from et_agent.uncertainty.self_evaluation import p_answerable

FREE = ReasoningFormat(
    "<think>", "</think>", on={"enable_thinking": True}, off={"enable_thinking": False}
)
OPEN = replace(FREE, prompt="open")
CLOSED = replace(FREE, prompt="closed", thinks=False)
FIXED = ReasoningFormat("<think>", "</think>", prompt="open")
"""A format without a switch."""
OFF = "<think>\n\n</think>\n\n"
CHOICE = "Which is even?\nA) 3\nB) 4"
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"total": {"type": "integer"}},
    "required": ["total"],
    "additionalProperties": False,
}


def call(a: int, b: int) -> str:
    written = json.dumps({"a": a, "b": b})
    return f"{TOOL_FORMAT.opening}add{TOOL_FORMAT.middle}{written}{TOOL_FORMAT.closing}"


def asked(
    texts: Mapping[str, float],
    question: str | list[Message] = "How many?",
    *,
    form: ReasoningFormat | None = FREE,
    decoder: DecoderSettings | None = None,
    **options: Any,
) -> AskResult:
    with ScriptedModel.from_texts(texts, reasoning=form) as model:
        chosen = MultiChain(leaves=4, temperature=1) if decoder is None else decoder
        result = ask(model, question, decoder=chosen, **options)
        assert isinstance(result, AskResult)
        return result


@pytest.mark.parametrize(
    ("kind", "thought", "said", "answer", "question"),
    [
        ("number", r"Try \boxed{5}. Wait, wrong.", "The answer is 7.", "7", "How many?"),
        ("number", "The answer is 5", "7", "7", "How many?"),
        ("math", r"\boxed{\frac{1}{3}}", r"\boxed{\frac12}", r"\frac12", "How much?"),
        ("choice", r"\boxed{A}? No.", r"\boxed{B}", "B", CHOICE),
        ("text", r"\boxed{Sydney} is not it.", r"\boxed{Canberra}", "Canberra", "Which capital?"),
        ("auto", r"\boxed{5}", r"\boxed{7}", "7", "How many?"),
    ],
)
@pytest.mark.parametrize("form", [FREE, OPEN], ids=["free", "open"])
def test_an_answer_is_read_after_the_thought(
    form: ReasoningFormat, kind: str, thought: str, said: str, answer: str, question: str
) -> None:
    result = asked({f"<think>\n{thought}\n</think>\n\n{said}": 1}, question, form=form, kind=kind)
    assert (result.answer, result.share) == (answer, 1)
    assert result.reasoning == thought
    assert result.tree is not None
    leaf = result.tree.leaves[0]
    assert (leaf.text, leaf.reasoning) == (said, thought)
    opened = len("<think>\n") if form is OPEN else 0
    assert leaf.reasoning_tokens == len(f"<think>\n{thought}\n</think>") - opened
    assert result.usage.reasoning_tokens == 4 * leaf.reasoning_tokens


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "number"}, r"\boxed{5} and the answer is 5"),
        ({"kind": "choice"}, r"\boxed{A}"),
        ({"kind": "text"}, "Answer: Sydney"),
        ({"schema": SCHEMA}, '{"total": 5}'),
        ({"tools": [TOOL]}, call(1, 1)),
        ({"tools": [TOOL], "tool_choice": "any"}, call(1, 1)),
    ],
)
def test_an_unfinished_thought_gives_no_answer(options: dict[str, Any], said: str) -> None:
    with ScriptedModel.from_texts({"7": 1}, reasoning=FREE) as model:
        prompt = PreparedPrompt.of(model, CHOICE, AskOptions(decoder=Greedy(), **options))
        asked = (prompt.kind, prompt.stops, prompt.form, prompt.thoughts)
        reader = PathReader(model, CHOICE, *asked)
        path = [*model.tokenize(f"<think>{said}"), END]
        assert reader.read_path(path, prompt.reading_kind) is None
        assert not reader.ends(path)
        tree = Tree(1)
        tree.branches[0].tokens += path
        tree.branches[0].finish = Finish.STOP
        reading = reader.read_tree(tree)
        assert (reading.answers, reading.texts, reading.thoughts) == ([None], [""], [said])
        assert (reading.calls, reading.bodies) == ([()], [None])


def test_a_path_does_not_end_within_its_thought() -> None:
    texts = {"<think>7 it is": 0.9, "<think>7 it is</think>8": 0.1}
    result = asked(texts, kind="number", decoder=Greedy())
    assert (result.answer, result.reasoning) == ("8", "7 it is")


@pytest.mark.parametrize(
    "decoder",
    [
        EntropyTree(leaves=12, temperature=1),
        EntropyTree(leaves=12, temperature=1, schedule="rounds", tau=0.1),
        EntropyTree(leaves=12, temperature=1, schedule="online", tau=0.1, gap=1),
        EntropyTree(leaves=12, temperature=1, schedule="stratified"),
        EntropyTree(leaves=12, temperature=1, schedule="breadth_first", tau=0.1),
        Greedy(),
    ],
    ids=lambda one: getattr(one, "schedule", one.__class__.__name__),
)
def test_trees_of_thoughts_vote_with_their_answers(decoder: DecoderSettings) -> None:
    texts = {
        r"<think>\boxed{5}</think>7": 0.4,
        r"<think>\boxed{7}</think>7": 0.3,
        r"<think>\boxed{5}</think>8": 0.3,
    }
    result = asked(texts, decoder=decoder, kind="number")
    assert {one.answer for one in result.distribution} <= {"7", "8"}
    assert result.answer == "7"


def test_a_model_without_thoughts_is_read_whole() -> None:
    result = asked({r"<think>\boxed{5}</think>": 1}, form=None, kind="number")
    assert (result.answer, result.reasoning) == ("5", None)
    assert result.tree is not None
    assert result.tree.leaves[0].text == r"<think>\boxed{5}</think>"
    assert result.usage.reasoning_tokens == 0


def test_max_tokens_counts_the_answer() -> None:
    long = "hm " * 50
    texts = {f"<think>{long}</think>The answer is 7.": 1}
    result = asked(texts, kind="number", decoder=Greedy(max_tokens=17))
    assert result.answer == "7"
    cut = asked(texts, kind="number", decoder=Greedy(max_tokens=8))
    assert cut.answer is None
    assert cut.tree is not None
    assert cut.tree.leaves[0].finish == "length"
    assert cut.tree.leaves[0].text == "The answ"
    assert "did not end within 8 tokens: allow more (max_tokens)" in " ".join(cut.notes)


def test_a_long_thought_is_closed_and_answered() -> None:
    thought = "abcdefghij"
    texts = {f"<think>{thought[:4]}\n</think>\n\n7": 0.5, f"<think>{thought}</think>8": 0.5}
    result = asked(texts, kind="number", decoder=Greedy(), max_thinking_tokens=4)
    assert (result.answer, result.reasoning) == ("7", "abcd")
    assert any("closed after 4 tokens" in note for note in result.notes)


def test_no_tokens_for_a_thought_leave_it_empty() -> None:
    texts = {f"{OFF}7": 0.5, "<think>\n8</think>8": 0.5}
    result = asked(texts, kind="number", form=FIXED, decoder=Greedy(), max_thinking_tokens=0)
    assert (result.answer, result.reasoning) == ("7", "")


def test_a_short_context_leaves_room_for_the_answer() -> None:
    texts = {"<think>" + "z" * 40 + "\n</think>\n\n7": 1, "<think>" + "z" * 900: 1e-9}

    def script(prompt: str, tokens: Any) -> Any:
        return base(prompt, tokens)

    with ScriptedModel.from_texts(texts, reasoning=FREE) as plain:
        base = plain._script
    with ScriptedModel(script, reasoning=FREE, context=300, longest_path=300) as model:
        options = AskOptions(kind="number", system_prompt="", calibrator=None)
        result = ask(model, "How many?", options, decoder=Greedy(max_tokens=20))
    assert result.answer == "7"


@pytest.mark.parametrize("form", [FREE, OPEN], ids=["free", "open"])
def test_a_schema_holds_from_the_end_of_the_thought_on(form: ReasoningFormat) -> None:
    texts = {'<think>\n{"total": 5}</think>\n\n{"total": 7}': 0.7, '{"total": 8}': 0.3}
    result = asked(texts, form=form, schema=SCHEMA, decoder=EntropyTree(leaves=8, temperature=1))
    assert result.answer == '{"total":7}'
    assert result.reasoning == '{"total": 5}'
    assert result.fields["total"].value == 7
    assert result.kind == "json"
    assert {one.answer for one in result.distribution} <= {'{"total":7}', '{"total":8}'}


def test_the_statistics_of_a_field_are_of_its_tokens() -> None:
    said = '{"total": 7}'
    alone = asked({said: 0.8, '{"total": 9}': 0.2}, schema=SCHEMA, decoder=Greedy(), seed=1)
    texts = {f"<think>hm</think>\n\n{said}": 0.8, '<think>hm</think>\n\n{"total": 9}': 0.2}
    after = asked(texts, schema=SCHEMA, decoder=Greedy(), seed=1)
    for result in (alone, after):
        assert result.fields["total"].value == 7
    assert after.fields["total"].share == alone.fields["total"].share
    assert after.features["answer_logprob"] == pytest.approx(alone.features["answer_logprob"])


@pytest.mark.parametrize("choice", ["auto", "any", "add"])
def test_a_call_is_one_after_the_thought_only(choice: str) -> None:
    texts = {f"<think>\nI might say {call(1, 1)}</think>\n\n{call(3, 4)}": 1}
    result = asked(texts, form=OPEN, tools=[TOOL], tool_choice=choice)
    assert [one.arguments for one in result.tool_calls] == [{"a": 3, "b": 4}]
    assert result.reasoning == f"I might say {call(1, 1)}"


def test_words_beside_tools_are_read_after_the_thought() -> None:
    result = asked({r"<think>\boxed{5}</think>It is \boxed{7}": 1}, tools=[TOOL], kind="number")
    assert (result.answer, result.kind) == ("7", "number")
    assert result.reasoning == r"\boxed{5}"


def test_stop_sequences_do_not_end_thoughts() -> None:
    texts = {"<think>one. two.</think>The answer is 7. Or 8.": 1}
    result = asked(texts, kind="number", stop=["."], system_prompt="")
    assert (result.answer, result.reasoning) == ("7", "one. two.")
    assert result.tree is not None
    assert result.tree.leaves[0].text == "The answer is 7"


# What the template is told.


@pytest.mark.parametrize(
    ("form", "mode", "begun"),
    [
        (FREE, "auto", ""),
        (FREE, "on", ""),
        (FREE, "off", OFF),
        (OPEN, "auto", "<think>\n"),
        (OPEN, "off", OFF),
        (CLOSED, "auto", OFF),
        (CLOSED, "on", ""),
        (FIXED, "on", "<think>\n"),
        (None, "off", ""),
    ],
)
def test_thinking_reaches_the_template(form: ReasoningFormat, mode: Any, begun: str) -> None:
    thought = "hm</think>" if begun == "<think>\n" else ""
    with ScriptedModel.from_texts({f"{begun}{thought}7": 1}, reasoning=form) as model:
        result = ask(model, "How many?", decoder=Greedy(), thinking=mode)
        wanted = (
            {}
            if form is None or form is FIXED or mode == "auto"
            else {"enable_thinking": mode == "on"}
        )
        assert result.template_options == wanted
        assert result.answer == "7"


@pytest.mark.parametrize(
    ("form", "options", "error", "says"),
    [
        (None, {"thinking": "on"}, UnsupportedModelError, "choose a model that thinks"),
        (None, {"max_thinking_tokens": 5}, UnsupportedModelError, "max_tokens limits the whole"),
        (None, {"template_options": {"x": 1}}, SettingsError, "does not look at"),
        (FREE, {"template_options": {"x": 1}}, SettingsError, "does not look at"),
        (FIXED, {"thinking": "off"}, UnsupportedModelError, "max_thinking_tokens=0"),
        (
            replace(FIXED, prompt="closed", thinks=False),
            {"thinking": "on"},
            UnsupportedModelError,
            "no switch for it",
        ),
        (CLOSED, {"max_thinking_tokens": 5}, SettingsError, "thinking='on' too"),
        (
            FREE,
            {"thinking": "on", "template_options": {"enable_thinking": False}},
            SettingsError,
            "leave one of them out",
        ),
    ],
)
def test_what_cannot_be_had_is_refused(
    form: ReasoningFormat | None, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        asked({"7": 1}, form=form, **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"thinking": "maybe"}, "use 'auto', 'on' or 'off'"),
        ({"template_options": [1]}, "pass a dict"),
        ({"template_options": {1: 1}}, "pass a dict"),
        ({"template_options": {"a": object()}}, "is not valid JSON: at #/a"),
        ({"max_thinking_tokens": -1}, "0 or more"),
        ({"max_thinking_tokens": True}, "0 or more"),
        ({"max_thinking_tokens": 1, "thinking": "off"}, "leave one out"),
        ({"thinking": "on", "chat": "plain"}, "need the chat template"),
        ({"template_options": {"a": 1}, "chat": "plain"}, "need the chat template"),
        ({"max_thinking_tokens": 1, "chat": "plain"}, "need the chat template"),
    ],
)
def test_options_are_checked_without_a_model(options: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        AskOptions(**options)


def test_template_options_alone_switch_thoughts_off() -> None:
    result = asked({f"{OFF}7": 1}, decoder=Greedy(), template_options={"enable_thinking": False})
    assert (result.answer, result.reasoning) == ("7", None)


# Prompts that are read, not answered.


def test_a_model_that_thinks_thinks_before_it_chooses() -> None:
    texts = {r"<think>\boxed{A}?</think>\boxed{B}": 1}
    with ScriptedModel.from_texts(texts, reasoning=FREE) as model:
        result = ask(model, CHOICE)
        assert result.answer == "B"
        assert result.decoder["name"] == "EntropyTree"


@pytest.mark.parametrize(
    ("form", "options"),
    [(FREE, {"thinking": "off"}), (CLOSED, {}), (FIXED, {"decoder": Direct()})],
    ids=["off", "closed", "asked for"],
)
def test_letters_are_read_where_the_thought_is_empty(
    form: ReasoningFormat, options: dict[str, Any]
) -> None:
    def texts(prompt: str) -> dict[str, float]:
        even = "A" if "A) 4" in prompt else "B"
        return {f"{OFF}{even}": 1}

    with ScriptedModel.from_texts(texts, reasoning=form) as model:
        result = ask(model, CHOICE, **options)
        assert result.decoder["name"] == "Direct"
        assert result.answer == "B"
        assert result.share > 0.9


def test_letters_cannot_be_read_after_a_thought() -> None:
    with pytest.raises(SettingsError, match="Direct reads the letters"):
        asked({"A": 1}, CHOICE, decoder=Direct(), thinking="on")


def test_whether_it_can_be_answered_is_asked_with_an_empty_thought() -> None:
    texts = {f"{OFF}Yes": 0.8, f"{OFF}No": 0.2}
    with ScriptedModel.from_texts(texts, reasoning=FREE) as model:
        assert p_answerable(model, ["How many?"])[0] == pytest.approx(0.8, abs=0.01)

    def either(prompt: str) -> dict[str, float]:
        return texts if "Yes or No" in prompt else {"<think>hm</think>7": 1}

    with ScriptedModel.from_texts(either, reasoning=FREE) as model:
        result = ask(model, "How many?", decoder=Greedy(), kind="number", calibrator=None)
        assert result.answer == "7"
        assert result.features["answerable"] == pytest.approx(math.log(4), abs=0.01)


def test_a_setting_of_the_template_is_another_setting_for_calibrators() -> None:
    auto = asked({"7": 1}, decoder=Greedy(), kind="number")
    off = asked({f"{OFF}7": 1}, decoder=Greedy(), kind="number", thinking="off")
    one, other = (Fingerprint.of_result(result.model_dump(mode="json")) for result in (auto, off))
    assert one.chat == "model"
    assert other.chat != one.chat
    assert any("chat" in problem for problem in one.problems(other))


def test_an_earlier_thought_is_checked_as_text() -> None:
    from et_agent.errors import QuestionError

    said: Any = {"role": "assistant", "content": "5", "reasoning_content": 5}
    turns: Any = [{"role": "user", "content": "2 + 3?"}, said, {"role": "user", "content": "7?"}]
    with pytest.raises(QuestionError, match="reasoning_content of message 2"):
        asked({"7": 1}, turns)


@pytest.mark.parametrize(
    ("said", "kind", "answer"),
    [
        ("```python\nprint('<think>')\n```", "code", "print('<think>')"),
        ("```python\nprint('<think>a</think>')\n```", "code", "print('<think>a</think>')"),
        ("The tag `<think>` opens it. \\boxed{7}", "number", "7"),
        ("```x```\n<think>\n\\boxed{5}\n</think>\n\\boxed{7}", "number", "7"),
    ],
)
@pytest.mark.parametrize("thought", ["", "<think>\nlet me `see\n</think>\n\n"])
def test_a_mark_in_an_answers_code_begins_no_thought(
    thought: str, said: str, kind: str, answer: str
) -> None:
    result = asked({thought + said: 1.0}, kind=kind)
    assert result.answer == answer


def test_a_thought_of_two_is_left_out_where_the_first_answer_has_closed_its_code() -> None:
    texts = {"```x```\n<think>\n\\boxed{5}\n</think>\nDone.": 1.0}
    assert asked(texts, kind="number").answer is None


def test_the_limit_is_told_and_calibrators_hold_for_it() -> None:
    texts = {"<think>a</think>4": 1.0}
    results = [
        asked(texts, decoder=Greedy(), thinking=mode, max_thinking_tokens=limit)
        for mode, limit in (("auto", None), ("on", 5), ("off", None))
    ]
    assert [one.max_thinking_tokens for one in results] == [1024, 5, None]
    prints = [Fingerprint.of_result(one.model_dump(mode="json")) for one in results]
    assert len({one.digest for one in prints}) == 3
    assert "thoughts of up to 5 tokens instead of no thoughts" in prints[2].problems(prints[1])
