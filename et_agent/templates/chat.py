"""Chat prompts in which text from outside can never become control tokens.

The model's own Jinja template is rendered with the messages as they are, so the text is that of plain
rendering. Which of its characters the template wrote itself is known of each; all others come from
outside: messages, arguments of tool calls, what tools gave, descriptions of tools.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from et_agent.errors import SettingsError, UnsupportedModelError
from et_agent.templates.messages import Message, Tool
from et_agent.templates.own_text import OwnText, joined, own
from et_agent.templates.reasoning import ReasoningFormat, reasoning_format
from et_agent.templates.rendering import Piece, Template, pieces_of
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

        self._source = source
        self._ends = {"bos_token": own(bos), "eos_token": own(eos)}
        try:
            self._template = Template(source)
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
        they are shown is the template's affair.

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
        for shown in self._ways(messages, tools):
            # A template is a program out of the model file: it may raise anything, and its
            # raise_exception() raises ValueError.
            try:
                return pieces_of(self._prompt(shown, options or {}))
            except Exception as error:
                tried.append(error)
        if tools or any("tool_calls" in one or one["role"] == "tool" for one in messages):
            self._check_tools(tools)
        error = tried[0]
        if _goes_on(messages):
            raise UnsupportedModelError(_NO_PREFILL.format(error)) from error
        raise UnsupportedModelError(f"the model's chat template refused: {error}") from error

    def _ways(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Any:
        yield from ways_to_show(messages, tools)
        if any(one.get("tool_calls") for one in messages):
            try:
                written = [self._with_written_calls(one) for one in messages]
            except UnsupportedModelError:
                return
            yield from ways_to_show(written, tools)

    def _with_written_calls(self, message: Message) -> Message:
        """A message whose calls stand in its text, as the model writes them."""
        calls = [one["function"] for one in message.get("tool_calls", ())]
        if not calls:
            return message
        said = [message["content"], "\n"] if message["content"] else []
        text = joined([*said, self.tool_format().written(calls)])
        return {"role": message["role"], "content": text}

    def _prompt(self, shown: Shown, options: Mapping[str, Any]) -> OwnText:
        """What a template makes of messages.

        Raises:
            Exception: Any: it refuses them, or leaves one out.
        """
        messages, given = shown
        rendered = self._render(messages, given, options, prompt=not _goes_on(messages))
        left_out = [
            number for number, one in enumerate(messages) if not _says(rendered, one)
        ]
        for number in left_out:
            if self._leaves_out(number, messages, given, options):
                raise ValueError("it leaves out a message")
        if given["tools"] and not self._shows(given["tools"], rendered):
            raise ValueError("it leaves out a tool")
        return _cut_behind(rendered, messages[-1]) if _goes_on(messages) else rendered

    def _shows(self, tools: Sequence[Tool], rendered: str) -> bool:
        return all(one["function"]["name"] in rendered for one in tools)

    def _leaves_out(
        self, number: int, messages: list[dict[str, Any]], given: Any, options: Any
    ) -> bool:
        """Whether a message is not said, not even in another spelling: another one changes nothing."""
        canary = secrets.token_hex(8)
        copy = [dict(one) for one in messages]
        if copy[number].get("tool_calls"):
            copy[number]["tool_calls"] = [
                {**one, "function": {**one["function"], "name": canary}}
                for one in copy[number]["tool_calls"]
            ]
        else:
            copy[number]["content"] = canary
        return canary not in self._render(copy, given, options, prompt=not _goes_on(messages))

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
        values: dict[str, Any] = {"messages": told, "add_generation_prompt": prompt, **self._ends}
        values |= _copied(given)
        return self._template.render(values | {name: _option(one) for name, one in (options or {}).items()})

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
            except Exception as error:
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
        def render(messages: Sequence[Message], tools: Sequence[Tool], *, prompt: bool) -> str | None:
            for shown, given in ways_to_show(messages, tools):
                try:
                    rendered = self._render(shown, given, prompt=prompt)
                except Exception:  # a template may raise anything
                    continue
                calls = [one["function"]["name"] for m in messages for one in m.get("tool_calls", ())]
                if all(name in rendered for name in calls):
                    return str.__str__(rendered)
            return None

        return format_of(ToolProbe(render, self.reasoning), self._source)


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


def _says(rendered: str, message: Mapping[str, Any]) -> bool:
    """Whether a message's text, or what it calls, stands in a rendered one."""
    if calls := message.get("tool_calls"):
        return all(one["function"]["name"] in rendered for one in calls)
    return (message["content"] or "").strip() in rendered


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
