"""Fields of an answer that a policy holds to thresholds of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

from et_agent.answers.field_paths import ANY, Step, matches, parse_path
from et_agent.gate.policy import GatePolicy
from et_agent.results import AskResult, FieldReport

__all__ = ["HeldField", "held_fields", "missing_fields"]


@dataclass(frozen=True, slots=True)
class HeldField:
    """A field of the answer with a threshold of its own.

    Attributes:
        path: Its path.
        report: What the result says of it.
        threshold: The highest threshold of the patterns that it matches.
    """

    path: str
    report: FieldReport
    threshold: float


def held_fields(result: AskResult, policy: GatePolicy) -> list[HeldField]:
    """Fields of the answer that the policy has a threshold for."""
    patterns = {parse_path(path): least for path, least in policy.fields.items()}
    found = []
    for path, report in result.fields.items() if patterns else ():
        steps = parse_path(path)
        least = [threshold for one, threshold in patterns.items() if matches(one, steps)]
        if least:
            found.append(HeldField(path, report, max(least)))
    return found


def missing_fields(result: AskResult, policy: GatePolicy) -> list[str]:
    """Fields that the policy names and the answer should have but lacks, as the policy writes them.

    If tools were passed, those of a tool that the answer does not call need not be there, nor those of
    any tool, `*.iban`. A name that is no tool's may be misspelt, so its fields count as missing.
    """
    there = [parse_path(path) for path in result.fields]
    called = {call.name for call in result.tool_calls}
    idle = {ANY, *result.tools} - called if result.tools else set[str | None]()
    return [
        path
        for path in policy.fields
        if not _is_idle(steps := parse_path(path), idle)
        and not any(matches(steps, one) for one in there)
    ]


def _is_idle(steps: Sequence[Step | None], idle: set[str | None]) -> bool:
    return bool(steps) and steps[0] in idle
