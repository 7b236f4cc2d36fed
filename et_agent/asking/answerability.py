"""Asks the model, beside the tree of a question, whether the question can be answered at all."""

import math

from et_agent.asking.prompting import PreparedPrompt
from et_agent.decoding.base import RunInputs
from et_agent.decoding.request import Request
from et_agent.decoding.scheduler import scheduler_of
from et_agent.engines.base import LanguageModel
from et_agent.engines.sampled import AnyModel
from et_agent.errors import EtAgentError, ModelClosedError
from et_agent.uncertainty.self_evaluation import (
    ANSWERABLE,
    ANSWERED,
    first_word_shares,
    word_probe,
)

__all__ = ["answerability_request", "p_answerable_of"]


def answerability_request(model: AnyModel, prompt: PreparedPrompt) -> Request | None:
    """The reading of whether a question can be answered, to be queued after its tree.

    Its prompt begins as the tree's, which the cache has decoded first, so that some 30 tokens are read.

    Args:
        model: The model.
        prompt: The question.

    Returns:
        None where there is no use in asking: the reply has a form, or may have one; the last message
        is not the user's; the prompt is plain; no room is left for the question; the model gives no
        logits.
    """
    messages = prompt.conversation.messages
    if not isinstance(model, LanguageModel):
        return None
    if prompt.chat == "plain" or prompt.form is not None or messages[-1]["role"] != "user":
        return None
    try:
        tokens = prompt.going_on_with(model, ANSWERED if prompt.passages else ANSWERABLE)
        inputs = RunInputs(prompt_length=len(tokens), stop_tokens=model.info.stop_tokens)
        return scheduler_of(model).prepare(tokens, word_probe(model), inputs)
    except ModelClosedError:
        raise
    except EtAgentError:
        return None  # the tree can do without, and nothing must be lost to it


def p_answerable_of(request: Request | None, timeout: float | None = None) -> float | None:
    """What the model said: P(yes) against no; None where it was not asked, or said neither.

    Raises:
        TimeoutError: It took longer than `timeout` seconds.
    """
    # One that has ended may be told to stop after that, and what it read stays.
    if request is None or (request.cancelled and not request.done):
        return None
    try:
        found = float(first_word_shares(request.result(timeout))[0])
    except EtAgentError:
        return None
    return None if math.isnan(found) else found
