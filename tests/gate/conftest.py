"""Results of a scripted model with confidences of the test's choice."""

from collections.abc import Callable, Mapping

import pytest

from et_agent import AskResult, MultiChain, ScriptedModel, ask

QUESTION = "How many legs has a cat?"
TEXTS = {"So \\boxed{4}": 0.6, "So \\boxed{5}": 0.4}
SURE = {"So \\boxed{4}": 1.0}
CHAINS = MultiChain(leaves=12, temperature=1)

Judged = Callable[..., AskResult]


@pytest.fixture
def judged() -> Judged:
    """A result whose calibrated confidence is given; None for one that no calibrator applies to."""

    def make(
        confidence: float | None,
        texts: Mapping[str, float] = TEXTS,
        **changes: object,
    ) -> AskResult:
        with ScriptedModel.from_texts(texts) as model:
            result = ask(model, QUESTION, decoder=CHAINS, kind="number", calibrator=None)
        update = {"confidence": confidence, "calibrated": confidence is not None, **changes}
        return result.model_copy(update=update)

    return make
