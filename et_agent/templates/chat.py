"""Chat prompts in which text from outside can never become control tokens.

The model's own Jinja template is rendered with the messages as they are, so the text is that of plain
rendering. Which of its characters the template wrote itself is known of each; all others come from
outside: messages, arguments of tool calls, what tools gave, descriptions of tools.
"""

import hashlib
import itertools
import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from et_agent.errors import SettingsError, UnsupportedModelError
from et_agent.templates.isolated import InvalidTemplateError, IsolatedTemplate
from et_agent.templates.messages import FunctionCall, Message, Tool
from et_agent.templates.own_text import OwnText, Piece, joined, own, pieces_of
from et_agent.templates.reasoning import ReasoningFormat, reasoning_format
from et_agent.templates.tool_format import ToolFormat
from et_agent.templates.tool_probing import ToolProbe, format_of
from et_agent.templates.variants import Shown, ways_to_show

__all__ = ["ChatTemplate", "Piece"]

_NO_TOOLS: Final = (
    "the model's chat template knows no tools: leave them out, or choose a model whose template does "
    "(of the catalog, the Qwen models)"
)
_OTHER_FORM: Final = (
    "the model's chat template knows tools, but in which form calls are written cannot be read off it: "
    "choose another model, of the catalog a Qwen model"
)
_NO_PREFILL: Final = (
    "the conversation ends with the assistant, and the model's chat template cannot go on with its "
    "text ({}): leave that message out"
)
_TOOLS_ARE: Final = (
    "You may call these tools, each a JSON object with the schema of its arguments:\n"
)
_CALLS_ARE: Final = "To call one, reply with:\n"
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
"""Option values that no control token can hide in; they may be parts of a template's own marks."""

MOST_WAYS: Final = 500
"""Ways in which a conversation is shown at most; no known template takes one behind the first 30."""
MOST_SECONDS: Final = 10.0
"""Time after which a template that refuses a conversation is asked no more."""


class ChatTemplate:
    """A model's own chat template.

    Args:
        source: Jinja source, from the model file.
        bos, eos: Text of the model's beginning- and end-of-text tokens.

    Raises:
        UnsupportedModelError: The template is not valid Jinja, or takes too much time or memory.
    """

    def __init__(self, source: str, bos: str, eos: str) -> None:
        self._source = source
        self._ends = {"bos_token": own(bos), "eos_token": own(eos)}
        try:
            self._template = IsolatedTemplate(source)
        except InvalidTemplateError as error:
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
            return self._render(messages, {"tools": None}, options, prompt=prompt)

        return reasoning_format(self._source, render)

    @cached_property
    def options(self) -> frozenset[str]:
        """Names of the options that the template looks at."""
        return self._template.names - _GIVEN

    def pieces(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        options: Mapping[str, Any] | None = None,
    ) -> list[Piece]:
        """Render messages; the prompt ends where the assistant begins to speak, or goes on.

        It goes on with the text of a last message of its own. A conversation that the template refuses
        is shown in another way that says the same: neighbours of one role as one message, the system
        text at the head of the first user message, calls one by one. Thoughts of an assistant's message
        are given to the template apart from what it said, also where they stand in its text; whether
        they are shown is the template's affair. At most 500 ways are tried, for 10 seconds.

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
        tried: list[Exception] = []
        began = time.monotonic()
        for shown in itertools.islice(_distinct(self._ways(messages, tools)), MOST_WAYS):
            if tried and time.monotonic() - began > MOST_SECONDS:
                break
            try:
                return pieces_of(self._prompt(shown, options or {}))
            except ValueError as error:
                tried.append(error)
        if tools or any("tool_calls" in one or one["role"] == "tool" for one in messages):
            self._check_tools(tools)
        first = tried[0]
        if _goes_on(messages):
            raise UnsupportedModelError(_NO_PREFILL.format(first)) from first
        raise UnsupportedModelError(f"the model's chat template refused: {first}") from first

    def _ways(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Iterator[Shown]:
        """The ways to show messages and tools, the template's own first."""
        yield from ways_to_show(messages, tools)
        form = self._tool_format
        if form is None:
            return
        ways = [messages]
        if any(one.get("tool_calls") for one in messages):
            ways.append([self._with_written_calls(one) for one in messages])
            yield from ways_to_show(ways[1], tools)
        for said in ways if tools else ():  # DeepSeek's templates write calls and show no tools
            yield from ways_to_show(_with_described(said, tools, form), ())

    def _with_written_calls(self, message: Message) -> Message:
        """A message whose calls stand in its text, as the model writes them."""
        calls = [one["function"] for one in message.get("tool_calls", ())]
        if not calls or self._tool_format is None:
            return message
        said = [message["content"], "\n"] if message["content"] else []
        text = joined([*said, self._tool_format.written(calls)])
        return {"role": message["role"], "content": text}

    def _prompt(self, shown: Shown, options: Mapping[str, Any]) -> OwnText:
        """What a template makes of messages.

        Raises:
            ValueError: It refuses them, or leaves one out.
            UnsupportedModelError: It takes too much time or memory.
        """
        messages, given = shown
        prompt = not _goes_on(messages)
        rendered = self._render(messages, given, options, prompt=prompt)
        probe = _Canaries(messages, given)
        try:
            told: str | None = self._render(probe.messages, probe.given, options, prompt=prompt)
        except ValueError:  # it looks at the texts themselves
            told = None
        if told is not None:
            probe.check(told)
        return rendered if prompt else _cut_behind(rendered, messages[-1])

    def _render(
        self,
        messages: Sequence[Mapping[str, Any]],
        given: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        *,
        prompt: bool,
    ) -> OwnText:
        # A template may change what it gets, so it gets copies; roles are part of its own marks.
        told = [{**_copied(one), "role": own(one["role"])} for one in messages]
        if self._wants_parts:
            told = list(map(_in_parts, told))
        return self._rendered(told, given, options, prompt=prompt)

    @cached_property
    def _wants_parts(self) -> bool:
        """Whether the template takes texts as lists of parts only, as some for pictures do."""
        asked: dict[str, Any] = {"role": own("user"), "content": secrets.token_hex(8)}

        def shows(message: dict[str, Any]) -> bool:
            try:
                return asked["content"] in self._rendered([message], {}, None, prompt=True)
            except ValueError:
                return False

        return not shows(asked) and shows(_in_parts(asked))

    def _rendered(
        self,
        messages: Sequence[Mapping[str, Any]],
        given: Mapping[str, Any],
        options: Mapping[str, Any] | None,
        *,
        prompt: bool,
    ) -> OwnText:
        values: dict[str, Any] = {
            "messages": messages,
            "add_generation_prompt": prompt,
            **self._ends,
        }
        values |= _copied(given)
        return self._template.render(
            values | {name: _option(one) for name, one in (options or {}).items()}
        )

    def _check_options(self, options: Mapping[str, Any]) -> None:
        if unknown := sorted(set(options) - self.options if options else ()):
            known = f"use {', '.join(sorted(self.options))}" if self.options else "it has none"
            raise SettingsError(
                f"the model's chat template does not look at {', '.join(unknown)}: {known}"
            )

    def _check_tools(self, tools: Sequence[Tool]) -> None:
        """Say so where it is the tools that a template cannot show."""
        plain: list[Message] = [{"role": "user", "content": "Hello"}]
        self.tool_format()
        for shown in ways_to_show(plain, tools):
            try:
                self._prompt(shown, {})
                return
            except ValueError as error:
                refused = error
        raise UnsupportedModelError(_NO_TOOLS) from refused

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
        """How the template writes tool calls, read off messages with some.

        Raises:
            UnsupportedModelError: The template knows no tools, or writes calls in a form that cannot
                be read.
        """
        if self._tool_format is None:
            names = self._template.names | frozenset(re.findall(r"\w+", self._source))
            raise UnsupportedModelError(
                _OTHER_FORM if names & {"tools", "tool_calls", "functions"} else _NO_TOOLS
            )
        return self._tool_format

    @cached_property
    def _tool_format(self) -> ToolFormat | None:
        def render(
            messages: Sequence[Message], tools: Sequence[Tool], *, prompt: bool
        ) -> str | None:
            for shown, given in ways_to_show(messages, tools):
                try:
                    rendered = self._render(shown, given, prompt=prompt)
                except ValueError:
                    continue
                calls = [
                    one["function"]["name"] for m in messages for one in m.get("tool_calls", ())
                ]
                if all(name in rendered for name in calls):
                    return str.__str__(rendered)
            return None

        return format_of(ToolProbe(render, self.reasoning), self._source)


def _distinct(ways: Iterator[Shown]) -> Iterator[Shown]:
    """Ways without those in which the template would see what it has seen."""
    seen: set[bytes] = set()
    for shown in ways:
        digest = hashlib.sha256(repr(shown).encode("utf-8", "surrogatepass")).digest()
        if digest not in seen:
            seen.add(digest)
            yield shown


def _goes_on(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a conversation ends with a text of the assistant, with which it goes on."""
    last = messages[-1]
    return bool(last["role"] == "assistant" and last["content"] and not last.get("tool_calls"))


def _cut_behind(rendered: OwnText, message: Mapping[str, Any]) -> OwnText:
    """The text up to the end of what the last message says."""
    for said in (message["content"], message["content"].rstrip(), message["content"].strip()):
        at = rendered.rfind(said)
        if at >= 0 and all(rendered.mask[at + len(said) :]):
            return rendered[: at + len(said)]
    raise ValueError("it does not end with that text")


def _with_described(
    messages: Sequence[Message], tools: Sequence[Tool], form: ToolFormat
) -> list[Message]:
    """Messages with a system text that tells of tools, and how to call them."""
    functions = [json.dumps(one["function"], ensure_ascii=False) for one in tools]
    example: FunctionCall = {"name": "NAME", "arguments": {"ARGUMENT": "VALUE"}}
    said = [_TOOLS_ARE, *(f"{one}\n" for one in functions), _CALLS_ARE, form.written([example])]
    head = messages[0] if messages[0]["role"] == "system" else None
    if head is not None and head["content"]:
        said = [head["content"], "\n\n", *said]
    system: Message = {"role": "system", "content": joined(said)}
    return [system, *messages[head is not None :]]


class _Canaries:
    """A conversation whose texts and names are others, to see whether a template says each of them.

    What an assistant says beside a call may be left out: many templates do.
    """

    def __init__(self, messages: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> None:
        self._messages: list[str] = []
        self._tools: list[str] = []
        self.messages = [self._message(one) for one in messages]
        self.given = {**given, "tools": [self._tool(one) for one in given["tools"] or ()] or None}

    @staticmethod
    def _new(said: list[str]) -> str:
        said.append(secrets.token_hex(8))
        return said[-1]

    def _message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        if not (calls := message.get("tool_calls")):
            text = message["content"]
            return {**message, "content": self._new(self._messages) if text else text}
        named = [
            {**one, "function": {**one["function"], "name": self._new(self._messages)}}
            for one in calls
        ]
        return {**message, "tool_calls": named}

    def _tool(self, tool: Mapping[str, Any]) -> dict[str, Any]:
        name = self._new(self._tools)
        flat = {"name": name} if "name" in tool else {}
        return {**tool, **flat, "function": {**tool["function"], "name": name}}

    def check(self, rendered: str) -> None:
        """Raise for what was left out.

        Raises:
            ValueError: Something was.
        """
        for said, what in ((self._messages, "message"), (self._tools, "tool")):
            if not all(one in rendered for one in said):
                raise ValueError(f"it leaves out a {what}")


def _in_parts(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message whose text is a list of one part."""
    text = message["content"]
    return {**message, "content": [{"type": own("text"), "text": text}] if text else text}


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(one) for one in value]
    return value


def _option(value: Any) -> Any:
    """An option's value; one in which a control token could hide is text from outside."""
    if isinstance(value, str):
        return own(value) if _PLAIN_OPTION.fullmatch(value) else value
    if isinstance(value, Mapping):
        return {_option(str(key)): _option(one) for key, one in value.items()}
    if isinstance(value, Sequence):
        return [_option(one) for one in value]
    return value
