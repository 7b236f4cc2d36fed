"""A local language model that can tell when it does not know.

from et_agent import ask, load_model

with load_model() as model:
    result = ask(model, "How many legs have 3 cats and 2 birds?")
print(result.answer, result.distribution)
"""

import importlib
import logging
from typing import TYPE_CHECKING, Any

from et_agent.interpreter import check_interpreter

if TYPE_CHECKING:
    from et_agent.answers import AnswerKind
    from et_agent.asking import StreamEnd, TextDelta, ask, stream, submit, submit_all
    from et_agent.asking.options import AskOptions
    from et_agent.asking.pending import PendingAnswer, Progress
    from et_agent.asking.scoring import score
    from et_agent.decoding import Direct, EntropyTree, Greedy, MultiChain
    from et_agent.engines.loading import load_model
    from et_agent.engines.openai_compatible import OpenAICompatibleModel
    from et_agent.engines.scripted import ScriptedModel
    from et_agent.results import AnswerShare, AskResult
    from et_agent.runnables import EntropyTreeRunnable, GateRunnable
    from et_agent.scores import ScoreReport

__all__ = [
    "AnswerKind",
    "AnswerShare",
    "AskOptions",
    "AskResult",
    "Direct",
    "EntropyTree",
    "EntropyTreeRunnable",
    "GateRunnable",
    "Greedy",
    "MultiChain",
    "OpenAICompatibleModel",
    "PendingAnswer",
    "Progress",
    "ScoreReport",
    "ScriptedModel",
    "StreamEnd",
    "TextDelta",
    "ask",
    "load_model",
    "score",
    "stream",
    "submit",
    "submit_all",
]

_HOMES = {
    "AnswerKind": "et_agent.answers",
    "AnswerShare": "et_agent.results",
    "AskOptions": "et_agent.asking.options",
    "AskResult": "et_agent.results",
    "Direct": "et_agent.decoding",
    "EntropyTree": "et_agent.decoding",
    "EntropyTreeRunnable": "et_agent.runnables",
    "GateRunnable": "et_agent.runnables",
    "Greedy": "et_agent.decoding",
    "MultiChain": "et_agent.decoding",
    "OpenAICompatibleModel": "et_agent.engines.openai_compatible",
    "PendingAnswer": "et_agent.asking.pending",
    "Progress": "et_agent.asking.pending",
    "ScoreReport": "et_agent.scores",
    "ScriptedModel": "et_agent.engines.scripted",
    "StreamEnd": "et_agent.asking",
    "TextDelta": "et_agent.asking",
    "ask": "et_agent.asking",
    "load_model": "et_agent.engines.loading",
    "score": "et_agent.asking.scoring",
    "stream": "et_agent.asking",
    "submit": "et_agent.asking",
    "submit_all": "et_agent.asking",
}

check_interpreter()

# A library must not print: what llama.cpp says goes to handlers that the application chooses.
logging.getLogger("et_agent").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that `import et_agent` is fast and loads no shared library.
    if name not in _HOMES:
        raise AttributeError(f"module 'et_agent' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
