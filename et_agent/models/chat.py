"""Chat prompts in which text from users can never become control tokens.

The model's own Jinja template is rendered with a placeholder for every text that comes from outside.
The parts of the template are tokenised with control tokens, the texts in between without.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from et_agent.errors import UnsupportedModelError
from et_agent.models.base import Message

__all__ = ["ChatTemplate", "Piece"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a rendered prompt; `control` says that it comes from the template."""

    text: str
    control: bool


class ChatTemplate:
    """A model's own chat template.

    Args:
        source: Jinja source, from the model file.
        bos, eos: Text of the model's beginning- and end-of-text tokens.

    Raises:
        UnsupportedModelError: The template is not valid Jinja.
    """

    def __init__(self, source: str, bos: str, eos: str) -> None:
        import jinja2
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        try:
            self._render = Jinja2ChatFormatter(template=source, eos_token=eos, bos_token=bos)
        except jinja2.TemplateError as error:
            raise UnsupportedModelError(
                f"the chat template in the model file is not valid ({error}); pass a plain prompt "
                "with --chat plain"
            ) from error

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """Render messages; the prompt ends where the assistant begins to speak.

        A template that knows no system role gets the system text at the head of the first user
        message.

        Raises:
            UnsupportedModelError: The template refuses the messages.
        """
        # A template is a program out of the model file: it may raise anything, and its
        # raise_exception() raises ValueError.
        try:
            return self._split(messages)
        except Exception as first:
            merged = _merge_system(messages)
            if merged is None:
                raise UnsupportedModelError(
                    f"the model's chat template refused: {first}"
                ) from first
            try:
                return self._split(merged)
            except Exception as error:
                raise UnsupportedModelError(
                    f"the model's chat template refused: {error}"
                ) from error

    def _split(self, messages: Sequence[Message]) -> list[Piece]:
        # Private-use characters and a random number: no template and no user can have written it.
        mark = f"\ue000{secrets.token_hex(8)}\ue001"
        held = {f"{mark}{i}\ue002": message["content"] for i, message in enumerate(messages)}
        stand_ins = [
            {"role": message["role"], "content": key}
            for message, key in zip(messages, held, strict=True)
        ]
        rendered = self._render(messages=stand_ins).prompt
        left_out = set(held)
        pieces: list[Piece] = []
        while rendered:
            before, found, rest = rendered.partition(mark)
            if before:
                pieces.append(Piece(before, control=True))
            if found:
                number, _, rest = rest.partition("\ue002")
                key = f"{mark}{number}\ue002"
                pieces.append(Piece(held[key], control=False))
                left_out.discard(key)
            rendered = rest
        if left_out:
            raise ValueError("it leaves out a message")
        return pieces


def _merge_system(messages: Sequence[Message]) -> list[Message] | None:
    if len(messages) < 2 or messages[0]["role"] != "system":
        return None
    first = messages[1]
    content = f"{messages[0]['content']}\n\n{first['content']}"
    return [{"role": first["role"], "content": content}, *messages[2:]]
