"""Reasoning formats, read off templates alone."""

import pytest

from et_agent.errors import SettingsError
from et_agent.templates.chat import ChatTemplate, Piece
from et_agent.templates.messages import Message
from et_agent.templates.reasoning import parted_by_tags
from tests.templates.thinking import ANSWER, CASES, THOUGHT, Case, turns

NONE = turns("{{- m.content }}", "{{- '<|im_start|>assistant\n' }}")
ASKED: Message = {"role": "user", "content": "How many?"}


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, "<s>", "</s>")


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_format_is_that_of_the_template(case: Case) -> None:
    form = template(case.source).reasoning
    assert form is not None
    assert (form.opening, form.closing) == case.marks
    assert form.answer == case.header
    assert (form.prompt, form.thinks) == (case.prompt, case.thinks)
    assert (form.on, form.off) == (case.on, case.off)


SWITCHED = {name: case for name, case in CASES.items() if case.off is not None}


@pytest.mark.parametrize("case", SWITCHED.values(), ids=SWITCHED)
def test_the_switch_changes_how_prompts_end(case: Case) -> None:
    made = template(case.source)
    form = made.reasoning
    assert form is not None
    on, off = (
        form.state_of(text_of(made.pieces([ASKED], options=options)))
        for options in (case.on, case.off)
    )
    # Granite tells in its system text.
    assert off == ("free" if case.header == "<response>" else "closed")
    assert on in ("open", "free")


@pytest.mark.parametrize(
    "source", [NONE, "{{ raise_exception('no') }}", "{{ messages[0].content }}"]
)
def test_a_template_without_thoughts_has_no_format(source: str) -> None:
    assert template(source).reasoning is None


def test_an_effort_that_closes_no_thought_is_no_switch() -> None:
    harmony = CASES["harmony"].source
    form = template("{{- 'Reasoning: ' + (reasoning_effort or 'medium') }}" + harmony).reasoning
    assert form is not None
    assert form.off is None


def test_a_thought_with_tags_that_no_list_knows_is_found_by_rendering() -> None:
    source = CASES["Seed-OSS"].source.replace("seed:think", "musing")
    form = template(source).reasoning
    assert form is not None
    assert (form.opening, form.closing) == ("<musing>", "</musing>")


QWEN = template(CASES["think, opened by the model"].source)
THINKING: Message = {
    "role": "assistant",
    "content": ANSWER,
    "reasoning_content": "<|im_end|> is text",
}


def test_thoughts_of_earlier_turns_are_given_to_the_template_as_text() -> None:
    pieces = QWEN.pieces([ASKED, THINKING, ASKED])
    assert Piece("<|im_end|> is text", control=False) in pieces
    assert "<think>\n<|im_end|> is text\n</think>\n\nThe answer is 7." in text_of(pieces)


def test_thoughts_within_a_text_are_told_apart_from_it() -> None:
    whole = f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"
    for said in (whole, f"{THOUGHT}</think>{ANSWER}"):
        turn: Message = {"role": "assistant", "content": said}
        told: Message = {"role": "assistant", "content": ANSWER, "reasoning_content": THOUGHT}
        assert QWEN.pieces([ASKED, turn, ASKED]) == QWEN.pieces([ASKED, told, ASKED])


def test_a_template_that_drops_thoughts_drops_those_in_a_text_too() -> None:
    made = template(CASES["think, without a switch"].source)
    turn: Message = {"role": "assistant", "content": f"<think>{THOUGHT}</think>\n{ANSWER}"}
    text = text_of(made.pieces([ASKED, turn, ASKED]))
    assert ANSWER in text
    assert THOUGHT not in text


def test_a_text_that_only_speaks_of_tags_stays_whole() -> None:
    turn: Message = {"role": "assistant", "content": "Use <think> and </think>."}
    assert "Use <think> and </think>." in text_of(QWEN.pieces([ASKED, turn, ASKED]))


def test_thoughts_that_a_template_refuses_are_left_out() -> None:
    refuses = "{%- if m.thinking %}{{ raise_exception('not both') }}{%- endif %}"
    made = template(turns(refuses + "{{- m.content }}", ""))
    assert "The answer is 7." in text_of(made.pieces([ASKED, THINKING, ASKED]))


def test_options_reach_the_template_and_unknown_ones_are_refused() -> None:
    source = turns("{{- m.content }}", "{{- '[' + effort | default('none') + ']' }}")
    assert text_of(template(source).pieces([ASKED], options={"effort": "low"})).endswith("[low]")
    with pytest.raises(SettingsError, match="does not look at efort: use effort"):
        template(source).pieces([ASKED], options={"efort": "low"})
    with pytest.raises(SettingsError, match="it has none"):
        template(NONE).pieces([ASKED], options={"effort": "low"})


def test_an_option_cannot_bring_control_tokens_in() -> None:
    source = turns("{{- m.content }}", "{{- effort }}")
    pieces = template(source).pieces([ASKED], options={"effort": "<|im_end|>"})
    assert pieces[-1] == Piece("<|im_end|>", control=False)
    nested = turns("", "{{- effort.level }}")
    pieces = template(nested).pieces([ASKED], options={"effort": {"level": "<|im_end|>"}})
    assert pieces[-1] == Piece("<|im_end|>", control=False)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>a</think>b", ("a", "b")),
        (" <thinking>\na\n</thinking>\n\nb", ("a", "b")),
        ("<seed:think>a</seed:think>b", ("a", "b")),
        ("<|START_THINKING|>a<|END_THINKING|>b", ("a", "b")),
        ("a</think>b", ("a", "b")),
        ("<think></think>b", ("", "b")),
        ("<think>a", ("a", "")),
        ("<think>a</think>", ("a", "")),
        ("<think>a</thinking>b", ("a</thinking>b", "")),
        ("<think>a</think>b<think>c</think>d", ("a\n\nc", "bd")),
        ("b", None),
        ("", None),
        ("It is <think>a</think>", None),
        ("`</think>` ends it", None),
        ("<thinker>a</thinker>b", None),
    ],
)
def test_tags_part_a_reply_of_an_unknown_template(text: str, parts: tuple[str, str] | None) -> None:
    assert parted_by_tags(text) == parts


def test_a_prompt_that_ends_with_a_tag_begins_a_thought() -> None:
    form = template(turns("{{- m.content }}", "{{- '<|im_start|>assistant\n<think>' }}")).reasoning
    assert form is not None
    assert (form.opening, form.closing, form.prompt) == ("<think>", "</think>", "open")


def test_a_system_text_tells_of_thoughts_and_solutions() -> None:
    told = "{{- 'Use <|begin_of_thought|> {thought} <|end_of_thought|> <|begin_of_solution|>' }}"
    form = template(told + NONE).reasoning
    assert form is not None
    text = (
        "<|begin_of_thought|>\n\na\n\n<|end_of_thought|>\n\n"
        "<|begin_of_solution|>\n\nb\n\n<|end_of_solution|>"
    )
    parts = form.parted(text)
    assert parts is not None
    assert tuple(map(str.strip, parts)) == ("a", "b")
