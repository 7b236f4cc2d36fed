"""A text that was written elsewhere, read token by token: how likely the model finds it."""

from pydantic import Field

from et_agent.decoding.base import DecoderSettings, Run, RunInputs, side
from et_agent.decoding.sampling import Distribution
from et_agent.decoding.tree import Branch

__all__ = ["Forced", "ForcedRun"]


class Forced(DecoderSettings):
    """Tokens that follow the prompt, whatever the model would say."""

    tokens: tuple[int, ...] = Field(min_length=1)
    """The tokens."""
    temperature: float = Field(default=1.0, gt=0, le=10, allow_inf_nan=False)
    """Temperature of the reported probabilities."""

    def start(self, inputs: RunInputs) -> "ForcedRun":
        """Begin reading."""
        return ForcedRun(self, inputs)


class ForcedRun(Run):
    """The reading. Its tree has one branch, with the statistics of a generated one."""

    generates = False
    settings: Forced

    @property
    def most_tokens(self) -> int:
        """Tokens of the text."""
        return len(self.settings.tokens)

    @property
    def given_tokens(self) -> int:
        """Tokens of the text."""
        return len(self.settings.tokens)

    def _longest(self, branch: Branch) -> int:
        del branch
        return len(self.settings.tokens)

    def _take(self, branch: Branch, distribution: Distribution) -> None:
        token = self.settings.tokens[branch.end]
        self._append(branch, side(token, distribution), distribution)

    def _has_stopped(self, branch: Branch) -> bool:
        # It ends where its author ended it.
        return branch.end >= len(self.settings.tokens)
