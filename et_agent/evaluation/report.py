"""Writes what was measured: Markdown for people, JSON for programs, PNG for both."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from et_agent.arguments import checks_arguments
from et_agent.errors import DataError
from et_agent.evaluation.bootstrap import Interval
from et_agent.evaluation.plots import draw_all
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.summaries import Comparison, CurvePoint, RunSummary, curve, summarise
from et_agent.storage import write_atomically

__all__ = ["comparison_lines", "report_lines", "shown", "table", "write_report"]

_CAPS = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20)


def shown(one: Interval, *, digits: int = 3) -> str:
    """An interval as tables have it: `0.912 [0.870, 0.948]`, or `undefined`."""
    if one.value is None:
        return "undefined"
    if one.low is None or one.high is None:
        return f"{one.value:.{digits}f}"
    return f"{one.value:.{digits}f} [{one.low:.{digits}f}, {one.high:.{digits}f}]"


@checks_arguments
def write_report(
    runs: Mapping[str, Sequence[QuestionRecord]],
    folder: Path,
    *,
    configs: Mapping[str, Mapping[str, Any]] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    plots: bool = True,
) -> list[Path]:
    """Write report.md, report.json and the pictures of some runs.

    Args:
        runs: Records by the name that tables and legends show.
        folder: Where the files go; made if it is not there.
        configs: Configuration of the runs, for the JSON file.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
        plots: Whether to draw; needs matplotlib.

    Raises:
        DataError: A run has no finished questions.
        SettingsError: matplotlib is not installed.
    """
    if not runs:
        raise DataError("there are no runs to report on: name some")
    summaries = {
        name: summarise(records, resamples=resamples, seed=seed) for name, records in runs.items()
    }
    curves = {name: curve(records, _caps_of(records)) for name, records in runs.items()}
    content = {
        "runs": {name: dict(config) for name, config in (configs or {}).items()},
        "summaries": {name: asdict(summary) for name, summary in summaries.items()},
        "curves": {name: [asdict(point) for point in points] for name, points in curves.items()},
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder} cannot be written to: {error.strerror}") from error
    text = json.dumps(content, indent=1) + "\n"
    write_atomically(folder / "report.json", text, error=DataError)

    def write_tables(pictures: list[Path]) -> None:
        text = "\n".join(_markdown(summaries, curves, pictures)) + "\n"
        write_atomically(folder / "report.md", text, error=DataError)

    write_tables([])  # the tables must not be lost to what pictures may lack
    try:
        pictures = draw_all(runs, summaries, curves, folder) if plots else []
    except OSError as error:
        raise DataError(f"{folder} cannot be written to: {error.strerror or error}") from error
    if pictures:
        write_tables(pictures)
    return [folder / "report.md", folder / "report.json", *pictures]


def report_lines(
    runs: Mapping[str, Sequence[QuestionRecord]], *, resamples: int = 2000, seed: int = 0
) -> list[str]:
    """The tables of `write_report` in Markdown, without files.

    Raises:
        DataError: A run has no finished questions.
    """
    summaries = {
        name: summarise(records, resamples=resamples, seed=seed) for name, records in runs.items()
    }
    curves = {name: curve(records, _caps_of(records)) for name, records in runs.items()}
    return _markdown(summaries, curves, [])


def _caps_of(records: Sequence[QuestionRecord]) -> list[int]:
    largest = max((int(record.leaves.count.sum()) for record in records), default=1)
    return [cap for cap in _CAPS if cap < largest] + [largest]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _markdown(
    summaries: Mapping[str, RunSummary],
    curves: Mapping[str, Sequence[CurvePoint]],
    pictures: Sequence[Path],
) -> list[str]:
    lines = ["# Evaluation", "", "95 % bootstrap intervals over questions in brackets.", ""]
    rows = [
        [
            name,
            str(one.questions),
            shown(one.accuracy),
            _auroc(one, "top-share"),
            _auroc(one, "et-pe"),
            shown(one.tokens, digits=0),
            shown(one.seconds, digits=1),
            f"{one.leaves:.1f}",
            f"{one.ess:.1f}",
        ]
        for name, one in summaries.items()
    ]
    header = ["run", "questions", "accuracy", "AUROC top share", "AUROC ET-PE"]
    lines += table([*header, "tokens", "seconds", "leaves", "ESS"], rows)
    ks = sorted({k for one in summaries.values() for k in one.pass_at})
    lines += [
        "",
        "## pass@k",
        "",
        "Unbiased for exchangeable leaves; trees of fewer than k leaves count with all they have. In "
        "parentheses: the tree with at most k leaves.",
        "",
    ]
    lines += table(
        ["run", *(f"k = {k}" for k in ks)],
        [[name, *(_pass_cell(one, k) for k in ks)] for name, one in summaries.items()],
    )
    for name, one in summaries.items():
        lines += ["", f"## Estimators: {name}", ""]
        lines += table(
            ["estimator", "questions", "AUROC", "AUPRC", "PRR", "AURC", "ECE", "Brier"],
            [
                [
                    found.name,
                    str(found.measured),
                    *(
                        shown(found.metrics[metric]) if metric in found.metrics else "-"
                        for metric in ("AUROC", "AUPRC", "PRR", "AURC", "ECE", "Brier")
                    ),
                ]
                for found in one.estimators
            ],
        )
        lines += ["", "With fewer leaves:", ""]
        lines += table(
            ["leaves", "tokens", "accuracy", "any leaf right", "AUROC top share"],
            [
                [
                    str(point.leaves),
                    f"{point.tokens:.0f}",
                    shown(point.accuracy),
                    shown(point.pass_any),
                    shown(point.auroc),
                ]
                for point in curves[name]
            ],
        )
    if pictures:
        lines += ["", "## Pictures", ""]
        lines += [f"![{path.stem}]({path.name})" for path in pictures]
    return lines


def _auroc(summary: RunSummary, name: str) -> str:
    found = [one for one in summary.estimators if one.name == name]
    return shown(found[0].metrics["AUROC"]) if found else "-"


def _pass_cell(summary: RunSummary, k: int) -> str:
    if k not in summary.pass_at:
        return "-"
    return f"{shown(summary.pass_at[k])} ({summary.capped_pass_at[k].value:.3f})"


def comparison_lines(first: str, second: str, found: Comparison) -> list[str]:
    """A comparison as Markdown tables: first minus second, then at equal cost where that can be."""
    lines = [
        f"{first} minus {second}, {found.questions} common questions.",
        "",
        *_difference_table(found.differences),
    ]
    for one in found.at_equal_cost:
        lines += [
            "",
            f"At equal {one.cost}: {first} minus {one.chains.value:.1f} chains of {second}.",
            "",
            *_difference_table(one.intervals),
        ]
    return lines


def _difference_table(differences: Mapping[str, Interval]) -> list[str]:
    rows = [
        [
            name,
            shown(one, digits=1 if name in ("tokens", "seconds") else 3),
            "undefined" if one.value is None else "yes" if one.excludes_zero else "no",
        ]
        for name, one in differences.items()
    ]
    return table(["metric", "difference [95 %]", "real"], rows)
