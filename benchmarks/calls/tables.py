"""Makes benchmarks/results/calls.json and the table in docs/measured.md of what is kept."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from benchmarks import kept
from benchmarks.calls.decoding import RESULTS, Which, file_of
from benchmarks.calls.drawing import GROUPS
from benchmarks.calls.judging import GATED_AT, Said, figures, said_of
from benchmarks.documents import put
from benchmarks.fields import percent, told
from et_agent.arrays import Doubles
from et_agent.calibration import Calibrator
from et_agent.calibration.evidence import within_limits, within_votes
from et_agent.calibration.pooled import Pooled
from et_agent.calibration.prior import Prior
from et_agent.evaluation.report import table
from et_agent.storage import write_atomically

__all__ = ["write_tables"]

_GENERAL: Final = "general map"
_LABELLED: Final = "the general map after the labels of the other set"
_SHARE: Final = "share"
_RULES: Final = {"the heaviest answer": False, "replies in words as one action": True}
"""How the action is chosen among the leaves; the first is what a result has."""


def _said(name: str, which: Which, *, actions: bool) -> tuple[kept.Row, list[Said], int] | None:
    """How a set was decoded, what is done about its tasks, and about how many nothing is."""
    found = kept.read(file_of(name, which))
    if found is None or not found[1]:
        return None
    head, rows = found
    said = [one for row in rows if (one := said_of(row, actions=actions)) is not None]
    return head, said, len(rows) - len(said)


def _rows(said: Sequence[Said]) -> Doubles:
    return np.array([one.row for one in said])


def _confidences(
    name: str, said: Sequence[Said], parameters: int, *, actions: bool
) -> dict[str, Doubles]:
    rows = _rows(said)
    general = Calibrator.general(parameters)
    found = {
        _SHARE: np.array([one.share for one in said]),
        _GENERAL: general.predict_proba(rows)[:, 1],
    }
    labelled = _said(name, "fit", actions=actions)
    if labelled is not None:
        _, taught, _ = labelled
        found[_LABELLED] = _taught(taught, rows, parameters)
    return found


def _taught(taught: Sequence[Said], rows: Doubles, parameters: int) -> Doubles:
    """P(correct) from the general map after labels of the other set."""
    prior = Prior.shipped()
    start: Pooled = prior.map_for(parameters)
    right = np.array([float(one.right) for one in taught])
    now = start.after(_rows(taught), right)
    return within_votes(rows, within_limits(prior.limits, now.predict(rows)))


def write_tables() -> None:
    models: dict[str, Any] = {}
    for path in sorted(RESULTS.glob("calls-judge-*.jsonl.xz")):
        name = path.name.removeprefix("calls-judge-").removesuffix(".jsonl.xz")
        models[name] = {}
        for rule, actions in _RULES.items():
            found = _said(name, "judge", actions=actions)
            if found is None:
                continue
            head, said, nothing = found
            confidences = _confidences(name, said, head["model"]["parameters"], actions=actions)
            models[name][rule] = {
                **figures(said, confidences),
                "tasks without an action": nothing,
                "decoder": head["decoder"],
                "machine": head["machine"],
            }
    document = {"gated at": GATED_AT, "groups": GROUPS, "models": models}
    write_atomically(RESULTS / "calls.json", json.dumps(document, indent=1) + "\n")
    lines = _lines(models) or ["Not measured yet."]
    put("docs/measured.md", "calls", lines)
    print("\n".join(lines))


def _lines(models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The tables of the docs."""
    ways, groups = [], []
    for model, rule, found in (
        (model, rule, found) for model, rules in models.items() for rule, found in rules.items()
    ):
        for part in ("calls", "replies in words", "all"):
            for way, one in found[part].items():
                if one["tasks"]:
                    ways.append(
                        [
                            model,
                            rule,
                            part,
                            str(one["tasks"]),
                            f"{one['right']:.3f}",
                            way,
                            *(told(one[name]) for name in ("auroc", "ece", "brier")),
                            f"{one['right ones let through']} right, "
                            f"{one['wrong ones let through']} of {one['wrong ones']} wrong",
                        ]
                    )
        for group, one in found["by group"].items():
            groups.append(
                [
                    model,
                    rule,
                    GROUPS[group],
                    str(one["tasks"]),
                    percent(one["called"]),
                    percent(one["right"]),
                ]
            )
    if not ways:
        return []
    header = ["model", "chosen", "actions", "tasks", "right", "scored by", "AUROC", "ECE", "Brier"]
    return [
        *table([*header, f"let through at {GATED_AT}"], ways),
        "",
        *table(["model", "chosen", "tasks", "number", "a tool is called", "right"], groups),
    ]
