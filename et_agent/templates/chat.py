"""Chat prompts in which text from outside can never become control tokens.

The model's own Jinja template is rendered with a placeholder for every text that comes from outside:
messages, arguments of tool calls, what tools gave, descriptions of tools. The parts of the template
are tokenised with control tokens, the texts in between without. JSON that a template makes of such
texts is outside text as a whole.
"""

import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence, Set
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from et_agent.errors import SettingsError, UnsupportedModelError
from et_agent.templates.messages import Message, Tool, ToolFormat
from et_agent.templates.reasoning import ReasoningFormat, reasoning_format

__all__ = ["ChatTemplate", "Piece"]

_END: Final = "\ue002"
_NO_TOOLS: Final = (
    "the model's chat template knows no tools: leave them out, or choose a model whose template does "
    "(of the catalog, the Qwen models)"
)
_OTHER_FORM: Final = (
    "the model's chat template writes tool calls in a form that is not supported (not name and JSON "
    "arguments): choose another model, of the catalog a Qwen model"
)
# Words of OpenAI's form and of JSON Schema that templates look at. None can be a control token.
_TOOL_WORDS: Final = frozenset(
    {
        "type",
        "function",
        "name",
        "description",
        "parameters",
        "properties",
        "required",
        "items",
        "enum",
        "default",
        "object",
        "string",
        "number",
        "integer",
        "boolean",
        "array",
        "null",
        "anyOf",
        "oneOf",
        "allOf",
        "additionalProperties",
        "title",
        "format",
    }
)


_GIVEN: Final = frozenset(
    {
        "add_generation_prompt",
        "bos_token",
        "eos_token",
        "function_call",
        "functions",
        "messages",
        "raise_exception",
        "strftime_now",
        "tool_choice",
        "tools",
    }
)
"""Names that templates look up and that are no options."""
_PLAIN_OPTION: Final = re.compile(r"[\w .:/+-]*")
"""Option values that no control token can hide in. Templates compare them, so they stay as they are."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a rendered prompt; `control` says that it comes from the template."""

    text: str
    control: bool


class _Held:
    """The texts from outside that placeholders stand for while a template is rendered."""

    def __init__(self) -> None:
        # Private-use characters and a random number: no template and no user can have written it.
        self._mark = f"\ue000{secrets.token_hex(8)}\ue001"
        self._texts: list[str] = []
        self._needed: set[int] = set()

    def hold(self, text: str, *, needed: bool = True) -> str:
        """A placeholder; `needed` if the prompt must hold the text."""
        number = len(self._texts)
        self._texts.append(text)
        if needed:
            self._needed.add(number)
        return f"{self._mark}{number}{_END}"

    def hold_all(self, value: Any, *, keep: Set[str] = frozenset(), needed: bool = True) -> Any:
        """A copy with placeholders for all strings, keys included, but those in `keep`."""

        def copy(one: Any) -> Any:
            return self.hold_all(one, keep=keep, needed=needed)

        if isinstance(value, str):
            return value if value in keep else self.hold(value, needed=needed)
        if isinstance(value, Mapping):
            return {copy(str(key)): copy(one) for key, one in value.items()}
        if isinstance(value, Sequence):
            return [copy(one) for one in value]
        return value

    def tojson(self, value: Any, **how: Any) -> str:
        """The template filter: JSON of a value, its texts put back, held as a whole."""
        return self.hold(json.dumps(self._put_back(value), **{"ensure_ascii": False, **how}))

    def _put_back(self, value: Any) -> Any:
        if isinstance(value, str):
            return "".join(piece.text for piece in self.split(value))
        if isinstance(value, Mapping):
            return {self._put_back(key): self._put_back(one) for key, one in value.items()}
        if isinstance(value, Sequence):
            return [self._put_back(one) for one in value]
        return value

    def split(self, rendered: str) -> Iterator[Piece]:
        """The pieces of a rendered text; their texts then count as said."""
        while rendered:
            before, found, rest = rendered.partition(self._mark)
            if before:
                yield Piece(before, control=True)
            if found:
                number, _, rest = rest.partition(_END)
                self._needed.discard(int(number))
                yield Piece(self._texts[int(number)], control=False)
            rendered = rest

    @property
    def left_out(self) -> bool:
        """Whether a text that the prompt must hold was not said."""
        return bool(self._needed)


_HELD: ContextVar[_Held] = ContextVar("held")


def _tojson(value: Any, **how: Any) -> str:
    return _HELD.get().tojson(value, **how)


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

        class Formatter(Jinja2ChatFormatter):  # type: ignore[misc]
            tojson = staticmethod(_tojson)

        self._source = source
        try:
            self._render = Formatter(template=source, eos_token=eos, bos_token=bos)
            self._render_turns = Formatter(source, eos, bos, add_generation_prompt=False)
        except jinja2.TemplateError as error:
            raise UnsupportedModelError(
                f"the chat template in the model file is not valid ({error}): use a plain prompt "
                "with --chat plain"
            ) from error

    @cached_property
    def reasoning(self) -> ReasoningFormat | None:
        """How the model's thoughts are written; None where the template knows none."""

        def render(
            messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any], *, prompt: bool
        ) -> str:
            formatter = self._render if prompt else self._render_turns
            token = _HELD.set(_Held())
            try:
                return str(formatter(messages=messages, tools=None, **options).prompt)
            finally:
                _HELD.reset(token)

        return reasoning_format(self._source, render)

    @cached_property
    def options(self) -> frozenset[str]:
        """Names of the options that the template looks at."""
        import jinja2.meta

        environment = self._render._environment.environment
        names = jinja2.meta.find_undeclared_variables(environment.parse(self._source))
        return frozenset(names) - _GIVEN

    def pieces(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        options: Mapping[str, Any] | None = None,
    ) -> list[Piece]:
        """Render messages; the prompt ends where the assistant begins to speak.

        A template that knows no system role gets the system text at the head of the first user
        message. Thoughts of an assistant's message are given to the template apart from what it said,
        also where they stand in its text; whether they are shown is the template's affair.

        Args:
            messages: The messages.
            tools: Tools that the model is shown.
            options: Options of the template by name.

        Raises:
            SettingsError: The template has no such option.
            UnsupportedModelError: The template refuses the messages, or knows no tools.
        """
        self._check_options(options or {})
        messages = [self._parted(one) for one in messages]
        # A template is a program out of the model file: it may raise anything, and its
        # raise_exception() raises ValueError.
        tried: list[Exception] = []
        # Some refuse thoughts beside a text and a call.
        variants = [messages, _merge_system(messages)]
        if any("reasoning_content" in one for one in messages):
            variants += [None if one is None else _without_thoughts(one) for one in variants]
        for variant in variants:
            for as_text in (False, True) if _calls(messages) else (False,):
                if variant is None:
                    continue
                try:
                    return self._split(variant, tools, options, arguments_as_text=as_text)
                except Exception as error:
                    tried.append(error)
        if tools or _calls(messages) or any(one["role"] == "tool" for one in messages):
            plain: list[Message] = [{"role": "user", "content": "Hello"}]
            try:
                self.tool_format()
                self._split(plain, tools)
            except UnsupportedModelError:
                raise
            except Exception as error:
                raise UnsupportedModelError(_NO_TOOLS) from error
        raise UnsupportedModelError(f"the model's chat template refused: {tried[-1]}") from tried[
            -1
        ]

    def _split(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        options: Mapping[str, Any] | None = None,
        *,
        arguments_as_text: bool = False,
    ) -> list[Piece]:
        held = _Held()
        stand_ins = [_stand_in(one, held, as_text=arguments_as_text) for one in messages]
        shown = [_tool_stand_in(tool, held) for tool in tools]
        set_to = {name: _option(value, held) for name, value in (options or {}).items()}
        pieces = list(held.split(self._rendered(stand_ins, held, shown or None, **set_to)))
        if held.left_out:
            raise ValueError("it leaves out a message" + (" or a tool" if tools else ""))
        return pieces

    def _rendered(
        self, messages: Sequence[object], held: _Held, tools: object = None, **how: object
    ) -> str:
        token = _HELD.set(held)
        try:
            return str(self._render(messages=messages, tools=tools, **how).prompt)
        finally:
            _HELD.reset(token)

    def _check_options(self, options: Mapping[str, Any]) -> None:
        if unknown := sorted(set(options) - self.options if options else ()):
            known = f"use {', '.join(sorted(self.options))}" if self.options else "it has none"
            raise SettingsError(
                f"the model's chat template does not look at {', '.join(unknown)}: {known}"
            )

    def _parted(self, message: Message) -> Message:
        """A message with its thoughts apart from what it says."""
        if message["role"] != "assistant" or "reasoning_content" in message:
            return message
        form = self.reasoning
        parts = None if form is None else form.parted(message["content"])
        if parts is None:
            return message
        thought, said = parts
        return {**message, "content": said, "reasoning_content": thought}

    def tool_format(self) -> ToolFormat:
        """How the template writes a tool call, read off a message with one.

        Raises:
            UnsupportedModelError: The template knows no tools, or writes calls in a form of its own
                that is not name and JSON arguments.
        """
        asked: Message = {"role": "user", "content": "ask"}
        call: Message = {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "NAME", "arguments": {"ARGUMENT": 1}}}],
        }
        try:
            calling = _turn(self._split([asked, call]), {"NAME", '{"ARGUMENT": 1}'})
            plain = _turn(self._split([asked, {"role": "assistant", "content": "SAID"}]), {"SAID"})
        except Exception as error:
            raise UnsupportedModelError(_NO_TOOLS) from error
        if len(calling) != 3 or len(plain) != 2:
            raise UnsupportedModelError(_OTHER_FORM)
        (opening, middle, closing), (begin, end) = calling, plain
        if not (opening.startswith(begin) and closing.endswith(end)):
            raise UnsupportedModelError(_OTHER_FORM)
        return ToolFormat(opening.removeprefix(begin), middle, closing.removesuffix(end))


def _turn(pieces: Sequence[Piece], said: set[str]) -> list[str]:
    """The template's texts around those `said` in the assistant's turn, the last before the prompt.

    Only what follows the user's message, "ask", is looked at.
    """
    at = max(i for i, piece in enumerate(pieces) if not piece.control and piece.text == "ask")
    found = [""]
    for piece in pieces[at + 1 :]:
        if piece.control:
            found[-1] += piece.text
        elif piece.text in said:
            found.append("")
        else:
            raise ValueError(f"it says {piece.text!r}")
    return found


def _calls(messages: Sequence[Message]) -> bool:
    return any(message.get("tool_calls") for message in messages)


def _stand_in(message: Message, held: _Held, *, as_text: bool) -> dict[str, Any]:
    calls = message.get("tool_calls") or ()
    content = message["content"]
    # Templates ask whether a caller also said something: no text must look like none to them.
    made: dict[str, Any] = {"role": message["role"]}
    made["content"] = held.hold(content) if content or not calls else ""
    if message.get("reasoning_content"):
        thought = held.hold(message["reasoning_content"], needed=False)
        # What templates call it.
        made |= {"reasoning_content": thought, "reasoning": thought, "thinking": thought}
    if calls:
        made["tool_calls"] = [_call_stand_in(call, held, as_text=as_text) for call in calls]
    for key in ("tool_call_id", "name"):
        if key in message:
            made[key] = held.hold(str(message[key]), needed=False)
    return made


def _tool_stand_in(tool: Tool, held: _Held) -> dict[str, Any]:
    function = dict(tool["function"])
    name = held.hold(function.pop("name"))
    shown = held.hold_all(function, keep=_TOOL_WORDS, needed=False)
    return {"type": "function", "function": {"name": name, **shown}}


def _call_stand_in(call: Any, held: _Held, *, as_text: bool) -> dict[str, Any]:
    function = call["function"]
    arguments: Any = function["arguments"]
    if as_text:  # templates of some models want the arguments' JSON
        arguments = held.hold(json.dumps(arguments, ensure_ascii=False))
    else:
        arguments = held.hold_all(arguments)
    return {
        "id": held.hold(str(call.get("id", "")), needed=False),
        "type": "function",
        "function": {"name": held.hold(function["name"]), "arguments": arguments},
    }


def _option(value: Any, held: _Held) -> Any:
    """An option's value; a text that a control token could hide in is held."""
    if isinstance(value, str):
        return value if _PLAIN_OPTION.fullmatch(value) else held.hold(value, needed=False)
    if isinstance(value, Mapping):
        return {_option(str(key), held): _option(one, held) for key, one in value.items()}
    if isinstance(value, Sequence):
        return [_option(one, held) for one in value]
    return value


def _without_thoughts(messages: Sequence[Message]) -> list[Message]:
    bare: list[Message] = []
    for message in messages:
        copy = message.copy()
        copy.pop("reasoning_content", None)
        bare.append(copy)
    return bare


def _merge_system(messages: Sequence[Message]) -> list[Message] | None:
    if len(messages) < 2 or messages[0]["role"] != "system":
        return None
    first = messages[1]
    content = f"{messages[0]['content']}\n\n{first['content']}"
    return [{"role": first["role"], "content": content}, *messages[2:]]
