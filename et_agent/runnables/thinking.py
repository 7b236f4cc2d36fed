"""The settings about thoughts that every chat model and runnable has."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from et_agent.asking.options import ThinkingKeywords, ThinkingMode

__all__ = ["THINKING_FIELDS", "ThinkingSettings"]


class ThinkingSettings(BaseModel):
    """Fields of `AskOptions` that are about thoughts, for classes of pydantic's."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    thinking: ThinkingMode = "auto"
    """Whether a model that can think does so: "on", "off", or "auto" for its template's own way."""
    template_options: dict[str, JsonValue] = Field(default_factory=dict)
    """Options of the chat template by name, such as {"reasoning_effort": "low"}."""
    max_thinking_tokens: int | None = Field(default=None, ge=0)
    """Tokens after which a thought is closed; None for 1,024. `max_tokens` counts the answer alone."""

    @property
    def thinking_keywords(self) -> ThinkingKeywords:
        """The fields as keywords of `AskOptions`."""
        return {
            "thinking": self.thinking,
            "template_options": self.template_options,
            "max_thinking_tokens": self.max_thinking_tokens,
        }


THINKING_FIELDS: Final = tuple(ThinkingSettings.model_fields)
