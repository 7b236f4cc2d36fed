"""A public test double: a model that plays back given logits and attention.

Its tokens are the bytes, so every text can be tokenised, plus two control tokens. It checks sequences,
cells and positions as strictly as llama.cpp, so a scheduler that would make llama.cpp abort fails here.

    model = ScriptedModel.from_texts({"The answer is 4": 0.7, "The answer is 5": 0.3})
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from et_agent.arguments import checks_arguments
from et_agent.arrays import Bytes
from et_agent.engines.base import DEFAULT_WIDTH, Batch, Capacity, ModelInfo, Step
from et_agent.engines.cells import CellTable
from et_agent.engines.prefix_store import PrefixStore
from et_agent.errors import (
    ContextError,
    ModelClosedError,
    SettingsError,
    UnsupportedModelError,
)
from et_agent.templates.messages import Message, MessageCall, Tool
from et_agent.templates.reasoning import ReasoningFormat
from et_agent.templates.tool_format import ToolFormat
from et_agent.waiting import Birthplace, in_model_thread

__all__ = ["ScriptedAttention", "ScriptedModel"]

T = TypeVar("T")

END: Final = 256
"""Token that ends a generation."""
TURN: Final = 257
"""Control token that begins each message of a chat prompt and the generation."""
VOCABULARY: Final = 258

TOOL_FORMAT: Final = ToolFormat(
    '<tool_call>{"name": "',
    '", "arguments": ',
    "}</tool_call>",
    '}</tool_call><tool_call>{"name": "',
)

Script = Callable[[str, Sequence[int]], NDArray[np.float32]]
"""(prompt text, tokens generated so far) -> logits, float32 [258]."""
AttentionScript = Callable[[Sequence[int]], NDArray[np.float32]]
"""(all tokens of the path) -> attention of the last token over the path, float32 [path]."""


class ScriptedAttention:
    """Attention rows that a script gave."""

    @checks_arguments
    def __init__(self, rows: list[NDArray[np.float32]]) -> None:
        self._rows = rows

    def row(self, index: int) -> NDArray[np.float32]:
        """Attention of output row `index` over its own path, float32 [position + 1]."""
        return self._rows[index]

    def near(self, index: int) -> NDArray[np.float32]:
        """What output row `index` gives the token before it and itself, float32 [1, 1, 2]."""
        padded = np.concatenate([[np.float32(np.nan)], self._rows[index]])
        return padded[-2:].reshape(1, 1, 2)


_LARGEST = 2**20
"""The largest context, and the most sequences, rows and tokens of a batch."""


class ScriptedModel:
    """Plays back a script.

    Args:
        script: Logits from prompt text and generated tokens.
        attention: Attention from the tokens of the path; None for a model without.
        context: Cells of the cache.
        max_sequences: Sequences at once.
        max_batch: Most tokens in a batch.
        best_width: Rows the scheduler fills a batch up to.
        chat_template: Whether the model has one.
        tools: Whether its chat template knows tools.
        longest_path: Most positions of a path; the context if None.
        prefix_memory: Bytes for prefixes that are kept, 4 for each token; 0 keeps none.
        max_pending: Questions that may wait or be decoded at once; None for any number.
        reasoning: How it writes thoughts; None for a model that has none. What its prompts end with,
            such as an opened thought, counts as generated: scripts get it, and texts begin with it.
    """

    @checks_arguments
    def __init__(
        self,
        script: Script,
        *,
        attention: AttentionScript | None = None,
        context: int = 8192,
        max_sequences: int = 64,
        max_batch: int = 256,
        best_width: int = DEFAULT_WIDTH,
        chat_template: bool = True,
        tools: bool = True,
        longest_path: int | None = None,
        prefix_memory: int = 0,
        max_pending: int | None = None,
        reasoning: ReasoningFormat | None = None,
    ) -> None:
        sizes = (context, max_sequences, max_batch, best_width)
        if min(sizes) < 1 or max(sizes) > _LARGEST or prefix_memory < 0:
            raise SettingsError(
                f"context, max_sequences, max_batch and best_width are 1 to {_LARGEST}, and "
                "prefix_memory is 0 or more"
            )
        self._script = script
        self._reasoning = reasoning
        self._attention = attention
        self._reads = False
        self._tools = tools
        self._owner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="et-agent-scripted")
        self._closed = False
        self._birthplace = Birthplace("this model was made", "make it again in this process")
        longest_path = context if longest_path is None else longest_path
        self._cells = CellTable(context, max_sequences, longest_path)
        self._tokens: list[list[int]] = [[] for _ in range(max_sequences)]
        self._prefixes = PrefixStore(prefix_memory) if prefix_memory else None
        self.decoded = 0
        """Tokens that were decoded so far, prompts included."""
        self._info = ModelInfo(
            name="scripted",
            fingerprint=hashlib.sha256(b"scripted").hexdigest(),
            vocabulary=VOCABULARY,
            context=context,
            longest_path=longest_path,
            max_sequences=max_sequences,
            max_batch=max_batch,
            max_outputs=max_sequences,
            best_width=best_width,
            stop_tokens=frozenset({END}),
            chat_template=chat_template,
            attention_layers=(0,) if attention is not None else (),
            max_pending=max_pending,
        )

    @classmethod
    def from_texts(
        cls, texts: Mapping[str, float] | Callable[[str], Mapping[str, float]], **settings: object
    ) -> "ScriptedModel":
        """A model that generates whole texts with given probabilities, at temperature 1.

        Args:
            texts: Probability of each text, or a function from the prompt text to that.
            settings: As for the class.
        """
        pick = texts if callable(texts) else lambda _prompt: texts
        cache: dict[str, dict[tuple[int, ...], NDArray[np.float32]]] = {}
        ended = _trie({"": 1.0})[()]

        def script(prompt: str, tokens: Sequence[int]) -> NDArray[np.float32]:
            if prompt not in cache:
                cache[prompt] = _trie(pick(prompt))
            return cache[prompt].get(tuple(tokens), ended)

        return cls(script, **settings)  # type: ignore[arg-type]

    @property
    def info(self) -> ModelInfo:
        """What the model is and what it allows."""
        return self._info

    @property
    def free_positions(self) -> int:
        """Cells of the cache that no sequence uses."""
        return self._cells.free

    def tokenize(self, text: str) -> list[int]:
        """The bytes of the text; control tokens have none."""
        return list(text.encode("utf-8"))

    def token_bytes(self, token: int) -> bytes:
        """The byte a token stands for; empty for control tokens."""
        return bytes([token]) if token < END else b""

    def chat_tokens(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        options: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """Tools as JSON and each message after a TURN token, then a TURN for the assistant."""
        self._require_template()
        said = [json.dumps(tool, ensure_ascii=False) for tool in tools]
        for message in messages:
            calls = "".join(map(_written, message.get("tool_calls", ())))
            said.append(message["content"] + calls)
            if calls or message["role"] == "tool":
                self.tool_format()
        if tools:
            self.tool_format()
        tokens: list[int] = []
        for text in said:
            tokens += [TURN, *self.tokenize(text)]
        if messages[-1]["role"] == "assistant" and not messages[-1].get("tool_calls"):
            return tokens  # it goes on with that text
        return [*tokens, TURN, *self.tokenize(self._begun_with(options or {}))]

    def _begun_with(self, options: Mapping[str, Any]) -> str:
        """What a prompt ends with after the assistant's TURN."""
        form = self._reasoning
        on, off = ({}, {}) if form is None else (form.on or {}, form.off or {})
        if unknown := sorted(set(options) - set(on) - set(off)):
            raise SettingsError(f"the scripted model's template does not look at {unknown}")
        if form is None:
            return ""
        state = form.prompt
        if options:
            state = "closed" if dict(options) == off else state if state == "open" else "free"
        opening = f"{form.opening}{form.after_opening}" if state != "free" else ""
        return opening if state == "open" else opening and f"{opening}{form.closing_text}"

    def reasoning_format(self) -> ReasoningFormat | None:
        """How it writes its thoughts; None if it has none."""
        return self._reasoning if self._info.chat_template else None

    def template_tokens(self, text: str) -> list[int]:
        """The bytes of the text."""
        return self.tokenize(text)

    def tool_format(self) -> ToolFormat:
        """How it writes a tool call: `<tool_call>{"name": …, "arguments": …}</tool_call>`."""
        self._require_template()
        if not self._tools:
            raise UnsupportedModelError(
                "the scripted model's chat template knows no tools: leave them out or pass tools=True"
            )
        return TOOL_FORMAT

    def _require_template(self) -> None:
        if not self._info.chat_template:
            raise UnsupportedModelError(
                "the scripted model carries no chat template: pass --chat plain for a plain prompt"
            )

    def plain_tokens(self, text: str) -> list[int]:
        """The text and a TURN."""
        return [*self.tokenize(text), TURN]

    @property
    def prefixes(self) -> PrefixStore | None:
        """What is kept of sequences that were parked; None if nothing is."""
        return self._prefixes

    def configure(self, longest: int, *, attention: bool = False) -> Capacity:
        """Forget all sequences; `decode` refuses positions from `longest` on."""
        self._require_open()
        info = self._info
        capacity = Capacity(info.max_sequences, min(longest, info.longest_path))
        self._cells = CellTable(info.context, capacity.sequences, capacity.longest)
        self._tokens = [[] for _ in range(info.max_sequences)]
        self._reads = attention and self._attention is not None
        return capacity

    def decode(self, batch: Batch) -> Step:
        """Extend sequences by a batch of tokens; see `LanguageModel.decode`."""
        self._require_open()
        if not 1 <= batch.tokens.size <= self._info.max_batch:
            raise ContextError(f"a batch has 1 to {self._info.max_batch} tokens")
        if int(batch.outputs.sum()) > self._info.max_outputs:
            raise ContextError(f"a batch has at most {self._info.max_outputs} output rows")
        positions, sequences = batch.positions.tolist(), batch.sequences.tolist()
        self._cells.check(positions, sequences)
        self._cells.place(positions, sequences)
        self.decoded += len(sequences)
        logits, attention = [], []
        for token, sequence, wanted in zip(
            batch.tokens.tolist(), sequences, batch.outputs.tolist(), strict=True
        ):
            path = self._tokens[sequence]
            path.append(token)
            if not wanted:
                continue
            # After part of a prompt, which a probe decodes, there may be none yet.
            start = len(path) - path[::-1].index(TURN) if TURN in path else len(path)
            logits.append(self._script(self._text(path[:start]), path[start:]))
            if self._reads and self._attention is not None:
                attention.append(self._attention(path))
        rows = np.array(logits, dtype=np.float32).reshape(len(logits), VOCABULARY)
        return Step(rows, ScriptedAttention(attention) if self._reads else None)

    def _text(self, tokens: Sequence[int]) -> str:
        return b"".join(self.token_bytes(t) or b"\n" for t in tokens).decode("utf-8", "replace")

    def fork(self, source: int, target: int, length: int) -> None:
        """Let the unused sequence `target` share the first `length` tokens of `source`."""
        if self._tokens[target] or not 0 < length <= len(self._tokens[source]):
            raise ContextError(f"cannot fork {length} tokens of sequence {source} into {target}")
        self._cells.fork(source, target, length)
        self._tokens[target] = self._tokens[source][:length]

    def release(self, sequence: int) -> None:
        """Forget a sequence."""
        self._cells.release(sequence)
        self._tokens[sequence] = []

    def park(self, sequence: int, start: int) -> Bytes | None:
        """Forget a sequence and return its tokens from `start` on; see `Engine.park`."""
        tokens = np.array(self._tokens[sequence][start:], dtype=np.int32)
        self.release(sequence)
        return tokens.view(np.uint8).reshape(tokens.size, 4) if tokens.size else None

    def restore(self, sequence: int, rows: Bytes) -> bool:
        """Fill an unused sequence with tokens; see `Engine.restore`."""
        tokens = np.ascontiguousarray(rows).view(np.int32).ravel().tolist()
        if self._tokens[sequence]:
            raise ContextError(f"sequence {sequence} is in use")
        places = range(len(tokens)), [sequence] * len(tokens)
        self._cells.check(*places)
        self._cells.place(*places)
        self._tokens[sequence] = tokens
        return True

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Run `work` in the owner thread."""
        self._require_open()
        try:
            return self._owner.submit(work)
        except RuntimeError as error:  # closed by another thread since the line above
            raise ModelClosedError("this model was closed: load it again") from error

    def _require_open(self) -> None:
        self._birthplace.require()
        if self._closed:
            raise ModelClosedError("this model was closed: load it again")

    def close(self) -> None:
        """End the owner thread; safe to call twice, and from a callback in that thread."""
        self._closed = True
        if not self._birthplace.left:
            self._owner.shutdown(wait=not in_model_thread())

    def __enter__(self) -> "ScriptedModel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _written(call: MessageCall) -> str:
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    written = json.dumps(arguments, ensure_ascii=False)
    return f"{TOOL_FORMAT.opening}{name}{TOOL_FORMAT.middle}{written}{TOOL_FORMAT.closing}"


def _trie(texts: Mapping[str, float]) -> dict[tuple[int, ...], NDArray[np.float32]]:
    """Logits after every beginning of the texts, so that whole texts get their probabilities."""
    mass: dict[tuple[int, ...], dict[int, float]] = {}
    for text, probability in texts.items():
        if probability <= 0.0:
            continue
        tokens = (*text.encode("utf-8"), END)
        for i, token in enumerate(tokens):
            at = mass.setdefault(tokens[:i], {})
            at[token] = at.get(token, 0.0) + probability
    tables: dict[tuple[int, ...], NDArray[np.float32]] = {}
    for beginning, following in mass.items():
        logits = np.full(VOCABULARY, -1e9, dtype=np.float32)
        for token, probability in following.items():
            logits[token] = np.log(probability)
        tables[beginning] = logits
    return tables
