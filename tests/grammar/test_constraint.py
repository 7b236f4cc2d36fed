"""Masks over byte and word vocabularies: they are what asking about every token gives."""

import gc
import threading
import weakref
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent import ScriptedModel
from et_agent.engines.base import Tokenizer
from et_agent.engines.scripted import END, VOCABULARY
from et_agent.errors import DecodeError, SettingsError
from et_agent.grammar import GrammarConstraint, constraint, json_rule, literal

WORDS = {1: b"c>", 2: b"yes", 3: b" yes", 4: b'{"', 5: b'": "', 6: "é".encode(), 7: b"\xc3"}


class Words(ScriptedModel):
    """Some of its control bytes stand for words."""

    def token_bytes(self, token: int) -> bytes:
        return WORDS.get(token, super().token_bytes(token))


@pytest.fixture(scope="module")
def model() -> ScriptedModel:
    return Words.from_texts({"x": 1.0})


def after(made: GrammarConstraint, path: Sequence[int]) -> list[int]:
    return np.flatnonzero(made.allowed(path)).tolist()


def test_a_mask_holds_every_spelling(model: ScriptedModel) -> None:
    made = GrammarConstraint(model, 'start: " yes" | "yes é"')
    assert made.allowed([]).dtype == np.bool_
    assert made.allowed([]).shape == (VOCABULARY,)
    assert after(made, []) == [2, 3, ord(" "), ord("y")]
    assert after(made, [ord(" ")]) == [2, ord("y")]
    assert after(made, [3]) == [END]
    assert after(made, [2, ord(" ")]) == [6, 7, 0xC3]
    assert after(made, [2, ord(" "), 7]) == [0xA9]
    assert after(made, [2, ord(" "), 7, 0xA9]) == after(made, [2, ord(" "), 6]) == [END]


SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string", "pattern": "^[é-ü]+x?$"}, "b": {"type": "integer"}},
    "required": ["a"],
}


def test_masks_are_what_asking_about_every_token_gives(model: ScriptedModel) -> None:
    made = GrammarConstraint(model, f"start: {json_rule(SCHEMA)}")
    path = [4, ord("a"), 5, 6, 7, 0xA9, *b'x",\n  "b" :-1', *b"2}"]
    for count in range(len(path) + 1):
        mask = made.allowed(path[:count])
        assert mask[END] == (count == len(path))
        for token in set(range(VOCABULARY)) - {END}:
            try:
                made.allowed([*path[:count], token])
            except DecodeError:
                assert not mask[token], (path[:count], token)
            else:
                assert mask[token], (path[:count], token)


def test_all_tokens_that_end_a_generation_may_come_when_the_text_is_complete() -> None:
    class Two(ScriptedModel):
        """Two of its tokens end a generation, one of which has a text."""

        @property
        def info(self):  # type: ignore[no-untyped-def]
            from dataclasses import replace

            return replace(super().info, stop_tokens=frozenset({END, ord("b")}))

    made = GrammarConstraint(Two.from_texts({"x": 1.0}), "start: /a[bc]?/")
    assert after(made, []) == [ord("a")]
    assert after(made, [ord("a")]) == [ord("b"), ord("c"), END]
    assert after(made, list(b"ac")) == [ord("b"), END]
    with pytest.raises(DecodeError):
        made.allowed([ord("b")])


def test_no_text_is_endless_for_its_spaces(model: ScriptedModel) -> None:
    made = GrammarConstraint(model, f"start: {json_rule({'type': 'object'})}")
    for spaces in (b" ", b"\n\n" + b" \t" * 10):
        path = list(b"{" + spaces)
        assert not set(b" \n\t\r") & set(after(made, path))


@pytest.mark.parametrize("text", ["hello", '{"c', '{"a": 1', "", "\x00"])
def test_a_path_that_is_not_allowed_is_an_error(model: ScriptedModel, text: str) -> None:
    made = GrammarConstraint(model, f"start: {json_rule(SCHEMA)}")
    tokens = [*text.encode(), END] if not text else list(text.encode())
    with pytest.raises(DecodeError, match=f"token {tokens[-1] if text[:1] == '{' else tokens[0]}"):
        made.allowed(tokens)
    assert after(made, []) == [4, ord("{")], "the constraint goes on"


def test_states_are_made_again_when_there_are_too_many(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constraint, "_STATES", 4)
    made = GrammarConstraint(model, "start: /(ab+c)*/")
    text = b"abbbc" * 3
    paths = [list(text[:count]) for count in range(len(text) + 1)]
    first = [after(made, path) for path in paths]
    assert len(made._states) == 4
    assert [after(made, path) for path in reversed(paths)] == first[::-1]


def test_forks_leave_their_beginning_as_it_is(model: ScriptedModel) -> None:
    made = GrammarConstraint(model, "start: /a(b|c)[0-9]{2}/")
    beginning = after(made, [ord("a")])
    assert after(made, list(b"ab1")) == after(made, list(b"ac7")) == list(b"0123456789")
    assert after(made, [ord("a")]) == beginning == list(b"bc")


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ("start: nope", "unknown name"),
        ('begin: "a"', "start"),
        ('start: "a', "not valid"),
        ('start: start "a"', "allows no text"),
        ("start: /(?=a)b/", "look-around|lookaround|regex"),
    ],
)
def test_grammars_that_are_none(model: ScriptedModel, rules: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        GrammarConstraint(model, rules)


def test_a_vocabulary_without_the_texts_is_said() -> None:
    class Letters(ScriptedModel):
        """It has only a and b."""

        def token_bytes(self, token: int) -> bytes:
            return {97: b"a", 98: b"b"}.get(token, b"")

    model = Letters.from_texts({"a": 1.0})
    assert after(GrammarConstraint(model, "start: /[a-z]/"), []) == list(b"ab")
    with pytest.raises(SettingsError, match="no text of the model's tokens"):
        GrammarConstraint(model, 'start: "c"')


def test_a_vocabulary_is_read_once_and_goes_with_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Counted(constraint._Vocabulary):
        """It is told when it is made."""

        def __init__(self, model: Tokenizer) -> None:
            made.append(1)
            super().__init__(model)

    monkeypatch.setattr(constraint, "_Vocabulary", Counted)
    model = ScriptedModel.from_texts({"x": 1.0})
    work = [
        threading.Thread(target=GrammarConstraint, args=(model, f'start: "{i}"')) for i in range(8)
    ]
    for one in work:
        one.start()
    for one in work:
        one.join()
    assert made == [1]
    left, alive = GrammarConstraint(model, 'start: "a"'), weakref.ref(model)
    model.close()
    del model, work, one
    gc.collect()
    assert alive() is None
    assert after(left, []) == [ord("a")], "it outlives its model"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_literals_stand_for_themselves(text: str) -> None:
    made = GrammarConstraint(_BYTES, f"start: {literal('')} {literal(text)} {literal('')}")
    assert after(made, list(text.encode())) == [END]


_BYTES = ScriptedModel.from_texts({"x": 1.0})


def test_rules_that_are_no_text_are_refused(model: ScriptedModel) -> None:
    for rules in ('start: "\ud800"', 'start: "\0"'):
        with pytest.raises(SettingsError, match=r"UTF-8|NUL"):
            GrammarConstraint(model, rules)
