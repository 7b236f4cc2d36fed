"""Pictures of runs. Needs matplotlib, which the extra `eval` brings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from et_agent.arrays import Bools, Doubles
from et_agent.errors import SettingsError
from et_agent.evaluation.metrics import Bins, reliability, risk_coverage
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.scores import scores_of
from et_agent.evaluation.summaries import CurvePoint, RunSummary
from et_agent.extras import install_hint
from et_agent.uncertainty.estimators import ESTIMATORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_all", "draw_reliability", "draw_risk_coverage"]

# Okabe & Ito's palette, which colour-blind readers can tell apart, and marks for print.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKS: Final = ("o", "s", "^", "D", "v", "P")
Runs = Mapping[str, Sequence[QuestionRecord]]


def draw_all(
    runs: Runs,
    summaries: Mapping[str, RunSummary],
    curves: Mapping[str, Sequence[CurvePoint]],
    folder: Path,
) -> list[Path]:
    """Draw every picture as PNG; what has nothing to show is left out.

    Args:
        runs: Records by the name that legends show.
        summaries: Of the same runs.
        curves: Of the same runs.
        folder: Where the files go; made if it is not there.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures: list[tuple[str, Any]] = [
        ("pass-at-k.png", lambda axes: _pass_at_k(axes, summaries)),
        ("pass-over-tokens.png", lambda axes: _over_tokens(axes, curves, "pass_any")),
        ("auroc-over-tokens.png", lambda axes: _over_tokens(axes, curves, "auroc")),
        ("roc.png", lambda axes: _roc(axes, runs)),
        ("risk-coverage.png", lambda axes: _risks(axes, runs)),
        ("reliability.png", lambda axes: _shares(axes, runs)),
        ("estimators.png", lambda axes: _estimators(axes, summaries)),
    ]
    written = [_save(folder / name, draw) for name, draw in pictures]
    for name, records in runs.items():
        safe = "".join(c if c.isalnum() or c in "-._" else "-" for c in name)
        path = folder / f"entropy-{safe}.png"
        written.append(_save(path, lambda axes, r=records, n=name: _entropies(axes, r, n)))
    return [path for path in written if path is not None]


def _save(path: Path, draw: Any) -> Path | None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SettingsError(
            f"plots need matplotlib: {install_hint('eval')}; or leave them out (--no-plots)"
        ) from error
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if not draw(axes):
        return None
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    return path


def _save_one(path: Path, draw: Any) -> Path:
    drawn = _save(path, draw)
    if drawn is None:
        raise SettingsError("there is nothing to draw")
    return drawn


def _pass_at_k(axes: "Axes", summaries: Mapping[str, RunSummary]) -> bool:
    for at, (name, summary) in enumerate(summaries.items()):
        ks = [k for k, one in summary.pass_at.items() if one.value is not None]
        values = [summary.pass_at[k].value or 0.0 for k in ks]
        axes.plot(ks, values, label=name, color=_COLOURS[at % 6], marker=_MARKS[at % 6])
        lows = [summary.pass_at[k].low or 0.0 for k in ks]
        highs = [summary.pass_at[k].high or 0.0 for k in ks]
        axes.fill_between(ks, lows, highs, color=_COLOURS[at % 6], alpha=0.12)
    axes.set(
        xlabel="leaves k", ylabel="pass@k", xscale="log", title="A right answer among k leaves"
    )
    ticks = sorted({k for summary in summaries.values() for k in summary.pass_at})
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.minorticks_off()
    axes.legend(frameon=False)
    return bool(ticks)


def _over_tokens(axes: "Axes", curves: Mapping[str, Sequence[CurvePoint]], what: str) -> bool:
    drawn = False
    for at, (name, points) in enumerate(curves.items()):
        found = [(p, getattr(p, what)) for p in points]
        found = [(p, one) for p, one in found if one.value is not None]
        if not found:
            continue
        tokens = [p.tokens for p, _ in found]
        values = [one.value for _, one in found]
        axes.plot(tokens, values, label=name, color=_COLOURS[at % 6], marker=_MARKS[at % 6])
        lows = [one.value if one.low is None else one.low for _, one in found]
        highs = [one.value if one.high is None else one.high for _, one in found]
        axes.fill_between(tokens, lows, highs, color=_COLOURS[at % 6], alpha=0.12)
        for p, one in {id(p): (p, one) for p, one in (found[0], found[-1])}.values():
            where = (p.tokens, one.value)
            axes.annotate(
                f"{p.leaves}", where, textcoords="offset points", xytext=(5, 5), fontsize=8
            )
        drawn = True
    titles = {
        "pass_any": ("any leaf right", "A right answer among the leaves, by cost"),
        "auroc": ("AUROC of the top share", "Telling right from wrong, by cost"),
    }
    label, title = titles[what]
    axes.set(xlabel="generated tokens per question (mean)", ylabel=label, title=title)
    if drawn:
        axes.legend(frameon=False, title="numbers: leaves", title_fontsize=8)
    return drawn


def _roc(axes: "Axes", runs: Runs) -> bool:
    drawn = False
    for at, (name, records) in enumerate(runs.items()):
        right = np.array([record.correct for record in records])
        if right.all() or not right.any():
            continue
        scores = scores_of(records, ESTIMATORS["top-share"])
        thresholds = np.unique(scores)[::-1]
        true_positives = [0.0, *(float((scores[right] >= one).mean()) for one in thresholds)]
        false_positives = [0.0, *(float((scores[~right] >= one).mean()) for one in thresholds)]
        axes.plot(false_positives, true_positives, label=name, color=_COLOURS[at % 6])
        drawn = True
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":", label="chance")
    axes.set(
        xlabel="share of wrong answers above the threshold",
        ylabel="share of right answers above it",
        title="ROC of the top share",
        aspect="equal",
    )
    axes.legend(frameon=False, loc="lower right")
    return drawn


def draw_risk_coverage(runs: Mapping[str, tuple[Bools, Doubles]], path: Path) -> Path:
    """Draw error over the share of questions answered as PNG.

    Args:
        runs: Which answers are right, and their confidence, by the name that the legend shows.
        path: The file.

    Raises:
        SettingsError: matplotlib is not installed, or there are no runs.
    """
    return _save_one(path, lambda axes: _risk_coverage(axes, runs, "confidence"))


def _risks(axes: "Axes", runs: Runs) -> bool:
    pairs = {
        name: (
            np.array([record.correct for record in records], dtype=np.bool_),
            scores_of(records, ESTIMATORS["top-share"]),
        )
        for name, records in runs.items()
    }
    return _risk_coverage(axes, pairs, "top share")


def _risk_coverage(axes: "Axes", runs: Mapping[str, tuple[Bools, Doubles]], what: str) -> bool:
    for at, (name, (right, confidence)) in enumerate(runs.items()):
        coverage, risk = risk_coverage(right, confidence)
        axes.plot(coverage, risk, label=name, color=_COLOURS[at % 6])
    axes.set(
        xlabel="share of questions answered, surest first",
        ylabel="error among them",
        title=f"Risk and coverage of the {what}",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.legend(frameon=False)
    return bool(runs)


def _shares(axes: "Axes", runs: Runs) -> bool:
    bins = {
        name: reliability(
            np.array([record.correct for record in records]),
            scores_of(records, ESTIMATORS["top-share"]),
        )
        for name, records in runs.items()
    }
    return _reliability(axes, bins, "top share (uncalibrated)")


def draw_reliability(bins: Mapping[str, Bins], path: Path) -> Path:
    """Draw accuracy over calibrated confidence as PNG.

    Args:
        bins: Bins by the name that the legend shows.
        path: The file.

    Raises:
        SettingsError: matplotlib is not installed, or there are no bins.
    """
    return _save_one(path, lambda axes: _reliability(axes, bins, "confidence"))


def _reliability(axes: "Axes", bins: Mapping[str, Bins], what: str) -> bool:
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":", label="calibrated")
    for at, (name, parts) in enumerate(bins.items()):
        confidence, accuracy = [part[0] for part in parts], [part[1] for part in parts]
        mark = _MARKS[at % 6]
        axes.plot(
            confidence, accuracy, label=name, color=_COLOURS[at % 6], marker=mark, clip_on=False
        )
    axes.set(
        xlabel=what,
        ylabel="accuracy",
        title="Reliability, bins of equal mass",
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
    )
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    return any(bins.values())


def _entropies(axes: "Axes", records: Sequence[QuestionRecord], name: str) -> bool:
    right = np.array([record.correct for record in records])
    entropy = -scores_of(records, ESTIMATORS["et-pe"])
    edges = np.linspace(0.0, max(1e-3, float(entropy.max())), 21).tolist()
    axes.hist(entropy[right], bins=edges, alpha=0.65, color=_COLOURS[0], label="right")
    axes.hist(entropy[~right], bins=edges, alpha=0.65, color=_COLOURS[1], label="wrong")
    axes.set(xlabel="predictive entropy ET-PE (nats)", ylabel="questions", title=f"Entropy: {name}")
    axes.legend(frameon=False)
    return True


def _estimators(axes: "Axes", summaries: Mapping[str, RunSummary]) -> bool:
    first = next(iter(summaries.values()))
    names = [one.name for one in first.estimators if one.metrics["AUROC"].value is not None][::-1]
    if not names:
        return False
    for at, (name, summary) in enumerate(summaries.items()):
        found = {one.name: one.metrics["AUROC"] for one in summary.estimators}
        rows = [(row, found[one]) for row, one in enumerate(names) if one in found]
        rows = [(row, one) for row, one in rows if one.value is not None and one.low is not None]
        offset = 0.16 * (at - (len(summaries) - 1) / 2)
        axes.errorbar(
            [one.value or 0.0 for _, one in rows],
            [row + offset for row, _ in rows],
            xerr=[
                [(one.value or 0.0) - (one.low or 0.0) for _, one in rows],
                [(one.high or 0.0) - (one.value or 0.0) for _, one in rows],
            ],
            fmt=_MARKS[at % 6],
            color=_COLOURS[at % 6],
            markersize=4,
            elinewidth=1,
            label=name,
        )
    axes.axvline(0.5, color="0.6", linestyle=":")
    axes.set_yticks(range(len(names)), names, fontsize=8)
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.set_size_inches(7.2, 1.4 + 0.27 * len(names))
    axes.set(xlabel="AUROC with 95 % interval", title="Estimators")
    axes.legend(frameon=False, loc="lower left", fontsize=8)
    return True
