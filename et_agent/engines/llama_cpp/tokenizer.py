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
from et_agent.errors import DecodeError, UnsupportedModelError
from et_agent.templates.chat import ChatTemplate
from et_agent.templates.messages import Message, Tool, ToolFormat
from et_agent.templates.reasoning import ReasoningFormat

__all__ = ["HasTokenizer", "LlamaTokenizer", "stop_tokens", "template_text"]

_SPM: Final = 1  # LLAMA_VOCAB_TYPE_SPM
_VOCABULARY_MARKS: Final = ("<think>", "</think>")
"""Marks of thoughts that vocabularies have as tokens of their own."""


def stop_tokens(vocabulary: Any) -> frozenset[int]:
    """Tokens of llama.cpp's vocabulary that end a generation."""
    size = int(llama_cpp.llama_vocab_n_tokens(vocabulary))
    ends = llama_cpp.llama_vocab_is_eog
    return frozenset(token for token in range(size) if ends(vocabulary, token))


def template_text(model: Any) -> str:
    """The chat template that a model file carries; empty without one."""
    template = llama_cpp.llama_model_chat_template(model, None)
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
        self._template: ChatTemplate | None = None
        self._thinks: ReasoningFormat | None = None
        self._bos = int(llama_cpp.llama_vocab_bos(vocab))
        self._adds_bos = bool(llama_cpp.llama_vocab_get_add_bos(vocab)) and self._bos >= 0
        self._is_spm = int(llama_cpp.llama_vocab_type(vocab)) == _SPM

    def tokenize(self, text: str) -> list[int]:
        """Tokens of plain text; control-token text in it stays plain text."""
        return self._tokenize(text, control=False)

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
        tokens: list[int] = []
        for piece in self._chat_template().pieces(messages, tools, options):
            if piece.control or not tokens:
                tokens += self._tokenize(piece.text, control=piece.control)
            else:
                tokens += self._continue_tokens(piece.text)
        return self._with_bos(tokens)

    def tool_format(self) -> ToolFormat:
        """How the model's chat template writes a tool call; see `Tokenizer.tool_format`."""
        return self._chat_template().tool_format()

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
        return self._continue_tokens(text, control=True)

    def plain_tokens(self, text: str) -> list[int]:
        """Tokens of a prompt without chat template, with the model's beginning-of-text token."""
        return self._with_bos(self.tokenize(text))

    def _chat_template(self) -> ChatTemplate:
        if not self._template_text:
            raise UnsupportedModelError(
                f"{self.info.name} carries no chat template (a base model?): pass --chat plain for a "
                "plain prompt, or choose an instruct model (see `et-agent models list`)"
            )
        if self._template is None:
            with self._native.vocabulary():
                eos = int(llama_cpp.llama_vocab_eos(self._vocab))
                bos_text, eos_text = self._token_text(self._bos), self._token_text(eos)
            self._template = ChatTemplate(self._template_text, bos_text, eos_text)
        return self._template

    def _token_text(self, token: int) -> str:
        if token < 0:
            return ""
        return bytes(llama_cpp.llama_vocab_get_text(self._vocab, token)).decode("utf-8", "replace")

    def _with_bos(self, tokens: list[int]) -> list[int]:
        if self._adds_bos and tokens[:1] != [self._bos]:
            return [self._bos, *tokens]
        return tokens

    def _continue_tokens(self, text: str, *, control: bool = False) -> list[int]:
        """Tokens of text that goes on a line: SentencePiece would put a space before it."""
        if not self._is_spm:
            return self._tokenize(text, control=control)
        lead = self.tokenize("\n")
        tokens = self._tokenize("\n" + text, control=control)
        if tokens[: len(lead)] == lead:
            return tokens[len(lead) :]
        return self._tokenize(text, control=control)


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
