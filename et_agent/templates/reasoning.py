"""How a model writes its thoughts, read off its chat template: `<think>` and its kin, channels, or not.

The template is rendered with a thought in an assistant's message, and with both values of the switches
that templates have. What stands around the thought are its marks. Where a template shows no thoughts
(many drop those of earlier turns), the marks are looked up in its text. No model's name is known here.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from et_agent.templates.thoughts import Marks, PromptState, in_code

__all__ = ["ReasoningFormat", "Render", "parted_by_tags", "reasoning_format"]


class Render(Protocol):
    """Renders messages with a template; it raises `ValueError` for what the template refuses."""

    def __call__(
        self,
        messages: Sequence[Mapping[str, Any]],
        options: Mapping[str, Any],
        *,
        prompt: bool,
    ) -> str:
        """The text, which ends where the assistant begins to speak if it is to be a prompt."""
        ...


_ASKED: Final = "ASKED7"
_SAID: Final = "SAID7"
_THOUGHT: Final = "THOUGHT7"
_FIELDS: Final = ("reasoning_content", "reasoning", "thinking")

_SWITCHES: Final[tuple[tuple[str, object, object], ...]] = (
    ("enable_thinking", True, False),
    ("thinking", True, False),
    ("thinking_mode", "enabled", "disabled"),
    ("skip_thinking", False, True),
    ("reasoning_effort", "high", "none"),
    ("reasoning_effort", "high", "no_think"),
    ("reasoning_effort", "high", "low"),
    ("thinking_budget", -1, 0),
)
"""Name, value that has the model think, value that has it not."""
_GRADED: Final = frozenset({"reasoning_effort", "thinking_budget"})
"""Switches that may only make thoughts shorter: off is what closes the thought in the prompt."""

_MARK: Final = re.compile(
    r"<\|close\|>\w+<\|sep\|>|<[^<>\n]{1,60}>|\[/?[A-Z][A-Z ]{1,40}\]|◁[^◁▷\n]{1,40}▷"
)
_CLOSING_TAG: Final = re.compile(
    r"</((?:\w+:)?(?:think(?:ing)?|thought)(?::\w+)?)>|\[/(THINK)\]|<\|END_(THINKING)\|>"
)
_OPENING_TAG: Final = (
    r"<(?:\w+:)?(?:think(?:ing)?|thought)(?::\w+)?>|\[THINK\]|<\|START_THINKING\|>"
)
_BEGINS_OPEN: Final = re.compile(rf"\s*({_OPENING_TAG})")
_ENDS_OPEN: Final = re.compile(rf"({_OPENING_TAG})\s*\Z")
_CLOSING: Final = re.compile(
    r"</[^<>{}%\s]{1,40}>|\[/[^\[\]{}%\s]{1,40}\]|<\|(?:/|END_)\w{1,40}\|>|◁/[^◁▷{}%\s]{1,40}▷"
)
_MOST_CLOSINGS: Final = 12
_PAIRS: Final = (
    (re.compile(r"</([^<>]+)>"), "<{}>"),
    (re.compile(r"<\|/(\w+)\|>"), "<|{}|>"),
    (re.compile(r"◁/([^◁▷]+)▷"), "◁{}▷"),
    (re.compile(r"\[/([^\[\]]+)\]"), "[{}]"),
    (re.compile(r"<\|END_([A-Z_]+)\|>"), "<|START_{}|>"),
    (re.compile(r"<\|close\|>(\w+)<\|sep\|>"), "<|open|>{}<|sep|>"),
)


@dataclass(frozen=True, slots=True)
class ReasoningFormat:
    r"""How thoughts are written: `opening` THOUGHT `closing` `answer` ANSWER `answer_end`.

    Attributes:
        opening: What begins a thought, without spaces around it.
        closing: What ends it.
        answer: What then begins the answer, such as a channel's header; empty for nothing.
        turn: What of `answer` stands at the end of a prompt already; empty for nothing.
        answer_end: What ends the answer before the end of the turn; empty for nothing.
        before_closing, after_closing: What the template itself writes around `closing`, spaces for
            the most part: "\n" and "\n\n".
        after_opening: What it writes between `opening` and the thought.
        on, off: Options of the template that have the model think, or not; None where it has no such.
        prompt: How its prompts end with no option set.
        thinks: Whether the model thinks with no option set, as far as the template tells.
    """

    opening: str
    closing: str
    answer: str = ""
    turn: str = ""
    answer_end: str = ""
    before_closing: str = "\n"
    after_closing: str = "\n\n"
    after_opening: str = "\n"
    on: Mapping[str, Any] | None = None
    off: Mapping[str, Any] | None = None
    prompt: PromptState = "free"
    thinks: bool = True

    @property
    def closing_text(self) -> str:
        """What the template writes from the end of a thought to the answer."""
        return f"{self.before_closing}{self.closing}{self.after_closing}{self.answer}"

    def marks(self, spell: Callable[[str], bytes] | None = None) -> Marks:
        """What stands around thoughts and answers, for a text or as `spell` has it."""
        texts = self.opening, self.closing, self.answer, self.turn, self.answer_end
        return Marks(*map(spell or _utf8, texts))

    def state_of(self, prompt: str) -> PromptState:
        """How the end of a prompt leaves the thought.

        Args:
            prompt: The prompt, or its end.
        """
        return self.marks().state(_utf8(prompt))

    def parted(self, text: str) -> tuple[str, str] | None:
        """Thought and answer of a text that begins with a thought; None for another text."""
        begins = text.lstrip().startswith(self.opening)
        if not begins and self.opening in text:
            return None
        # Without its mark, the thought began in the prompt.
        found, _ = self.marks().spans(_utf8(text), "free" if begins else "open")
        return None if found.open else (found.thought or "", found.answer)


def _utf8(text: str) -> bytes:
    """The bytes of a text, which may have halves of surrogate pairs."""
    return text.encode("utf-8", "replace")


_KNOWN: Final = (
    (
        ("<|channel>thought", "<channel|>"),
        ReasoningFormat("<|channel>thought", "<channel|>", before_closing="\n", after_closing=""),
    ),
    (
        ("<|inner_prefix|>", "<|inner_suffix|>"),
        ReasoningFormat(
            "<|inner_prefix|>",
            "<|inner_suffix|>",
            before_closing="",
            after_closing="",
            after_opening="",
        ),
    ),
    (
        ("<|begin_of_thought|>", "<|end_of_thought|>", "<|begin_of_solution|>"),
        ReasoningFormat(
            "<|begin_of_thought|>",
            "<|end_of_thought|>",
            answer="<|begin_of_solution|>",
            answer_end="<|end_of_solution|>",
            before_closing="\n\n",
        ),
    ),
    (
        ("<think></think>", "<response></response>"),
        ReasoningFormat(
            "<think>",
            "</think>",
            answer="<response>",
            answer_end="</response>",
            before_closing="",
            after_closing="",
            after_opening="",
        ),
    ),
)
"""Marks that are no tags, by what their templates say; as they are written where it is not shown."""


def reasoning_format(source: str, render: Render) -> ReasoningFormat | None:
    """How thoughts are written in the replies of a chat template's model; None for none.

    Args:
        source: The template's text.
        render: Renders a prompt with it.
    """
    probe = _Probe(render)
    bare = probe.prompt({})
    if bare is None:
        return None
    switches = [one for one in _SWITCHES if one[0] in source]
    ways: list[Mapping[str, Any]] = [{}, *({name: on} for name, on, _ in switches)]
    found = _from_text(source, bare, probe)
    shown = next((turn for way in ways if (turn := probe.turn(way)) is not None), None)
    if shown is not None:
        found = _from_turn(shown, bare, found)
    if found is None:
        return None
    state = found.state_of(bare)
    found = replace(found, prompt=state, thinks=state != "closed")
    return _with_switch(found, probe, switches)


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a template writes around a thought and what is said after it."""

    before: str
    between: str
    after: str


def parted_by_tags(text: str) -> tuple[str, str] | None:
    """Thought and answer of a reply whose model's template is not known, by the tags that many write.

    A thought that has not ended leaves nothing for the answer. None for a text without such tags, or
    with them in code, or with an opening one after its first words. A closing one alone ends a thought
    that the prompt began, wherever it stands: what is read as a thought by mistake is no wrong answer.
    """
    if (begun := _BEGINS_OPEN.match(text)) is not None:
        form = _tagged(begun[1])
        return form.parted(text) or (text[begun.end() :].strip(), "")
    closed = _CLOSING_TAG.search(text)
    if closed is None or in_code(_utf8(text[: closed.start()])):
        return None
    # The prompt began the thought.
    return ReasoningFormat(_paired(closed[0]), closed[0]).parted(text)


def _tagged(opening: str) -> ReasoningFormat:
    """The format of an opening tag."""
    if "START_" in opening:
        return ReasoningFormat(opening, opening.replace("START_", "END_"))
    return ReasoningFormat(opening, f"{opening[0]}/{opening[1:]}")


class _Probe:
    """Renders prompts of one question, and turns with a thought."""

    def __init__(self, render: Render) -> None:
        self._render = render

    def whole(self, options: Mapping[str, Any], *more: Mapping[str, Any]) -> str | None:
        """A prompt, or a turn; None where the template refuses it or does not show the question."""
        asked = {"role": "user", "content": _ASKED}
        try:
            rendered = self._render([asked, *more], options, prompt=not more)
        except ValueError:
            return None
        return rendered if _ASKED in rendered else None

    def prompt(self, options: Mapping[str, Any]) -> str | None:
        """What follows the question in a prompt."""
        whole = self.whole(options)
        return None if whole is None else whole.rpartition(_ASKED)[2]

    def turn(self, options: Mapping[str, Any]) -> _Turn | None:
        """The assistant's turn with a thought; None where it does not show it."""
        message = {"role": "assistant", "content": _SAID, **dict.fromkeys(_FIELDS, _THOUGHT)}
        whole = self.whole(options, message)
        if whole is None:
            return None
        turn = whole.rpartition(_ASKED)[2]
        before, thought, rest = turn.partition(_THOUGHT)
        between, said, after = rest.partition(_SAID)
        return _Turn(before, between, after) if thought and said else None

    def cuts(self, closing: str) -> bool:
        """Whether it leaves out what stands before a mark in an earlier turn's text."""
        said = {"role": "assistant", "content": f"{_THOUGHT}{closing}{_SAID}"}
        whole = self.whole({}, said, {"role": "user", "content": _ASKED})
        return whole is not None and _SAID in whole and _THOUGHT not in whole


def _from_turn(turn: _Turn, bare: str, known: ReasoningFormat | None) -> ReasoningFormat | None:
    """The format that a turn with a thought shows."""
    if known is not None and known.closing in turn.between:
        opening, closing = known.opening, known.closing
    else:
        first = _MARK.search(turn.between)
        closing = turn.between.strip() if first is None else first[0]
        opening = _opening_of(closing, turn, bare)
        if not opening or not closing:
            return known
    before_closing, _, rest = turn.between.partition(closing)
    header = rest.strip()
    said = next(_MARK.finditer(turn.after), None)
    ends = header and said is not None and turn.after.lstrip().startswith(said[0])
    return ReasoningFormat(
        opening,
        closing,
        answer=header,
        turn=_overlap(bare, header),
        answer_end=said[0] if ends and said is not None else "",
        before_closing=before_closing,
        after_closing=rest if not header else rest[: len(rest) - len(rest.lstrip())],
        after_opening=turn.before.rpartition(opening)[2] if opening in turn.before else "",
    )


def _opening_of(closing: str, turn: _Turn, bare: str) -> str:
    """What begins the thought that `closing` ends; empty where that is not to be seen."""
    if tag := _paired(closing):
        return tag
    if turn.before.startswith(bare):
        return turn.before[len(bare) :].strip()
    return bare[len(turn.before) :].strip() if bare.startswith(turn.before) else ""


def _overlap(prompt: str, header: str) -> str:
    """The longest beginning of a header with which a prompt ends."""
    end = prompt.rstrip()
    return next(
        (header[:size] for size in range(len(header), 0, -1) if end.endswith(header[:size])), ""
    )


def _from_text(source: str, bare: str, probe: _Probe) -> ReasoningFormat | None:
    """The format whose marks stand in a template's text: well-known ones, or those that it cuts at.

    Or a prompt ends with the tag that begins a thought.
    """
    for marks, form in _KNOWN:
        if all(mark in source for mark in marks):
            return form
    tag = _CLOSING_TAG.search(source)
    if tag is not None:
        return ReasoningFormat(_paired(tag[0]), tag[0])
    if (opened := _ENDS_OPEN.search(bare)) is not None:
        return _tagged(opened[1])
    closings = [one for one in dict.fromkeys(_CLOSING.findall(source)) if _paired(one)]
    cut = next((one for one in closings[:_MOST_CLOSINGS] if probe.cuts(one)), None)
    return None if cut is None else ReasoningFormat(_paired(cut), cut)


def _paired(closing: str) -> str:
    """The opening tag of a closing one; empty for what is none."""
    for pattern, form in _PAIRS:
        if (tag := pattern.fullmatch(closing)) is not None:
            return form.format(tag[1])
    return ""


def _with_switch(
    form: ReasoningFormat, probe: _Probe, switches: Sequence[tuple[str, object, object]]
) -> ReasoningFormat:
    """With the first of the switches that changes prompts."""
    for name, on, off in switches:
        thinks, does_not = probe.whole({name: on}), probe.whole({name: off})
        if thinks is None or does_not is None or thinks == does_not:
            continue
        end = does_not.rpartition(_ASKED)[2]
        if name in _GRADED and form.state_of(end) != "closed":
            continue
        if form.state_of(end) == "closed" and form.closing in end and not form.answer:
            rest = end.rpartition(form.closing)[2]
            form = replace(form, after_closing=rest)
        unasked = {thinks: True, does_not: False}.get(probe.whole({}) or "", form.thinks)
        return replace(form, on={name: on}, off={name: off}, thinks=unasked)
    return form
