"""llama.cpp's vocabulary as a `Tokenizer`: text to tokens and back, the chat template included.

Texts are tokenised in the caller's thread, so the model must not be freed meanwhile: every call goes
through `Native.vocabulary`.
"""

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any, Final

from et_agent.engines.base import ModelInfo
from et_agent.engines.llama_cpp.binding import llama_cpp
from et_agent.engines.llama_cpp.native import Native
from et_agent.engines.marks import Marks
from et_agent.errors import DecodeError, QuestionError, UnsupportedModelError
from et_agent.templates.chat import ChatTemplate
from et_agent.templates.messages import Message, Tool
from et_agent.templates.own_text import Piece
from et_agent.templates.reasoning import ReasoningFormat
from et_agent.templates.tool_format import ToolFormat

__all__ = ["HasTokenizer", "LlamaTokenizer", "stop_tokens", "template_text"]

_SPACED: Final = frozenset({1, 4})
"""Kinds of vocabulary that may put a space before a text: LLAMA_VOCAB_TYPE_SPM and _UGM."""
_UNKNOWN, _CONTROL, _USER_DEFINED = 1, 8, 16
"""Bits of LLAMA_TOKEN_ATTR."""
_SURELY_QUICK: Final = 2**16
"""Characters that are tokenised in any case, in a tenth of a second."""
_STRETCH: Final = 2**14
_VOCABULARY_MARKS: Final = ("<think>", "</think>")
"""Marks of thoughts that vocabularies have as tokens of their own."""


def stop_tokens(vocabulary: Any) -> frozenset[int]:
    """Tokens of llama.cpp's vocabulary that end a generation."""
    size = int(llama_cpp.llama_vocab_n_tokens(vocabulary))
    ends = llama_cpp.llama_vocab_is_eog
    return frozenset(token for token in range(size) if ends(vocabulary, token))


def template_text(model: Any, name: str | None = None) -> str:
    """A chat template that a model file carries, by default the one without a name; empty for none."""
    template = llama_cpp.llama_model_chat_template(model, None if name is None else name.encode())
    return template.decode("utf-8", "replace") if template else ""


class LlamaTokenizer:
    """The tokenizer of one loaded model. Safe in any thread.

    Args:
        native: What holds the model.
        info: What the model is.
    """

    def __init__(self, native: Native, info: ModelInfo) -> None:
        self._native = native
        self.info = info
        self._vocab = vocab = llama_cpp.llama_model_get_vocab(native.model)
        self._pieces: dict[int, bytes] = {}
        self._template_text = template_text(native.model)
        # Some models (Command R+, Hermes 2 and 3) have another template for tools.
        self._tool_template_text = template_text(native.model, "tool_use")
        self._templates: dict[str, ChatTemplate] = {}
        self._marks: Marks | None = None
        self._thinks: ReasoningFormat | None = None
        self._bos = int(llama_cpp.llama_vocab_bos(vocab))
        self._adds_bos = bool(llama_cpp.llama_vocab_get_add_bos(vocab)) and self._bos >= 0
        self._is_spaced = int(llama_cpp.llama_vocab_type(vocab)) in _SPACED

    def tokenize(self, text: str) -> list[int]:
        """Tokens of plain text; text in it that looks like a special token stays plain text."""
        return self._encode([Piece(text, control=False)])

    def _encode(self, pieces: Sequence[Piece]) -> list[int]:
        """The tokens that llama.cpp makes of a text, but for special ones that are from outside.

        Raises:
            QuestionError: It is longer than the context.
        """
        first, *rest = self._special_marks().cut(pieces)
        self._check_length([first, *rest])
        tokens = self._tokenize(first, control=True)
        for part in rest:
            tokens += self._continue_tokens(part)
        return tokens

    def _check_length(self, parts: Sequence[str]) -> None:
        """Refuse a text far longer than the context by its beginning, before all of it is tokenised."""
        if sum(map(len, parts)) <= _SURELY_QUICK:
            return
        context, tokens, read = self.info.context, 0, 0
        for part in parts:
            for at in range(0, len(part), _STRETCH):
                # A cut may split one token in two.
                tokens += max(0, len(self._tokenize(part[at : at + _STRETCH], control=True)) - 1)
                read += len(part[at : at + _STRETCH])
                if tokens > context:
                    raise QuestionError(
                        f"the first {read} characters of the prompt have more tokens than the context "
                        f"of {context}: shorten the question, or use a larger context"
                    )

    def _special_marks(self) -> Marks:
        if self._marks is None:
            control, defined = [], []
            with self._native.vocabulary():
                for token in range(self.info.vocabulary):
                    kind = int(llama_cpp.llama_vocab_get_attr(self._vocab, token))
                    if kind & (_UNKNOWN | _CONTROL):
                        control.append(self._token_text(token))
                    elif kind & _USER_DEFINED:
                        defined.append(self._token_text(token))
            self._marks = Marks(control, defined, self._template_text + self._tool_template_text)
        return self._marks

    def _tokenize(self, text: str, *, control: bool) -> list[int]:
        data = text.encode("utf-8")
        size = len(data) + 8
        buffer = (llama_cpp.llama_token * size)()
        with self._native.vocabulary():
            count = llama_cpp.llama_tokenize(
                self._vocab, data, len(data), buffer, size, False, control
            )
        if count < 0:
            raise DecodeError(f"llama.cpp could not tokenise a text of {len(data)} bytes")
        return list(buffer[:count])

    def token_bytes(self, token: int) -> bytes:
        """The bytes a token stands for; empty for control tokens."""
        piece = self._pieces.get(token)
        if piece is None:
            with self._native.vocabulary():
                piece = self._pieces[token] = self._piece(token)
        return piece

    def _piece(self, token: int) -> bytes:
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, size, 0, False)
            if count >= 0:
                return bytes(buffer.raw[:count])
            size = -count

    def chat_tokens(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        options: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """Tokens of a chat prompt; see `Tokenizer.chat_tokens`."""
        template = self._chat_template(tools=bool(tools) or any(map(_is_of_tools, messages)))
        tokens = self._encode(template.pieces(messages, tools, options))
        return self._with_bos(tokens)

    def tool_format(self) -> ToolFormat:
        """How the model's chat template writes a tool call; see `Tokenizer.tool_format`."""
        return self._chat_template(tools=True).tool_format()

    def reasoning_format(self) -> ReasoningFormat | None:
        """How the model writes its thoughts; see `Tokenizer.reasoning_format`."""
        if not self._template_text:
            return None
        found = self._chat_template().reasoning
        if found is not None or self._thinks is not None:
            return found or self._thinks
        # A template that somebody else wrote: the model was trained with marks of its own.
        if all(len(self.template_tokens(mark)) == 1 for mark in _VOCABULARY_MARKS):
            self._thinks = ReasoningFormat(*_VOCABULARY_MARKS, thinks=False)
        return self._thinks

    def template_tokens(self, text: str) -> list[int]:
        """Tokens of text as a chat template has it; see `Tokenizer.template_tokens`."""
        return self._continue_tokens(text)

    def plain_tokens(self, text: str) -> list[int]:
        """Tokens of a prompt without chat template, with the model's beginning-of-text token."""
        return self._with_bos(self._encode([Piece(text, control=False)]))

    def _chat_template(self, *, tools: bool = False) -> ChatTemplate:
        text = (self._tool_template_text if tools else "") or self._template_text
        if not text:
            raise UnsupportedModelError(
                f"{self.info.name} carries no chat template (a base model?): pass --chat plain for a "
                "plain prompt, or choose an instruct model (see `et-agent models list`)"
            )
        if text not in self._templates:
            with self._native.vocabulary():
                eos = int(llama_cpp.llama_vocab_eos(self._vocab))
                bos_text, eos_text = self._token_text(self._bos), self._token_text(eos)
            self._templates[text] = ChatTemplate(text, bos_text, eos_text)
        return self._templates[text]

    def _token_text(self, token: int) -> str:
        if token < 0:
            return ""
        return bytes(llama_cpp.llama_vocab_get_text(self._vocab, token)).decode("utf-8", "replace")

    def _with_bos(self, tokens: list[int]) -> list[int]:
        if self._adds_bos and tokens[:1] != [self._bos]:
            return [self._bos, *tokens]
        return tokens

    def _continue_tokens(self, text: str) -> list[int]:
        """Tokens of text that goes on a line: some vocabularies would put a space before it."""
        if not self._is_spaced:
            return self._tokenize(text, control=True)
        lead = self._tokenize("\n", control=True)
        tokens = self._tokenize("\n" + text, control=True)
        if tokens[: len(lead)] == lead:
            return tokens[len(lead) :]
        return self._tokenize(text, control=True)


def _is_of_tools(message: Message) -> bool:
    return message["role"] == "tool" or bool(message.get("tool_calls"))


class HasTokenizer:
    """What a model does by its tokenizer; see `Tokenizer` for all of it."""

    _tokenizer: LlamaTokenizer

    def tokenize(self, text: str) -> list[int]:
        """Tokens of plain text; control-token text in it stays plain text."""
        return self._tokenizer.tokenize(text)

    def token_bytes(self, token: int) -> bytes:
        """The bytes a token stands for; empty for control tokens."""
        return self._tokenizer.token_bytes(token)

    def chat_tokens(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        options: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """Tokens of a chat prompt; see `Tokenizer.chat_tokens`."""
        return self._tokenizer.chat_tokens(messages, tools, options)

    def reasoning_format(self) -> ReasoningFormat | None:
        """How the model writes its thoughts; see `Tokenizer.reasoning_format`."""
        return self._tokenizer.reasoning_format()

    def template_tokens(self, text: str) -> list[int]:
        """Tokens of text as a chat template has it; see `Tokenizer.template_tokens`."""
        return self._tokenizer.template_tokens(text)

    def tool_format(self) -> ToolFormat:
        """How the model's chat template writes a tool call; see `Tokenizer.tool_format`."""
        return self._tokenizer.tool_format()

    def plain_tokens(self, text: str) -> list[int]:
        """Tokens of a prompt without chat template, with the model's beginning-of-text token."""
        return self._tokenizer.plain_tokens(text)
