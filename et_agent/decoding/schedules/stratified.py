"""Schedule `stratified`: the codes of arithmetic sampling and nothing else."""

from typing import ClassVar, Literal

from et_agent.decoding.arithmetic import CodedRun
from et_agent.decoding.base import Run, RunInputs
from et_agent.decoding.family import CODED, CalibrationFamily
from et_agent.decoding.schedules.base import EntropyTree

__all__ = ["Stratified"]


class Stratified(EntropyTree):
    """Exact samples, spread evenly by arithmetic sampling; shared beginnings are decoded once.

    The tree has all its leaves from the beginning on, each a code. Unbiased.
    """

    calibration_family: ClassVar[CalibrationFamily | None] = CODED

    schedule: Literal["stratified"] = "stratified"
    """When to fork."""

    def start(self, inputs: RunInputs) -> Run:
        """Begin decoding one question."""
        return CodedRun(self, inputs, roots=self.leaves)
