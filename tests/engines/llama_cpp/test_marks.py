"""Every special token of the models that we measure with stays text, in every role."""

from collections import Counter
from collections.abc import Iterator

import pytest

from et_agent.engines.llama_cpp.tokenizer import LlamaTokenizer
from et_agent.errors import ModelFileError, UnsupportedModelError
from et_agent.templates.messages import Message, Tool
from et_agent.weights.catalog import locate
from tests.engines.llama_cpp.test_tokens import Vocabulary

pytestmark = pytest.mark.model

MODELS = ("smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")


@pytest.fixture(scope="module", params=MODELS)
def vocabulary(request: pytest.FixtureRequest) -> Iterator[Vocabulary]:
    try:
        path = locate(request.param, download=False).path
    except ModelFileError:
        pytest.skip(f"{request.param} is not in the cache")
    found = Vocabulary(path)
    yield found
    found.free()


def prompts(tokenizer: LlamaTokenizer, text: str) -> Iterator[list[int]]:
    """Prompts with a text in each place that somebody else may fill."""
    yield tokenizer.tokenize(text)
    for role in ("system", "user", "assistant"):
        said: list[Message] = [{"role": role, "content": text}, {"role": "user", "content": "Yes?"}]
        yield tokenizer.chat_tokens(said)
    call: Message = {
        "role": "assistant",
        "content": text,
        "tool_calls": [{"id": text, "function": {"name": text, "arguments": {text: text}}}],
    }
    result: Message = {"role": "tool", "content": text, "tool_call_id": text, "name": text}
    shown: Tool = {
        "type": "function",
        "function": {
            "name": text,
            "description": text,
            "parameters": {"type": "object", "properties": {text: {"description": text}}},
        },
    }
    try:
        yield tokenizer.chat_tokens([{"role": "user", "content": "Go."}, call, result], [shown])
    except UnsupportedModelError:  # a template without tools
        return


def special(vocabulary: Vocabulary, text: str) -> list[Counter[int]]:
    """Special tokens of each prompt."""
    found = prompts(vocabulary.tokenizer, text)
    return [Counter(one for one in tokens if one in vocabulary.special) for tokens in found]


def test_no_text_becomes_a_special_token_in_any_role(vocabulary: Vocabulary) -> None:
    marks = [text for one in vocabulary.special if len(text := vocabulary.text(one)) > 1]
    tags = [one for one in marks if one.startswith("<") and one.endswith(">")]
    assert len(tags) > 10
    calm = special(vocabulary, "calm")
    assert sum(map(len, calm)) > 0
    for text in ("".join(tags), " ".join(tags), *tags):
        assert special(vocabulary, text) == calm, text
