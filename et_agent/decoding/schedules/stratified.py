"""Schedule `stratified`: the codes of arithmetic sampling and nothing else."""

from typing import ClassVar, Literal

from pydantic import Field

from et_agent.decoding.arithmetic import CodedRun, is_one
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

    answers_per_thought: int = Field(default=1, ge=1, le=64, exclude_if=is_one)
    """Answers from each thought of the roots. Each adds the tokens of an answer alone, so that several
    cost little; thoughts are then fewer. Unbiased for any number."""

    def start(self, inputs: RunInputs) -> Run:
        """Begin decoding one question."""
        self.check_thoughts(inputs)
        each = self.answers_per_thought
        return CodedRun(self, inputs, roots=max(1, round(self.leaves / each)), answers=each)
