"""Fits the general map for passages, and the calibrators that are shipped, on the calibration split."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.retrieval.keeping import Kept, Run
from benchmarks.retrieval.trees import Rows
from benchmarks.runs import LARGER, PARAMETERS, SMALL
from et_agent.calibration import Calibrator, DataUsed, Fingerprint
from et_agent.calibration import finding as found_in
from et_agent.calibration.prior import Group, PassagePrior, Prior, fit_prior
from et_agent.decoding.stopping import FEWEST
from et_agent.evaluation.calibrating import Labelled, calibrate

MODELS: Final = (SMALL, LARGER)
CAPS: Final = (4,)
"""Fewer leaves to which trees are cut for the fit."""
LEAST: Final = 100
"""Questions that a calibrator is fitted on at least."""
COVERED: Final = (FEWEST, 8)
"""Leaves for which the shipped calibrators are to hold."""
SHIPPED: Final = Path(found_in.__file__).parent / "shipped"
PRIOR: Final = SHIPPED / "general" / PassagePrior.file_name


def questions_of(model: str, split: str) -> list[Kept]:
    """What was decoded."""
    return list(Run.of(model, split).kept.values())


def groups(models: tuple[str, ...] = MODELS) -> Iterator[Group]:
    """A group per model and article."""
    for model in models:
        by_article: dict[str, list[Kept]] = {}
        for one in questions_of(model, "calibrate"):
            by_article.setdefault(one.place.partition("/")[0], []).append(one)
        for article, some in sorted(by_article.items()):
            found = Rows.of(some, CAPS)
            if found.right.size < 2 * len(CAPS):
                continue
            yield Group(
                model=model,
                data=f"squad2, {article}",
                variant="",
                parameters=PARAMETERS[model],
                rows=found.rows,
                right=found.right.astype(np.float64),
                weights=found.weights,
            )


def prior(models: tuple[str, ...] = MODELS) -> Prior:
    """The general map of the questions of these models."""
    return fit_prior(list(groups(models)), PassagePrior)


def labelled(model: str) -> Labelled:
    """The calibration questions of a model."""
    run = Run.of(model, "calibrate")
    kept = list(run.kept.values())
    found = Rows.of(kept, CAPS)
    config = {"system_prompt": None, **run.config}
    fingerprint = Fingerprint.of_run(config, ["text"]).model_copy(update={"leaves": COVERED})
    whole = np.unique(found.groups, return_index=True)[1]
    return Labelled(
        data=DataUsed(
            name="squad2, calibration articles",
            questions=whole.size,
            right=int(found.right[whole].sum()),
            library=str(run.config["library"]),
        ),
        fingerprint=fingerprint,
        rows=found.rows,
        right=found.right.astype(np.int64),
        share=found.share,
        groups=found.groups,
        unanswered=len(kept) - whole.size,
        parameters=PARAMETERS[model],
    )


def shipped_path(model: str) -> Path:
    """Where a model's calibrator is."""
    return SHIPPED / f"{model}-passages.json"


def fit() -> None:
    """Fit and write all that is shipped."""
    made = prior()
    made.save(PRIOR)
    PassagePrior.shipped.cache_clear()
    print(f"general: {made.labels} questions, {np.round(made.weights.mean, 2)}")
    for model in MODELS:
        if len(questions_of(model, "calibrate")) < LEAST:
            print(f"{model}: fewer than {LEAST} questions yet")
            continue
        one = labelled(model)
        calibrator: Calibrator = calibrate([one], method="pooled")
        path = calibrator.save(shipped_path(model))
        path.with_suffix(".md").write_text(card(model, calibrator, one), encoding="utf-8")
        held = {name: round(value, 3) for name, value in calibrator.metrics_.items()}
        print(f"{model}: {one.data.questions} questions, {held}, saved as {path.name}")


def card(model: str, calibrator: Calibrator, one: Labelled) -> str:
    """The model card."""
    held = calibrator.metrics_
    figures = ", ".join(f"{name} {held[name]:.3f}" for name in ("ECE", "Brier", "AUROC"))
    return "\n".join(
        [
            f"# Confidence of {model} in answers out of passages, kind text",
            "",
            f"Fitted on {calibrator.created_} by `python -m benchmarks.retrieval fit`, on questions of "
            "SQuAD 2.0 (Rajpurkar et al. 2018, CC BY-SA 4.0), about half of which their passage does "
            "not answer.",
            "The map is the general one for passages, moved by these questions.",
            "",
            f"{one.data.questions} questions had an answer that does not decline, and {one.data.right} "
            f"of these were right. {one.unanswered} more gave no answer or declined. Held out: "
            f"{figures}.",
            "",
            f"It is valid for this model file, the default tree with {COVERED[0]} to {COVERED[1]} "
            "leaves, the default instruction for passages, and questions like those above. How it does "
            "on other articles: docs/confidence.md. For anything else, fit your own with "
            "`et-agent calibrate fit`.",
            "",
        ]
    )
