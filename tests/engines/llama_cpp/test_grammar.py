"""llama.cpp's grammar on the small model: quick masks are what asking about every token gives."""

import gc
import json
from pathlib import Path

import numpy as np
import pytest

from et_agent import EntropyTree, ask
from et_agent.engines.gbnf import Gbnf
from et_agent.engines.json_grammar import schema_rules
from et_agent.engines.llama_cpp import grammar
from et_agent.engines.llama_cpp.grammar import LlamaConstraint, _ends_inside_character
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.errors import DecodeError, ModelClosedError, SettingsError

pytestmark = pytest.mark.model

SCHEMA = {
    "type": "object",
    "properties": {
        "setup": {"type": "string"},
        "n": {"type": "integer"},
        "e": {"enum": ["rose", "red", "été"]},
        "short": {"type": "string", "maxLength": 30},
    },
    "required": ["setup", "n", "e", "short"],
}
TEXT = '{"setup": "Why did the 猫 \\n cross 😀?", "n": 12, "e": "rose", "short": "abc def"}'


@pytest.fixture(scope="module")
def constraint(small_model: LlamaCppModel) -> LlamaConstraint:
    return small_model.constraint(schema_rules(SCHEMA))


def test_quick_masks_are_those_of_asking_about_every_token(
    small_model: LlamaCppModel, constraint: LlamaConstraint
) -> None:
    slow = small_model.constraint(schema_rules(SCHEMA))
    assert slow._probe is not None
    slow._probe = None
    tokens = small_model.tokenize(TEXT)
    seen = set()
    for count in range(len(tokens) + 1):
        quick = constraint.allowed(tokens[:count])
        assert (quick == slow.allowed(tokens[:count])).all(), tokens[:count]
        seen.add(int(quick.sum()))
    assert max(seen) > 40_000, "in a string nearly all tokens are allowed"
    assert min(seen) == 1


def test_masks_agree_with_the_grammar_itself(
    small_model: LlamaCppModel, constraint: LlamaConstraint
) -> None:
    gbnf = Gbnf.parse(schema_rules(SCHEMA))
    stop = small_model.info.stop_tokens
    tokens = small_model.tokenize(TEXT)
    for count in range(0, len(tokens) + 1, 3):
        before = b"".join(map(small_model.token_bytes, tokens[:count]))
        if _ends_inside_character(before):
            continue
        state = gbnf.accept(gbnf.start(), before.decode())
        allowed = constraint.allowed(tokens[:count])
        for token in range(0, small_model.info.vocabulary, 37):
            try:
                text = small_model.token_bytes(token).decode()
            except UnicodeDecodeError:
                continue
            if token in stop:
                continue
            expected = bool(text) and bool(gbnf.accept(state, text))
            assert bool(allowed[token]) == expected, (before, text)
        complete = gbnf.complete(state)
        assert all(bool(allowed[token]) == complete for token in stop)


def test_control_tokens_are_no_text(
    small_model: LlamaCppModel, constraint: LlamaConstraint
) -> None:
    tokens = small_model.tokenize('{"setup": "a')
    control = [t for t in range(small_model.info.vocabulary) if not small_model.token_bytes(t)]
    assert control
    assert not constraint.allowed(tokens)[control].any()


def test_a_path_that_is_not_allowed_is_an_error_and_no_crash(
    small_model: LlamaCppModel, constraint: LlamaConstraint
) -> None:
    with pytest.raises(DecodeError, match="not what the grammar allows"):
        constraint.allowed(small_model.tokenize("hello"))
    with pytest.raises(DecodeError):
        constraint.allowed([next(iter(small_model.info.stop_tokens))])


def test_states_are_made_again_when_there_are_too_many(
    small_model: LlamaCppModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammar, "_STATES", 4)
    constraint = small_model.constraint('root ::= "a b c d e f g h " root | ""')
    words = small_model.tokenize("a b c d e f g h " * 2)
    paths = [words[:count] for count in range(len(words))]
    first = [constraint.allowed(path) for path in paths]
    assert len(constraint._states) == 4
    again = [constraint.allowed(path) for path in paths]
    assert all((one == other).all() for one, other in zip(first, again, strict=True))
    states = constraint._states
    del constraint
    gc.collect()
    assert not states, "freed with their owner"


def test_a_grammar_without_strings_asks_only_what_it_names(small_model: LlamaCppModel) -> None:
    constraint = small_model.constraint('root ::= " yes" | "non" | "été"')
    allowed = np.flatnonzero(constraint.allowed([]))
    pieces = {small_model.token_bytes(int(token)) for token in allowed}
    assert {b" yes", b"non", b" ", b"n"} <= pieces
    assert any(piece.startswith("é".encode()[:1]) for piece in pieces)
    assert all(any(t.encode().startswith(p) for t in (" yes", "non", "été")) for p in pieces)


def test_grammars_that_are_none(small_model: LlamaCppModel) -> None:
    with pytest.raises(SettingsError, match="no rule nope"):
        small_model.constraint("root ::= nope")


def test_a_constraint_that_outlives_its_model_is_an_error_and_no_crash(
    small_model_path: Path,
) -> None:
    model = LlamaCppModel(small_model_path, context=64, max_sequences=1, threads=1, attention=False)
    left = model.constraint('root ::= "a"')
    model.close()
    with pytest.raises(ModelClosedError):
        left.allowed([])
    del left
    gc.collect()


def test_a_schema_on_the_small_model(small_model: LlamaCppModel) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue", "green"]}, "sure": {"type": "boolean"}},
        "required": ["colour", "sure"],
    }
    decoder = EntropyTree(leaves=6, roots=3, temperature=1, max_tokens=40)
    result = ask(small_model, "What is the colour of the sky?", schema=schema, decoder=decoder)
    assert result.tree is not None
    for leaf in result.tree.leaves:
        said = json.loads(leaf.text)
        assert said["colour"] in ("red", "blue", "green")
        assert isinstance(said["sure"], bool)
        assert leaf.finish == "stop"
    assert sum(share.share for share in result.distribution) == pytest.approx(1)
    assert result.kind == "json"


def test_a_closed_model_makes_no_constraint(small_model_path: Path) -> None:
    model = LlamaCppModel(small_model_path, context=64, max_sequences=1, threads=1, attention=False)
    model.close()
    with pytest.raises(ModelClosedError):
        model.constraint('root ::= "a"')
