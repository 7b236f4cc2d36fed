"""A model whose control tokens can be read, those that its tool calls consist of.

Such tokens stand for no text. Calls are found and read where they stand, so they need one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from et_agent.engines.base import LanguageModel
from et_agent.templates.tool_format import ToolFormat

__all__ = ["as_generated", "spoken"]


class _Spoken:
    def __init__(self, model: LanguageModel, texts: Mapping[int, bytes]) -> None:
        self._model, self._texts = model, texts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for."""
        return self._texts.get(token) or self._model.token_bytes(token)


def spoken(model: LanguageModel, form: ToolFormat) -> LanguageModel:
    """The model with texts for the control tokens of a tool format; itself where it has none."""
    parts = (form.opening, form.closing, form.between, form.middle, *form.middles, *form.leads)
    texts = {
        token: said.encode()
        for text in (*parts, *_parameter_texts(form))
        for token, said in _control_tokens(model, text or "")
        if token not in model.info.stop_tokens
    }
    return cast(LanguageModel, _Spoken(model, texts)) if texts else model


def as_generated(model: LanguageModel, form: ToolFormat) -> ToolFormat:
    """A format without what follows the end of a generation: the model does not write that."""

    def said(text: str | None) -> str | None:
        at = None if text is None else _stop_in(model, text)
        return text if at is None or text is None else text[:at]

    between = (
        None if form.between is None or _stop_in(model, form.between) is not None else form.between
    )
    changed = replace(form, closing=said(form.closing) or "", between=between)
    parameters = form.parameters
    if parameters is not None:
        bare_between = None if between is None else parameters.bare_between
        bare = said(parameters.bare_closing)
        parameters = replace(parameters, bare_closing=bare, bare_between=bare_between)
    return replace(changed, parameters=parameters)


def _parameter_texts(form: ToolFormat) -> tuple[str | None, ...]:
    found = form.parameters
    if found is None:
        return ()
    values = [x for one in found.values.values() for x in (one.before, one.after, one.quote)]
    return (found.separator, found.bare_closing, found.bare_between, *values)


def _stop_in(model: LanguageModel, text: str) -> int | None:
    """Where the first token that ends a generation stands in a text; None without any."""
    at = 0
    for token, said in _control_tokens(model, text):
        at = text.find(said, at)
        if token in model.info.stop_tokens:
            return at
        at += len(said)
    return None


def _control_tokens(model: LanguageModel, text: str) -> Iterator[tuple[int, str]]:
    """The control tokens of a text, in their order, and what they are called there."""
    tokens = model.template_tokens(text)
    if all(map(model.token_bytes, tokens)):
        return
    data, at = text.encode(), 0
    for token in tokens:
        piece = model.token_bytes(token)
        if piece:
            found = data.find(piece, at)
            at = at if found < 0 else found + len(piece)
            continue
        for end in range(at + 1, len(data) + 1):
            name = data[at:end].decode("utf-8", "replace").strip()
            if name and model.template_tokens(name) == [token]:
                yield token, name
                at = end
                break
