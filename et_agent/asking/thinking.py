"""Whether the model thinks before it answers, as far as its chat template lets one choose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from et_agent.asking.options import AskOptions
from et_agent.asking.sampled import check_options
from et_agent.decoding.thinking import Thoughts
from et_agent.engines.base import LanguageModel
from et_agent.engines.sampled import AnyModel
from et_agent.errors import SettingsError, UnsupportedModelError
from et_agent.templates.reasoning import ReasoningFormat

__all__ = ["THINKING_TOKENS", "Thinking"]

THINKING_TOKENS: Final = 1024
"""Tokens after which a thought is closed, unless `max_thinking_tokens` says otherwise."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a question's options mean for a model's thoughts.

    Attributes:
        form: How the model writes thoughts; None where it has none, or with a plain prompt.
        template: Options that its chat template gets.
        thinks: Whether it thinks before it answers, as far as its template tells.
        limit: Tokens after which a thought is closed, as far as the context has room; None where the
            model does not think.
    """

    form: ReasoningFormat | None
    template: Mapping[str, Any]
    thinks: bool
    limit: int | None

    @classmethod
    def of(cls, model: AnyModel, options: AskOptions) -> "Thinking":
        """Check what was asked for.

        Raises:
            SettingsError: The options contradict each other.
            UnsupportedModelError: The model's template does not let one choose.
        """
        if not isinstance(model, LanguageModel):
            check_options(options)
            return cls(None, dict(options.template_options), thinks=False, limit=None)
        form = model.reasoning_format() if options.chat == "model" else None
        template = dict(options.template_options)
        if form is None:
            _refuse_without_format(options)
            return cls(None, template, thinks=False, limit=None)
        wanted = _switched(form, options)
        for name, value in wanted.items():
            if template.setdefault(name, value) != value:
                raise SettingsError(
                    f"thinking={options.thinking!r} sets the template's {name} to {value!r}, and "
                    f"template_options to {template[name]!r}: leave one of them out"
                )
        thinks = _thinks(form, template)
        if options.max_thinking_tokens is not None and not thinks:
            raise SettingsError(
                "max_thinking_tokens limits thoughts, and this model has none unless asked: use "
                "thinking='on' too, or leave it out"
            )
        return cls(form, template, thinks, _limit(options) if thinks else None)

    def before_calls(self) -> "Thinking":
        """The same before a tool call, which has no header of an answer."""
        form = self.form
        if form is None or not form.answer:
            return self
        return replace(self, form=replace(form, answer=form.turn, answer_end=""))

    def thoughts(
        self, model: LanguageModel, prompt: Sequence[int], max_tokens: int
    ) -> Thoughts | None:
        """What tells thoughts and answers of a prompt's paths apart; None where none are thought.

        Where the context is short, thoughts leave room for the answer.

        Args:
            model: The model.
            prompt: Prompt tokens.
            max_tokens: Longest answer in tokens.
        """
        if self.form is None:
            return None
        limit = THINKING_TOKENS if self.limit is None else self.limit
        bare = Thoughts(model, self.form, prompt)
        if bare.state == "closed":
            return bare  # with a limit of 0: it should not think again
        around = bare.longest
        room = min(model.info.context, model.info.longest_path) - len(prompt) - around
        limit = max(0, min(limit, room - min(max_tokens, room // 2)))
        return Thoughts(model, self.form, prompt, limit=limit)


def _limit(options: AskOptions) -> int:
    given = options.max_thinking_tokens
    return THINKING_TOKENS if given is None else given


def _refuse_without_format(options: AskOptions) -> None:
    if options.chat == "plain":
        return  # the options themselves have been refused then
    if options.thinking == "on":
        raise UnsupportedModelError(
            "thinking='on', and the model's chat template knows no thoughts: choose a model that "
            "thinks (Qwen3, gpt-oss, DeepSeek-R1, …), or ask for steps in the system prompt"
        )
    if options.max_thinking_tokens is not None:
        raise UnsupportedModelError(
            "max_thinking_tokens limits thoughts, and the model's chat template knows none: leave it "
            "out; max_tokens limits the whole reply"
        )


def _switched(form: ReasoningFormat, options: AskOptions) -> Mapping[str, Any]:
    """The template's options for `thinking`."""
    if options.thinking == "auto":
        return {}
    if options.thinking == "on":
        if form.on is not None:
            return form.on
        if not form.thinks:
            raise UnsupportedModelError(
                "thinking='on', and the model's chat template has no switch for it: leave it out, or "
                "set the template's own option with template_options"
            )
        return {}
    if form.off is not None:
        return form.off
    if not form.thinks:
        return {}
    raise UnsupportedModelError(
        "thinking='off', and the model's chat template has no switch for it: max_thinking_tokens=0 "
        "closes each thought at once"
    )


def _thinks(form: ReasoningFormat, template: Mapping[str, Any]) -> bool:
    for options, answer in ((form.off, False), (form.on, True)):
        if options and all(template.get(name) == value for name, value in options.items()):
            return answer
    return form.thinks
