"""Thoughts and answers in tokens: told apart, closed by force, followed by grammars."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from et_agent.decoding.thinking import ThinkingConstraint, Thoughts, thought_ending
from et_agent.engines.base import LanguageModel
from et_agent.engines.scripted import END, ScriptedModel
from et_agent.errors import DecodeError, UnsupportedModelError
from et_agent.templates.chat import ChatTemplate
from et_agent.templates.messages import Message
from et_agent.templates.reasoning import ReasoningFormat
from tests.templates.thinking import ANSWER, CASES, THOUGHT, Case

ASKED: Message = {"role": "user", "content": "How many?"}
FIRST_CONTROL = 258


class Marked(ScriptedModel):
    """A model whose vocabulary is the bytes and control tokens, and whose template is a real one."""

    def __init__(self, case: Case) -> None:
        super().__init__(lambda _, __: np.zeros(FIRST_CONTROL, dtype=np.float32))
        self.template = ChatTemplate(case.source, "<s>", "</s>")
        self._names = list(case.controls)

    def template_tokens(self, text: str) -> list[int]:
        pattern = "|".join(map(re.escape, self._names))
        tokens: list[int] = []
        for piece in re.split(f"({pattern})", text):
            if piece in self._names:
                tokens.append(FIRST_CONTROL + self._names.index(piece))
            else:
                tokens += self.tokenize(piece)
        return tokens

    def chat_tokens(self, messages: Sequence[Message], tools: Any = (), options: Any = None) -> Any:
        pieces = self.template.pieces(messages, tools, options)
        return [
            token
            for piece in pieces
            for token in (self.template_tokens if piece.control else self.tokenize)(piece.text)
        ]

    def reasoning_format(self) -> ReasoningFormat | None:
        return self.template.reasoning

    def thoughts(self, limit: int = 100, **options: Any) -> Thoughts:
        form = self.template.reasoning
        assert form is not None
        prompt = self.chat_tokens([ASKED], (), options)
        return Thoughts(self, form, prompt, limit=limit)


def thoughts_of(case: Case, limit: int = 100) -> tuple[Marked, Thoughts]:
    """Those of a prompt after which the model thinks."""
    model = Marked(case)
    options = case.on if case.prompt == "closed" and case.on else {}
    return model, model.thoughts(limit, **options)


EACH = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@EACH
def test_thought_and_answer_are_two_things(case: Case) -> None:
    model, thoughts = thoughts_of(case)
    reply = case.reply
    if case.prompt == "closed" and thoughts.state == "open":
        reply = reply.removeprefix(case.marks[0])
    parts = thoughts.parts(model.template_tokens(reply))
    assert (parts.thought, parts.answer) == (THOUGHT, ANSWER)
    assert parts.decided
    assert not parts.open


@EACH
def test_an_unfinished_thought_has_no_answer(case: Case) -> None:
    model, thoughts = thoughts_of(case)
    reply = case.reply[: case.reply.index("Wrong") + 5]
    if case.prompt == "closed" and thoughts.state == "open":
        reply = reply.removeprefix(case.marks[0])
    parts = thoughts.parts(model.template_tokens(reply))
    assert parts.open
    assert parts.answer == ""
    assert parts.thought == THOUGHT[: THOUGHT.index("Wrong") + 5]
    assert thoughts.answer_start(model.template_tokens(reply)) is None


@EACH
def test_after_a_closed_prompt_the_answer_comes_at_once(case: Case) -> None:
    model = Marked(case)
    if case.off is None:
        ending = thought_ending(model, model.chat_tokens([ASKED]))
        tokens = [*model.chat_tokens([ASKED]), *ending]
    else:
        tokens = model.chat_tokens([ASKED], (), case.off)
        tokens += thought_ending(model, tokens)
    form = model.template.reasoning
    assert form is not None
    thoughts = Thoughts(model, form, tokens)
    # Granite's prompts show nothing of it.
    assert thoughts.state == ("free" if case.header == "<response>" else "closed")
    assert thoughts.answer_start(model.tokenize("7")) == 0


@EACH
def test_a_thought_at_its_limit_ends_as_the_template_ends_it(case: Case) -> None:
    model, thoughts = thoughts_of(case, limit=4)
    prompt = model.chat_tokens([ASKED])
    rule = ThinkingConstraint(sized(model), thoughts, prompt)
    path = [] if thoughts.state == "open" else list(thoughts.opening)
    assert is_free(rule, path)
    path += model.tokenize("abcd")
    start = len(path)
    while (mask := rule.allowed(path)) is not None:
        path += np.flatnonzero(mask).tolist()
        assert len(path) < start + 100
    form = thoughts.form
    assert path[start:] == model.template_tokens(form.closing_text)
    parts = thoughts.parts([*path, *model.tokenize("7")])
    assert (parts.thought, parts.answer, parts.open) == ("abcd", "7", False)
    assert thoughts.reached(parts)
    assert len(path) <= thoughts.longest


def is_free(rule: ThinkingConstraint, path: Sequence[int]) -> bool:
    """Whether every token may come next but the one that ends a generation."""
    mask = rule.allowed(path)
    return mask is not None and np.flatnonzero(~mask).tolist() == [END]


def sized(model: Marked) -> LanguageModel:
    """The model with a vocabulary that has its control tokens."""
    model._info = replace(model.info, vocabulary=FIRST_CONTROL + len(model._names))
    return model


OPEN = CASES["think, opened by the prompt"]
FREE = CASES["think, opened by the model"]


def test_a_thought_that_ends_by_itself_is_not_forced() -> None:
    model, thoughts = thoughts_of(OPEN, limit=12)
    rule = ThinkingConstraint(sized(model), thoughts, [])
    path = model.tokenize("abc</think>\n\n7 and more than twelve")
    ends = len("abc</think>")
    assert all(is_free(rule, path[:size]) for size in range(ends))
    assert all(rule.allowed(path[:size]) is None for size in range(ends, len(path) + 1))
    assert not thoughts.reached(thoughts.parts(path))


def test_the_limit_cuts_through_no_character() -> None:
    model, thoughts = thoughts_of(OPEN, limit=2)
    rule = ThinkingConstraint(sized(model), thoughts, [])
    path = model.tokenize("a€")  # 1 and 3 bytes
    assert is_free(rule, path[:2])
    assert is_free(rule, path[:3])
    mask = rule.allowed(path)
    assert mask is not None
    assert np.flatnonzero(mask).tolist() == model.tokenize("\n")
    parts = thoughts.parts([*path, *thoughts.closing, *thoughts.header])
    assert parts.thought == "a€"


class Digits:
    """A grammar of one digit."""

    def __init__(self, size: int) -> None:
        self.size = size

    def allowed(self, tokens: Sequence[int]) -> NDArray[np.bool_]:
        if any(token not in b"0123456789" for token in tokens):
            raise DecodeError("no digit")
        mask = np.zeros(self.size, dtype=np.bool_)
        if not tokens:
            mask[list(b"0123456789")] = True
        return mask


def allowed_text(rule: ThinkingConstraint, path: Sequence[int]) -> set[int] | None:
    mask = rule.allowed(path)
    return None if mask is None else set(np.flatnonzero(mask).tolist())


DIGITS = set(b"0123456789")


def test_a_grammar_begins_after_the_thought() -> None:
    model, thoughts = thoughts_of(FREE)
    rule = ThinkingConstraint(sized(model), thoughts, [], Digits(model.info.vocabulary))
    assert allowed_text(rule, []) == DIGITS | {ord("<")}
    assert allowed_text(rule, model.tokenize("<th")) == {ord("i")}
    assert is_free(rule, model.tokenize("<think>hm {7"))
    thought = model.tokenize("<think>hm 5</think>")
    assert allowed_text(rule, thought) == {ord("\n")}
    assert allowed_text(rule, [*thought, *b"\n\n"]) == DIGITS
    assert allowed_text(rule, [*thought, *b"\n\n7"]) == set()
    assert allowed_text(rule, model.tokenize("7")) == set()


def test_a_grammar_after_a_closed_prompt_allows_no_thought() -> None:
    model = sized(Marked(FREE))
    assert isinstance(model, Marked)
    thoughts = model.thoughts(enable_thinking=False)
    rule = ThinkingConstraint(model, thoughts, [], Digits(model.info.vocabulary))
    assert allowed_text(rule, []) == DIGITS


def test_a_grammar_of_a_channel_begins_after_its_header() -> None:
    case = CASES["harmony"]
    model, thoughts = thoughts_of(case)
    prompt = model.chat_tokens([ASKED])
    rule = ThinkingConstraint(sized(model), thoughts, prompt, Digits(model.info.vocabulary))
    (channel,) = model.template_tokens("<|channel|>")
    assert allowed_text(rule, []) == {channel}
    assert allowed_text(rule, [channel]) == {ord("a"), ord("f")}
    final = model.template_tokens("<|channel|>final<|message|>")
    assert allowed_text(rule, final) == DIGITS
    thought = model.template_tokens("<|channel|>analysis<|message|>5<|end|>")
    assert allowed_text(rule, thought) == set(model.template_tokens("<|start|>"))
    assert allowed_text(rule, [*thought, *thoughts.header]) == DIGITS


def test_a_control_token_is_not_what_spells_it() -> None:
    model, thoughts = thoughts_of(CASES["[THINK]"])
    spelled = thoughts.parts(model.tokenize("[THINK]5[/THINK]7"))
    assert (spelled.thought, spelled.answer) == (None, "[THINK]5[/THINK]7")


def test_several_thoughts_are_left_out_of_one_answer() -> None:
    model, thoughts = thoughts_of(FREE)
    parts = thoughts.parts(model.tokenize("<think>5</think>\nIt is <think>6</think>7."))
    assert (parts.thought, parts.answer) == ("5\n\n6", "It is 7.")
    assert parts.offset is None
    again = thoughts.parts(model.tokenize("<think>5</think>It is 7. <think>or 8"))
    assert again.open


@given(st.text(), st.text())
def test_offsets_are_where_the_answer_begins(thought: str, answer: str) -> None:
    model, thoughts = MODEL
    path = model.tokenize(f"{thought}</think>\n\n{answer}")
    parts = thoughts.parts(path)
    if "<think>" in thought + answer or "</think>" in thought or not parts.answer:
        return
    assert parts.offset is not None
    whole = bytes(path)
    assert whole[parts.offset :].decode() == parts.answer == answer.lstrip(" \t\r\n")
    assert parts.start == len(f"{thought}</think>".encode())


MODEL = thoughts_of(OPEN)


def test_a_template_of_another_model_is_refused() -> None:
    model, _ = thoughts_of(CASES["[THINK]"])

    class Other(Marked):
        def template_tokens(self, text: str) -> list[int]:
            return self.tokenize(text) if text.startswith("\n") else super().template_tokens(text)

    other = Other(CASES["[THINK]"])
    with pytest.raises(UnsupportedModelError, match="template is of another model"):
        ThinkingConstraint(sized(other), other.thoughts(), [])
    ThinkingConstraint(sized(model), model.thoughts(), [])
