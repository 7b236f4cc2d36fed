"""Pictures of runs. Needs matplotlib, which the extra `eval` brings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from et_agent.arrays import Bools, Doubles
from et_agent.errors import SettingsError
from et_agent.evaluation.bootstrap import Interval
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
_LINES: Final = ("-", "--", ":", "-.")
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
    sized = {f"{name} (n={len(runs[name])})": points for name, points in curves.items()}
    pictures: list[tuple[str, Any]] = [
        ("pass-at-k.png", lambda axes: _pass_at_k(axes, summaries)),
        ("pass-over-tokens.png", lambda axes: _over_tokens(axes, sized, "pass_any")),
        ("auroc-over-tokens.png", lambda axes: _over_tokens(axes, sized, "auroc")),
        ("roc.png", lambda axes: _roc(axes, runs, summaries)),
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


def _style(at: int) -> dict[str, Any]:
    """Colour, mark and line of a series; none is like another one among the first 24."""
    line = _LINES[at // len(_COLOURS) % len(_LINES)]
    return {"color": _COLOURS[at % 6], "marker": _MARKS[at % 6], "linestyle": line}


def _line(at: int) -> dict[str, Any]:
    """The same without a mark, for curves of many points."""
    return {**_style(at), "marker": ""}


def _legend(axes: "Axes", title: str | None = None) -> None:
    """The legend below the axes, where it covers no data; the picture grows with it."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    handles, labels = axes.get_legend_handles_labels()
    columns = 1 if max(map(len, labels), default=0) > 36 else 2
    rows = -(-len(labels) // columns) + (title is not None)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.22 * rows)
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=8,
        title=title,
        title_fontsize=8,
    )


def _band(axes: "Axes", at: int, xs: Sequence[float], lows: Any, highs: Any) -> None:
    axes.fill_between(xs, lows, highs, color=_COLOURS[at % 6], alpha=0.12, linewidth=0)


def _ends(intervals: Sequence[Interval]) -> tuple[list[float], list[float]]:
    """Lower and upper ends; an interval that is not known is its value alone."""
    values = [one.value or 0.0 for one in intervals]
    lows = [at if one.low is None else one.low for at, one in zip(values, intervals, strict=True)]
    highs = [
        at if one.high is None else one.high for at, one in zip(values, intervals, strict=True)
    ]
    return lows, highs


def _wilson(right: Doubles, count: Doubles) -> tuple[Doubles, Doubles]:
    """Wilson's 95 % interval of a share, for `right` of `count` each."""
    z = 1.959964
    share = right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    half /= 1 + z * z / count
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def _save(path: Path, draw: Any) -> Path | None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SettingsError(
            f"plots need matplotlib: {install_hint('eval')}; or leave the pictures out"
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
        axes.plot(ks, values, label=f"{name} (n={summary.questions})", **_style(at))
        _band(axes, at, ks, *_ends([summary.pass_at[k] for k in ks]))
    axes.set(
        xlabel="leaves k", ylabel="pass@k", xscale="log", title="A right answer among k leaves"
    )
    ticks = sorted({k for summary in summaries.values() for k in summary.pass_at})
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.minorticks_off()
    _legend(axes, title="bands: 95 % intervals")
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
        axes.plot(tokens, values, label=name, **_style(at))
        _band(axes, at, tokens, *_ends([one for _, one in found]))
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
        _legend(axes, title="numbers: leaves; bands: 95 % intervals")
    return drawn


def _roc(axes: "Axes", runs: Runs, summaries: Mapping[str, RunSummary]) -> bool:
    drawn = False
    for at, (name, records) in enumerate(runs.items()):
        right = np.array([record.correct for record in records])
        if right.all() or not right.any():
            continue
        scores = scores_of(records, ESTIMATORS["top-share"])
        thresholds = np.unique(scores)[::-1]
        true_positives = [0.0, *(float((scores[right] >= one).mean()) for one in thresholds)]
        false_positives = [0.0, *(float((scores[~right] >= one).mean()) for one in thresholds)]
        found = {one.name: one.metrics["AUROC"] for one in summaries[name].estimators}
        label = f"{name}: {_interval(found.get('top-share'))} (n={len(records)})"
        axes.plot(false_positives, true_positives, label=label, **_line(at))
        drawn = True
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":", label="chance")
    axes.set(
        xlabel="share of wrong answers above the threshold",
        ylabel="share of right answers above it",
        title="ROC of the top share",
        aspect="equal",
    )
    _legend(axes, title="AUROC with 95 % interval")
    return drawn


def _interval(one: Interval | None) -> str:
    if one is None or one.value is None:
        return "undefined"
    if one.low is None or one.high is None:
        return f"{one.value:.2f}"
    return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


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
        axes.plot(coverage, risk, label=f"{name} (n={len(right)})", **_line(at))
        count = np.maximum(1.0, np.round(np.asarray(coverage) * len(right)))
        _band(axes, at, list(coverage), *_wilson(np.asarray(risk) * count, count))
    axes.set(
        xlabel="share of questions answered, surest first",
        ylabel="error among them",
        title=f"Risk and coverage of the {what}",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    _legend(axes, title="bands: 95 % intervals")
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
        confidence, accuracy, count = (
            (np.array(part, dtype=np.float64) for part in zip(*parts, strict=True))
            if parts
            else (np.zeros(0),) * 3
        )
        low, high = _wilson(accuracy * count, count)
        axes.errorbar(
            confidence,
            accuracy,
            yerr=[np.maximum(0, accuracy - low), np.maximum(0, high - accuracy)],
            label=f"{name} (n={count.sum():.0f})",
            markersize=5,
            linewidth=1.2,
            elinewidth=0.8,
            capsize=2,
            **_style(at),
        )
    axes.set(
        xlabel=what,
        ylabel="accuracy",
        title="Reliability, bins of equal mass",
        xlim=(-0.02, 1.02),  # marks at the ends are shown whole
        ylim=(-0.02, 1.02),
        aspect="equal",
    )
    _legend(axes, title="bars: 95 % intervals")
    return any(bins.values())


def _entropies(axes: "Axes", records: Sequence[QuestionRecord], name: str) -> bool:
    entropy = -scores_of(records, ESTIMATORS["et-pe"])
    answered = np.isfinite(entropy)
    if not answered.any():
        return False
    right = np.array([record.correct for record in records])[answered]
    without = int((~answered).sum())
    entropy = entropy[answered]
    edges = np.linspace(0.0, max(1e-3, float(entropy.max())), 21).tolist()
    for at, (what, chosen) in enumerate((("right", right), ("wrong", ~right))):
        axes.hist(
            entropy[chosen],
            bins=edges,
            alpha=0.65,
            color=_COLOURS[at],
            hatch=("", "//")[at],
            edgecolor="white",
            label=f"{what} (n={int(chosen.sum())})",
        )
    axes.set(xlabel="predictive entropy ET-PE (nats)", ylabel="questions", title=f"Entropy: {name}")
    _legend(axes, title=f"without an answer, not shown: {without}" if without else None)
    return True


def _estimators(axes: "Axes", summaries: Mapping[str, RunSummary]) -> bool:
    measured = [one for summary in summaries.values() for one in summary.estimators]
    defined = (one.name for one in measured if one.metrics["AUROC"].value is not None)
    names = list(dict.fromkeys(defined))[::-1]
    if not names:
        return False
    for at, (name, summary) in enumerate(summaries.items()):
        found = {one.name: one.metrics["AUROC"] for one in summary.estimators}
        rows = [(row, found[one]) for row, one in enumerate(names) if one in found]
        rows = [(row, one) for row, one in rows if one.value is not None and one.low is not None]
        if not rows:
            continue
        offset = 0.16 * (at - (len(summaries) - 1) / 2)
        axes.errorbar(
            [one.value or 0.0 for _, one in rows],
            [row + offset for row, _ in rows],
            xerr=[
                [(one.value or 0.0) - (one.low or 0.0) for _, one in rows],
                [(one.high or 0.0) - (one.value or 0.0) for _, one in rows],
            ],
            **{**_style(at), "linestyle": ""},
            markersize=4,
            elinewidth=1,
            label=f"{name} (n={summary.questions})",
        )
    axes.axvline(0.5, color="0.6", linestyle=":")
    axes.set_yticks(range(len(names)), names, fontsize=8)
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.set_size_inches(7.2, 1.4 + 0.27 * len(names))
    axes.set(xlabel="AUROC with 95 % interval", title="Estimators")
    _legend(axes)
    return True
