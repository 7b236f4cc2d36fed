"""The models that a server offers, each by its name and, with a gate, as `NAME:gated`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from et_agent.asking.options import AskOptions
from et_agent.asking.thinking import Thinking
from et_agent.engines.base import LanguageModel
from et_agent.engines.sampled import AnyModel
from et_agent.errors import SettingsError
from et_agent.gate import Clarifier, DecisionLog, Gate
from et_agent_server.errors import ApiError
from et_agent_server.settings import ServerSettings

__all__ = ["GATED", "ServedModel", "ServedModels"]

GATED: Final = ":gated"
"""What the name of a model ends with, whose replies pass its gate."""


@dataclass(frozen=True)
class ServedModel:
    """A model as it is offered.

    Attributes:
        name: Its name.
        model: The model.
        gate: Judges its replies; the server itself escalates.
        created: When it was first offered, seconds since 1970.
        thoughts: The server's settings about thoughts; None where they do not apply.
    """

    name: str
    model: AnyModel
    gate: Gate
    created: int
    thoughts: AskOptions | None = None

    @property
    def gives_logits(self) -> bool:
        """Whether it is in this process; one behind a server gives whole replies."""
        return isinstance(self.model, LanguageModel)

    def with_thoughts(self, options: AskOptions) -> AskOptions:
        """Options with the server's settings where they say nothing of thoughts.

        The limit holds for other thoughts too, unless they have one of their own.

        Raises:
            EtAgentError: The model does not let one choose what the options say.
        """
        ours = self.thoughts
        if ours is None:
            return options
        given = options.max_thinking_tokens is not None
        silent = options.thinking == "auto" and not options.template_options
        # Who limits thoughts wants some.
        if silent and not (given and ours.thinking == "off"):
            options = replace(
                options, thinking=ours.thinking, template_options=ours.template_options
            )
        if given or ours.max_thinking_tokens is None or not self._thinks(options):
            return options
        return replace(options, max_thinking_tokens=ours.max_thinking_tokens)

    def _thinks(self, options: AskOptions) -> bool:
        return not self.gives_logits or Thinking.of(self.model, options).thinks


class ServedModels:
    """All models of a server.

    Args:
        models: Loaded models by the name that clients use.
        settings: The server's settings.

    Raises:
        SettingsError: There is none, a name cannot be one, the model that is escalated to is not among
            them, or the settings about thoughts are for none of them.
        UnsupportedModelError: A model that thinks does not let one choose what these settings say.
        StoreError: The file of decisions cannot be opened.
    """

    def __init__(self, models: Mapping[str, AnyModel], settings: ServerSettings) -> None:
        if not models:
            raise SettingsError("there is no model to serve: name one")
        for name in models:
            if not name.strip() or name.endswith(GATED):
                raise SettingsError(f"a model cannot be served as {name!r}: use another name")
        if settings.escalate_to is not None and settings.escalate_to not in models:
            raise SettingsError(
                f"escalate_to is {settings.escalate_to!r}, which is not served: there are "
                f"{', '.join(models)}"
            )
        self.log = None if settings.decisions is None else DecisionLog(settings.decisions)
        now = int(time.time())
        thoughts = _thoughts_of(models, settings)
        self._models = {
            name: ServedModel(name, model, self._gate(model, settings), now, thoughts.get(name))
            for name, model in models.items()
        }
        self.target = None
        """The larger model that doubtful questions are escalated to; None without one."""
        if settings.escalate_to is not None:
            self.target = self._models[settings.escalate_to]

    def _gate(self, model: AnyModel, settings: ServerSettings) -> Gate:
        clarifier = Clarifier(model) if isinstance(model, LanguageModel) else None
        return Gate(settings.policy, clarifier=clarifier, log=self.log)

    def chosen(self, name: str | None) -> str:
        """The name itself, or that of the first model."""
        return self.names()[0] if name is None else name

    def find(self, name: str) -> tuple[ServedModel, bool]:
        """The model of a name, and whether its gate was named too.

        Raises:
            ApiError: There is no such model (404).
        """
        found = self._models.get(name.removesuffix(GATED))
        if found is None:
            raise ApiError(
                404,
                f"there is no model {name[:100]!r}: use one of {', '.join(self.names())}",
                param="model",
                code="model_not_found",
            )
        return found, name.endswith(GATED)

    def names(self) -> list[str]:
        """All names that a request may give."""
        return [name + suffix for name in self._models for suffix in ("", GATED)]

    def all(self) -> list[ServedModel]:
        """The models themselves."""
        return list(self._models.values())

    def close(self) -> None:
        """Close the file of decisions; the models are their owner's."""
        if self.log is not None:
            self.log.close()


def _thoughts_of(models: Mapping[str, AnyModel], settings: ServerSettings) -> dict[str, AskOptions]:
    """The settings about thoughts of the models that have some, checked."""
    options = AskOptions(
        thinking=settings.thinking,
        max_thinking_tokens=settings.max_thinking_tokens,
        template_options=settings.template_options,
    )
    if options == AskOptions():
        return {}
    found = {
        name: options
        for name, model in models.items()
        if not isinstance(model, LanguageModel) or model.reasoning_format() is not None
    }
    if not found and options.thinking != "off":
        raise SettingsError(
            "thinking, max_thinking_tokens and template_options are for models that think, and none "
            f"of {', '.join(models)} does: leave them out"
        )
    for name in found:
        model = models[name]
        thinking = Thinking.of(model, options)
        if isinstance(model, LanguageModel):
            model.chat_tokens([{"role": "user", "content": "Hello"}], (), thinking.template)
    return found
