"""What is labelled: the features of a tree, and what it was decoded with; no question and no answer."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import AfterValidator

from et_agent.calibration.features import FeatureValues
from et_agent.calibration.fingerprint import Fingerprint
from et_agent.errors import CalibrationError
from et_agent.validation import Frozen

if TYPE_CHECKING:
    from et_agent.results import AskResult

__all__ = ["Example", "LearntLabel"]

_HIDDEN: Final = "sha256:"
"""What a digest in place of a text begins with."""
_Features = Annotated[dict[str, float | None], AfterValidator(FeatureValues)]


class LearntLabel(Frozen):
    """A label that a calibrator has learnt from, so that it counts once and in later fits too."""

    identity: str
    """Which result it is for, as `Example.identity`."""
    kind: str
    """Form of the answer."""
    features: _Features
    """Features of the tree."""
    right: bool
    """Whether the answer was right."""


class Example(Frozen):
    """What a calibrator learns from, once it is known whether the answer was right."""

    fingerprint: Fingerprint
    """What the tree was decoded with."""
    features: _Features
    """Its features, as in `AskResult.features`."""
    kind: str
    """Form of the answer."""
    parameters: int = 0
    """Parameters of the model; 0 if that is not known."""
    identity: str
    """Digest of question, seed, answer and settings, by which the same result is known again."""

    @classmethod
    def of(cls, result: "AskResult | Self") -> Self:
        """What a result tells.

        Raises:
            CalibrationError: The result has no answer, or was interrupted.
        """
        if isinstance(result, cls):
            return result
        return cls.of_result(result.model_dump(mode="json", exclude={"tree"}))

    @classmethod
    def of_result(cls, result: Mapping[str, Any]) -> Self:
        """The same of a result as plain data.

        Raises:
            CalibrationError: The result has no answer, or was interrupted.
            KeyError: The data is not a result.
        """
        unusable = not result["features"] or result["answer"] is None
        if unusable or not result.get("complete", True):
            raise CalibrationError(
                "the result has no answer or was interrupted, so nothing can be learnt from it"
            )
        fingerprint = Fingerprint.of_result(result)
        parts = [result["question"], result["seed"], result["answer"], fingerprint.digest]
        if not result.get("single", True):
            # The last message alone does not tell one conversation from another.
            parts.append(result["features"])
        if result.get("passages"):  # what is right depends on them
            parts.append(result["passages"])
        return cls(
            fingerprint=fingerprint,
            features=result["features"],
            kind=result["kind"],
            parameters=result["model"].get("parameters", 0),
            identity=hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16],
        )

    @property
    def hides_texts(self) -> bool:
        """Whether digests stand in place of the system prompts."""
        return any(text.startswith(_HIDDEN) for text in self.fingerprint.instructions.values())

    def without_texts(self) -> Self:
        """The same with a digest in place of each system prompt, for logs that keep no texts."""
        return self._with({kind: one and _digest(one) for kind, one in self._instructions.items()})

    def with_texts(self, texts: Iterable[str]) -> Self:
        """The inverse of `without_texts`.

        Args:
            texts: System prompts that it may have been.

        Raises:
            CalibrationError: It was none of them.
        """
        known = {"": "", **{_digest(text): text for text in ("", *texts)}}
        if not known.keys() >= set(self._instructions.values()):
            raise CalibrationError(
                "the system prompt of this decision is not known, since its log keeps no texts: let "
                "the log keep them, or fit a calibrator with this prompt first"
            )
        return self._with({kind: known[one] for kind, one in self._instructions.items()})

    @property
    def _instructions(self) -> dict[str, str]:
        return self.fingerprint.instructions

    def _with(self, instructions: dict[str, str]) -> Self:
        changed = self.fingerprint.model_copy(update={"instructions": instructions})
        return self.model_copy(update={"fingerprint": changed})

    def labelled(self, right: bool) -> LearntLabel:
        """The same with its label."""
        return LearntLabel(
            identity=self.identity, kind=self.kind, features=self.features, right=right
        )


def _digest(text: str) -> str:
    return _HIDDEN + hashlib.sha256(text.encode()).hexdigest()
