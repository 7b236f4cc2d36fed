"""The pilot: percentiles of token entropy and attention over questions apart from those to answer.

Independent chains are sampled for each question; every generated token counts once. Percentiles of
what they show become tau and delta, fixed before any question is seen (method notes).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np

from et_agent.decoding.base import RunInputs
from et_agent.decoding.multi_chain import MultiChain
from et_agent.decoding.request import Request
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.thresholds import Thresholds
from et_agent.engines.base import LanguageModel
from et_agent.errors import QuestionError

__all__ = ["PilotProgress", "measure_thresholds"]

PilotProgress = Callable[[int, int, int], None]
"""(questions done, questions in all, tokens generated so far)."""


def measure_thresholds(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    chains: int = 4,
    temperature: float = 0.7,
    max_tokens: int = 320,
    seed: int = 0,
    source: str = "",
    on_progress: PilotProgress | None = None,
) -> Thresholds:
    """Measure a model's thresholds.

    Args:
        model: A loaded model.
        prompts: Prompt tokens of the pilot's questions; 20 to 50 questions are enough.
        chains: Chains per question.
        temperature: Sampling temperature of the chains.
        max_tokens: Longest chain.
        seed: Seed of the first question; the others follow.
        source: Where the questions are from, kept in the file.
        on_progress: Told after each question.

    Returns:
        Percentiles 0 to 100 of entropy (nats) and of both kinds of attention.

    Raises:
        QuestionError: There are no questions.
        EtAgentError: Decoding failed.
    """
    if not prompts:
        raise QuestionError("the pilot has no questions: give a file with some")
    decoder = MultiChain(leaves=chains, temperature=temperature, max_tokens=max_tokens)
    scheduler = scheduler_of(model)
    requests: list[Request] = []
    try:
        for index, prompt in enumerate(prompts):
            inputs = RunInputs(
                prompt_length=len(prompt),
                stop_tokens=model.info.stop_tokens,
                seed=seed + index,
                attention=True,
            )
            requests.append(scheduler.submit(prompt, decoder, inputs))
        tokens = 0
        for done, request in enumerate(requests, 1):
            tokens += request.result().tree.tokens_decoded
            if on_progress is not None:
                on_progress(done, len(requests), tokens)
    except BaseException:
        for request in requests:
            request.cancel()
        raise
    return _thresholds(model, requests, temperature, source)


def _thresholds(
    model: LanguageModel, requests: Sequence[Request], temperature: float, source: str
) -> Thresholds:
    entropy: list[float] = []
    prompt_attention: list[float] = []
    received: list[float] = []
    for request in requests:
        tree = request.run.tree
        attention = tree.read_attention()
        for branch in tree.branches:
            entropy += branch.entropies
            prompt_attention += attention.of(branch.id).prompt
            received += attention.importance(branch.id).tolist()
    return Thresholds(
        model_sha256=model.info.fingerprint,
        model_name=model.info.name,
        created=datetime.now(UTC).date().isoformat(),
        questions=len(requests),
        tokens=len(entropy),
        temperature=temperature,
        source=source,
        entropy=_percentiles(entropy) or (),
        received=_percentiles(received),
        prompt_attention=_percentiles(prompt_attention),
    )


def _percentiles(values: Sequence[float]) -> tuple[float, ...] | None:
    seen = np.asarray(values, dtype=np.float64)
    seen = seen[np.isfinite(seen)]
    if not seen.size:
        return None
    return tuple(np.percentile(seen, np.arange(101)).round(8).tolist())
