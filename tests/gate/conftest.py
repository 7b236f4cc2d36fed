"""Results of a scripted model with confidences of the test's choice."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from et_agent import AskResult, MultiChain, ScriptedModel, ask
from et_agent.results import CalibrationReport, CalibrationSource

QUESTION = "How many legs has a cat?"
TEXTS = {"So \\boxed{4}": 0.6, "So \\boxed{5}": 0.4}
SURE = {"So \\boxed{4}": 1.0}
CHAINS = MultiChain(leaves=12, temperature=1)

Judged = Callable[..., AskResult]


def resting_on(
    source: CalibrationSource, low: float, *notes: str, **changes: Any
) -> CalibrationReport:
    """What a confidence rests on; `changes` are other fields of it."""
    labels = 0 if source == "general" else 120
    made = CalibrationReport(source=source, labels=labels, interval=(low, 1.0), notes=notes)
    return made.model_copy(update=changes)


@pytest.fixture
def judged() -> Judged:
    """A result whose confidence is given; None for none. By itself it is of one's own calibrator."""

    def make(
        confidence: float | None,
        texts: Mapping[str, float] = TEXTS,
        **changes: object,
    ) -> AskResult:
        with ScriptedModel.from_texts(texts) as model:
            result = ask(model, QUESTION, decoder=CHAINS, kind="number", calibrator=None)
        update: dict[str, object] = {"confidence": confidence}
        if confidence is not None:
            update["calibration"] = resting_on("own", confidence / 2)
        return result.model_copy(update={**update, **changes})

    return make
