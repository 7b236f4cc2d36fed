"""A tokenizer whose tokens are the bytes, and control tokens of given texts."""

import re
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

__all__ = ["ByteModel"]


class ByteModel:
    """What grammars and readers of tool calls need of a model.

    Args:
        controls: Texts of control tokens.
        stops: Those of them that end a generation.
    """

    def __init__(self, controls: Iterable[str], stops: Iterable[str] = ()) -> None:
        self.controls = {text: 257 + at for at, text in enumerate(dict.fromkeys(controls))}
        stop_tokens = frozenset({256, *(self.controls[one] for one in stops)})
        self.info: Any = SimpleNamespace(
            vocabulary=257 + len(self.controls), stop_tokens=stop_tokens
        )
        names = "|".join(map(re.escape, sorted(self.controls, key=len, reverse=True)))
        self._split = re.compile(f"({names})") if names else None

    def tokenize(self, text: str) -> list[int]:
        return list(text.encode())

    def token_bytes(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    def template_tokens(self, text: str) -> list[int]:
        tokens: list[int] = []
        for part in self._split.split(text) if self._split else [text]:
            tokens += [self.controls[part]] if part in self.controls else self.tokenize(part)
        return tokens

    def chat_tokens(self, *_: Any, **__: Any) -> list[int]:
        raise NotImplementedError

    def plain_tokens(self, text: str) -> list[int]:
        raise NotImplementedError

    def reasoning_format(self) -> Any:
        raise NotImplementedError

    def tool_format(self) -> Any:
        raise NotImplementedError
