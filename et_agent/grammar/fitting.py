"""Whether JSON that no grammar has kept to its schema fits it all the same."""

import functools
import json
from collections.abc import Mapping
from typing import Any

from llguidance import LLMatcher, LLTokenizer

from et_agent.grammar.schemas import json_rule

__all__ = ["fits"]


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether the grammar of a schema allows a value.

    Grammars have properties in the order of the schema. Those of an object that the schema describes in
    place may come in any other.

    Args:
        value: The value, plain JSON types.
        schema: The schema.

    Raises:
        SettingsError: No grammar can express the schema.
    """
    matcher = _matcher(json.dumps(schema)).deep_copy()
    text = json.dumps(_ordered(value, schema), ensure_ascii=False).encode("utf-8", "replace")
    tokens = _bytes().tokenize_bytes(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def _ordered(value: Any, schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return value
    if isinstance(value, dict):
        given = schema.get("properties")
        known = given if isinstance(given, Mapping) else {}
        names = [*(name for name in known if name in value), *(n for n in value if n not in known)]
        return {name: _ordered(value[name], known.get(name)) for name in names}
    if isinstance(value, list):
        return [_ordered(one, schema.get("items")) for one in value]
    return value


@functools.cache
def _bytes() -> LLTokenizer:
    return LLTokenizer("byte")


@functools.lru_cache(64)
def _matcher(schema: str) -> LLMatcher:
    grammar = LLMatcher.grammar_from_lark(f"start: {json_rule(json.loads(schema))}")
    return LLMatcher(_bytes(), grammar, log_level=0)
