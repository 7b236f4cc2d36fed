"""Decoders whose trees a calibrator need not tell apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

__all__ = ["CODED", "CalibrationFamily"]


@dataclass(frozen=True, slots=True)
class CalibrationFamily:
    """What a decoder's class declares as `calibration_family` to share calibrators with others.

    A calibrator that was fitted to trees of one decoder then applies to those of all decoders in the
    family, as far as leaves and stopping allow (`Fingerprint`).

    Attributes:
        name: Tells families apart.
        settings: The settings that must be the same. All others may differ, the schedule too.
        values: Settings that a decoder must have to belong to it.
    """

    name: str
    settings: frozenset[str]
    values: tuple[tuple[str, object], ...] = field(default=(), compare=False)

    def only_with(self, **values: object) -> "CalibrationFamily":
        """The same family, to which a decoder belongs only with these settings."""
        return replace(self, values=tuple(values.items()))

    def has(self, decoder: Mapping[str, object]) -> bool:
        """Whether a decoder with these settings belongs to it; one that is not there is no match."""
        return all(decoder.get(name) == value for name, value in self.values)


CODED: Final = CalibrationFamily(
    "coded", frozenset({"temperature", "answers_per_thought", "fork_in"})
)
"""Trees from codes of arithmetic sampling, forked where that is worth its tokens or not at all. How
sure their shares are hardly depends on the schedule (docs/experiments.md)."""
