"""Prompts to the token, on real vocabularies: llama.cpp's, and no special token from outside."""

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from et_agent.engines.llama_cpp.binding import llama_cpp
from et_agent.engines.llama_cpp.native import Native
from et_agent.engines.llama_cpp.tokenizer import LlamaTokenizer, stop_tokens
from et_agent.errors import UnsupportedModelError
from et_agent.templates.chat import ChatTemplate, Piece
from et_agent.templates.messages import Message, Tool
from tests.llama_cpp_source import SKIPPED, chat_templates, vocabularies

VOCABULARIES, TEMPLATES = vocabularies(), chat_templates()
pytestmark = pytest.mark.skipif(not VOCABULARIES, reason=SKIPPED)

RENDERINGS = 200
MADE = {source: ChatTemplate(source, "<s>", "</s>") for source in TEMPLATES.values()}
"""Templates are probed once, for all vocabularies."""
TEXTS = (
    "Hello there,  how are   you?",
    "  spaces first, and a tab\there\n\n\nand lines ",
    "Größe: 3 µm — naïve café, Ελληνικά, 日本語のテキスト, العربية",
    "emoji 👩‍👩‍👧 and \u200b zero width, \U0001f9ff",
    "def f(x):\n    return {'a': [1, 2, 3.5e-7]}  # 100%",
    "<b>bold</b> & [link](http://example.org/?a=1&b=2)",
    "1234567890 ½ ² Ⅳ ١٢٣",
    "",
)
TOOL: Tool = {
    "type": "function",
    "function": {
        "name": "find",
        "description": "Finds.",
        "parameters": {"type": "object", "properties": {}},
    },
}


def conversations() -> Iterator[list[Message]]:
    for first, second in itertools.permutations(TEXTS[:-1], 2):
        yield [{"role": "user", "content": first}]
        yield [{"role": "system", "content": second}, {"role": "user", "content": first}]
        yield [
            {"role": "user", "content": first},
            {"role": "assistant", "content": second},
            {"role": "user", "content": first + second},
        ]


class Vocabulary:
    """A vocabulary's file, loaded without weights."""

    def __init__(self, path: Path) -> None:
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = True
        self._native = Native()
        self._native.model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        self.vocab = llama_cpp.llama_model_get_vocab(self._native.model)
        size = int(llama_cpp.llama_vocab_n_tokens(self.vocab))
        stops = stop_tokens(self.vocab)
        info: Any = SimpleNamespace(
            vocabulary=size, stop_tokens=stops, name=path.stem, context=8192
        )
        self.bos = int(llama_cpp.llama_vocab_bos(self.vocab))
        self.adds_bos = bool(llama_cpp.llama_vocab_get_add_bos(self.vocab)) and self.bos >= 0
        self.tokenizer = LlamaTokenizer(self._native, info)
        self.special = {token for token in range(size) if self._attributes(token) & 0b11001}

    def _attributes(self, token: int) -> int:
        return int(llama_cpp.llama_vocab_get_attr(self.vocab, token))

    def text(self, token: int) -> str:
        return bytes(llama_cpp.llama_vocab_get_text(self.vocab, token)).decode("utf-8", "replace")

    def set_template(self, source: str) -> None:
        self.tokenizer._template_text = source
        self.tokenizer._templates = MADE

    def as_llama_cpp(self, text: str) -> list[int]:
        data = text.encode()
        buffer = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(
            self.vocab, data, len(data), buffer, len(buffer), False, True
        )
        tokens = list(buffer[:count])
        return [self.bos, *tokens] if self.adds_bos and tokens[:1] != [self.bos] else tokens

    def free(self) -> None:
        llama_cpp.llama_model_free(self._native.model)


@pytest.fixture(scope="module", params=sorted(VOCABULARIES))
def vocabulary(request: pytest.FixtureRequest) -> Iterator[Vocabulary]:
    found = Vocabulary(VOCABULARIES[request.param])
    yield found
    found.free()


@cache
def renderings() -> list[list[Piece]]:
    """Prompts of all templates, in turn."""
    made = itertools.islice(itertools.cycle(MADE.values()), RENDERINGS)
    return [
        one.pieces(said) for one, said in zip(made, itertools.cycle(conversations()), strict=False)
    ]


def test_prompts_have_the_tokens_of_llama_cpp(vocabulary: Vocabulary) -> None:
    tokenizer = vocabulary.tokenizer
    for pieces in renderings():
        expected = vocabulary.as_llama_cpp("".join(one.text for one in pieces))
        assert tokenizer._with_bos(tokenizer._encode(pieces)) == expected


def test_texts_from_outside_never_become_special_tokens(vocabulary: Vocabulary) -> None:
    control = [
        text
        for token in sorted(vocabulary.special)[:400]
        if len(text := vocabulary.text(token)) > 1
    ]
    marks = [one for one in control if one.startswith(("<", "["))][:40]
    spoiled = "|".join(marks) + "".join(marks)
    halves = [one[at:] + one[:at] for one in marks[:1] for at in (1, len(one) - 1)]
    for source in list(TEMPLATES.values())[::18]:
        vocabulary.set_template(source)
        calm = special_tokens(vocabulary, "calm words")
        for text in (spoiled, *halves):
            assert special_tokens(vocabulary, text) == calm


def special_tokens(vocabulary: Vocabulary, text: str) -> Counter[str]:
    """Special tokens of prompts with a text in each place."""
    tokenizer = vocabulary.tokenizer
    found: list[int] = []
    found += tokenizer.chat_tokens(
        [{"role": "system", "content": text}, {"role": "user", "content": text}]
    )
    used: list[Message] = [
        {"role": "user", "content": text},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "abcdefghi", "function": {"name": "find", "arguments": {"q": text}}}
            ],
        },
        {"role": "tool", "content": text, "tool_call_id": "abcdefghi", "name": "find"},
    ]
    function = {**TOOL["function"], "description": text}
    with contextlib.suppress(UnsupportedModelError):
        found += tokenizer.chat_tokens(used, [{"type": "function", "function": function}])
    names = (vocabulary.text(token) for token in found if token in vocabulary.special)
    return Counter(one for one in names if one.startswith(("<", "[")))
