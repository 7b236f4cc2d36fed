"""What a calibrator is valid for: model, decoder, prompt and answer kinds."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Self

from pydantic import ConfigDict, field_validator

from et_agent.answers.joining import JOINED_KINDS
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.family import CalibrationFamily
from et_agent.decoding.multi_chain import MultiChain
from et_agent.decoding.naming import from_description, migrated, settings_class
from et_agent.decoding.schedules import EntropyTree
from et_agent.errors import CalibrationError
from et_agent.validation import Record
from et_agent.wording import noun

__all__ = ["Fingerprint"]

_ALIKE_LEAVES: Final = (3, 32)
"""Smallest and largest number of leaves between which labels of one size tell of all.

From 4 to 32 leaves the level of a confidence moves by 0.05 at most, with two by up to 0.13, and with
more it was not measured ("What moves the level" in docs/confidence.md). The shipped maps were fitted
with three, too."""


class Fingerprint(Record):
    """What the confidence of a tree depends on besides the question.

    The decoder's class declares which settings matter (`DecoderSettings`). Of those, only the ones
    that its family names matter between decoders of one family. The number of leaves may
    be any that the calibrator was fitted with, from smallest to largest. A tree that may stop early
    can end with fewer than it was asked for. Its range therefore begins with the fewest leaves at
    which it may stop, and the calibrator has to cover the whole range. Settings of earlier versions
    are read under their present names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: str
    """SHA-256 of the model file."""
    decoder: dict[str, str | int | float | bool | None]
    """Name and settings of the decoder that matter."""
    leaves: tuple[int, int]
    """Smallest and largest number of leaves."""
    instructions: dict[str, str]
    """System prompt of each answer kind that is covered."""
    chat: str
    """Prompt style."""
    single: bool = True
    """Whether questions stand alone, with at most a system message before them. It is not compared:
    earlier turns hardly move the level of a confidence (docs/confidence.md)."""
    informed: bool = False
    """Whether tools replied before, or system messages came later than at the beginning."""
    begun: bool = False
    """Whether the caller began the replies."""
    stops: bool = False
    """Whether stop sequences end paths."""
    passages: bool = False
    """Whether answers are out of given passages."""
    max_thinking_tokens: int | None = None
    """Tokens after which a thought is closed; None where the model does not think."""
    same: str = "words"
    """What makes answers one, as `AskResult.same` has it."""

    @field_validator("decoder", mode="before")
    @classmethod
    def _migrate(cls, given: object) -> object:
        return migrated(given) if isinstance(given, Mapping) else given

    @classmethod
    def of_run(cls, config: Mapping[str, Any], kinds: Sequence[str]) -> Self:
        """Return the fingerprint of an evaluation run.

        Args:
            config: Configuration of the run.
            kinds: Answer kinds of its questions.

        Raises:
            CalibrationError: The configuration was not written by `et-agent eval run`.
        """
        try:
            prompt, decoder = config["system_prompt"], config["decoder"]
            own = config["instructions"] if prompt is None else dict.fromkeys(kinds, prompt)
            return cls.of(
                model=config["model"]["fingerprint"],
                decoder=decoder,
                instructions={kind: own[kind] for kind in sorted(set(kinds))},
                chat=cls.chat_style(config["chat"], config.get("template_options") or {}),
                passages=config.get("passages", False),
                max_thinking_tokens=config.get("max_thinking_tokens"),
                same=config.get("same", "words"),
            )
        except (KeyError, TypeError) as error:
            raise CalibrationError(
                f"the run does not say how it was decoded ({error} is missing): "
                "make it with `et-agent eval run`"
            ) from error

    @classmethod
    def of_result(cls, result: Mapping[str, Any]) -> Self:
        """Return the fingerprint of a result, given as plain data of an `AskResult`.

        Raises:
            KeyError: The data is not a result.
        """
        return cls.of(
            model=result["model"]["fingerprint"],
            decoder=result["decoder"],
            instructions={result["kind"]: result["instruction"]},
            chat=cls.chat_style(result["chat"], result.get("template_options") or {}),
            single=result.get("single", True),
            informed=result.get("informed", False),
            begun=result.get("begun", False),
            stops=result.get("stops", False),
            passages=bool(result.get("passages")),
            max_thinking_tokens=result.get("max_thinking_tokens"),
            same=result.get("same", "words"),
        )

    @staticmethod
    def chat_style(chat: str, template_options: Mapping[str, Any]) -> str:
        """Prompt style, with the options of the chat template: they change what the model says."""
        if not template_options:
            return chat
        return f"{chat} {json.dumps(dict(template_options), sort_keys=True)}"

    @classmethod
    def of(
        cls,
        *,
        model: str,
        decoder: Mapping[str, Any],
        instructions: Mapping[str, str],
        chat: str,
        single: bool = True,
        informed: bool = False,
        begun: bool = False,
        stops: bool = False,
        passages: bool = False,
        max_thinking_tokens: int | None = None,
        same: str = "words",
    ) -> Self:
        """Return the fingerprint of a decoder's settings, as in `AskResult.decoder`."""
        now = migrated(decoder)
        free = (settings_class(now) or DecoderSettings).ignored_in_fingerprint
        return cls(
            model=model,
            decoder={name: value for name, value in now.items() if name not in free},
            leaves=_leaves_of(now),
            instructions=dict(instructions),
            chat=chat,
            single=single,
            informed=informed,
            begun=begun,
            stops=stops,
            passages=passages,
            max_thinking_tokens=max_thinking_tokens,
            same=same,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, the same for equal fingerprints."""
        # Without what earlier versions did not know, so that labels of theirs are known again.
        later = ("informed", "begun", "passages", "max_thinking_tokens", "same")
        fields = type(self).model_fields
        new = {name for name in later if getattr(self, name) == fields[name].default}
        text = json.dumps(self.model_dump(mode="json", exclude=new), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def is_as(self, other: Self) -> bool:
        """Whether both cover the same: they are equal, but for what is not compared."""
        return self == other.model_copy(update={"single": self.single})

    def with_alike_leaves(self) -> Self:
        """Return the fingerprint that covers all trees of which a label of such a tree tells.

        With leaves within `_ALIKE_LEAVES` it covers all of these, and otherwise it stays as it is.
        """
        (low, high), (least, most) = self.leaves, _ALIKE_LEAVES
        if not least <= low <= high <= most:
            return self
        return self.model_copy(update={"leaves": _ALIKE_LEAVES})

    def joined(self, other: Self) -> Self:
        """Return the fingerprint that covers the questions of both.

        Raises:
            CalibrationError: They differ in more than leaves and answer kinds.
        """
        if problems := list(self._differences(other)) or list(other._differences(self)):
            raise CalibrationError(
                f"these runs differ: {'; '.join(problems)}. Fit a calibrator for each"
            )
        for kind, text in other.instructions.items():
            if self.instructions.get(kind, text) != text:
                raise CalibrationError(
                    f"these runs use different instructions for {kind}: fit a calibrator for each"
                )
        return self.model_copy(
            update={
                "leaves": (
                    min(self.leaves[0], other.leaves[0]),
                    max(self.leaves[1], other.leaves[1]),
                ),
                "instructions": {**self.instructions, **other.instructions},
                "same": self.same if self._joins else other.same,
            }
        )

    def problems(self, requested: Self) -> list[str]:
        """Return why a calibrator with this fingerprint is not valid for a tree; [] if it is valid."""
        if self.model == requested.model and self.passages != requested.passages:
            return [_passages(requested)]  # prompt, decoder and what is the same follow from it
        found = list(self._differences(requested))
        low, high = self.leaves
        if not (low <= requested.leaves[0] and requested.leaves[1] <= high):
            wanted, known = (
                " to ".join(map(str, dict.fromkeys(one))) for one in (requested.leaves, self.leaves)
            )
            leaves = noun(requested.leaves[1], "leaf", "leaves")
            found.append(f"{wanted} {leaves} instead of {known}")
        for kind, text in requested.instructions.items():
            if kind not in self.instructions:
                found.append(f"answers of kind {kind} instead of {', '.join(self.instructions)}")
            elif self.instructions[kind] != text:
                found.append(
                    f"another instruction than the calibrator's for answers of kind {kind}"
                )
        return found

    def _differences(self, other: Self) -> Iterator[str]:
        if self.model != other.model:
            yield f"model {other.model[:12] or 'without fingerprint'} instead of {self.model[:12]}"
        for name in sorted(self._compared(other)):
            ours, theirs = self.decoder.get(name), other.decoder.get(name)
            if ours != theirs:
                yield f"decoder {name} {theirs} instead of {ours}"
        if self.chat != other.chat:
            yield f"chat {other.chat} instead of {self.chat}"
        if self.informed != other.informed:
            yield (
                "replies of tools or later system messages"
                if other.informed
                else "no replies of tools and no later system messages"
            )
        if self.begun != other.begun:
            yield (
                "a given beginning of the reply"
                if other.begun
                else "no given beginning of the reply"
            )
        if self.stops != other.stops:
            yield "stop sequences" if other.stops else "no stop sequences"
        if self.max_thinking_tokens != other.max_thinking_tokens:
            yield f"{_thinking(other)} instead of {_thinking(self)}"
        if self.passages != other.passages:
            yield _passages(other)
        if self.same != other.same and self._joins and other._joins:
            yield f"answers that are one by {other.same} instead of {self.same}"

    @property
    def _joins(self) -> bool:
        """Whether it covers answers that may say the same in other words."""
        return any(kind in JOINED_KINDS for kind in self.instructions)

    def _compared(self, other: Self) -> set[str]:
        """The settings in which a tree of `other` must be as one of this."""
        one, two = settings_class(self.decoder), settings_class(other.decoder)
        names = self.decoder.keys() | other.decoder.keys()
        if one is None or two is None:
            return names
        stopping = one.stopping | two.stopping
        family = _family(self.decoder)
        if family is not None and family == _family(other.decoder):
            names = {*family.settings, *stopping}
        else:
            # What only one of them has says no more than that they differ.
            names -= one.model_fields.keys() ^ two.model_fields.keys()
        return names if _may_stop(self.decoder) else names - stopping


def _passages(fingerprint: Fingerprint) -> str:
    return "answers from passages" if fingerprint.passages else "no passages to answer from"


def _thinking(fingerprint: Fingerprint) -> str:
    limit = fingerprint.max_thinking_tokens
    return "no thoughts" if limit is None else f"thoughts of up to {limit} tokens"


def _family(decoder: Mapping[str, Any]) -> CalibrationFamily | None:
    """The family that a decoder's own class declares, if the decoder belongs to it."""
    family: CalibrationFamily | None = vars(settings_class(decoder)).get("calibration_family")
    return family if family is not None and family.has(decoder) else None


def _may_stop(decoder: Mapping[str, Any]) -> bool:
    made = settings_class(decoder)
    return made is not None and any(decoder.get(name) is not None for name in made.stopping)


def _leaves_of(decoder: Mapping[str, Any]) -> tuple[int, int]:
    """The fewest leaves that a decoder may stop at, and those it is asked for."""
    leaves = int(decoder.get("leaves", 1))
    if not _may_stop(decoder):
        return leaves, leaves
    made = from_description(decoder)
    return (made.least_leaves if isinstance(made, EntropyTree | MultiChain) else leaves), leaves
