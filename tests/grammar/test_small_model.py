"""Grammars over the vocabulary of the small model."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from et_agent import EntropyTree, ask
from et_agent.errors import DecodeError, ModelClosedError
from et_agent.grammar import GrammarConstraint, json_rule

if TYPE_CHECKING:
    from et_agent.engines.llama_cpp.model import LlamaCppModel

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
def constraint(small_model: "LlamaCppModel") -> GrammarConstraint:
    return GrammarConstraint(small_model, f"start: {json_rule(SCHEMA)}")


def test_masks_are_what_asking_about_every_token_gives(
    small_model: "LlamaCppModel", constraint: GrammarConstraint
) -> None:
    stop = sorted(small_model.info.stop_tokens)
    tokens = small_model.tokenize(TEXT)
    seen = set()
    for count in range(len(tokens) + 1):
        mask = constraint.allowed(tokens[:count])
        state = constraint._states[tuple(tokens[:count])]
        for token in {*range(count, small_model.info.vocabulary, 37), *tokens} - {*stop}:
            assert mask[token] == bool(state.validate_tokens([token])), (tokens[:count], token)
        assert (mask[stop] == (count == len(tokens))).all()
        seen.add(int(mask.sum()))
    assert max(seen) > 40_000, "in a string nearly all tokens are allowed"
    assert min(seen) == 1


def test_control_tokens_are_no_text(
    small_model: "LlamaCppModel", constraint: GrammarConstraint
) -> None:
    tokens = small_model.tokenize('{"setup": "a')
    control = [t for t in range(small_model.info.vocabulary) if not small_model.token_bytes(t)]
    assert control
    assert not constraint.allowed(tokens)[control].any()


def test_a_path_that_is_not_allowed_is_an_error_and_no_crash(
    small_model: "LlamaCppModel", constraint: GrammarConstraint
) -> None:
    with pytest.raises(DecodeError, match="not what the grammar allows"):
        constraint.allowed(small_model.tokenize("hello"))
    with pytest.raises(DecodeError):
        constraint.allowed([next(iter(small_model.info.stop_tokens))])


def test_a_grammar_without_strings_allows_only_what_it_names(small_model: "LlamaCppModel") -> None:
    constraint = GrammarConstraint(small_model, 'start: " yes" | "non" | "été"')
    allowed = np.flatnonzero(constraint.allowed([]))
    pieces = {small_model.token_bytes(int(token)) for token in allowed}
    assert {b" yes", b"non", b" ", b"n"} <= pieces
    assert any(piece.startswith("é".encode()[:1]) for piece in pieces)
    assert all(any(t.encode().startswith(p) for t in (" yes", "non", "été")) for p in pieces)


def test_a_schema_on_the_small_model(small_model: "LlamaCppModel") -> None:
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
    from et_agent.engines.llama_cpp.model import LlamaCppModel

    model = LlamaCppModel(small_model_path, context=64, max_sequences=1, threads=1, attention=False)
    left = GrammarConstraint(model, 'start: "a"')
    model.close()
    assert left.allowed([]).any(), "it outlives its model"
    other = LlamaCppModel(small_model_path, context=64, max_sequences=1, threads=1, attention=False)
    other.close()
    with pytest.raises(ModelClosedError):
        GrammarConstraint(other, 'start: "a"')
