"""et-agent for LangChain and LangGraph: a chat model with a confidence, and gates that act on it.

    from langchain_et_agent import ChatEntropyTree, ConfidenceGateMiddleware

What needs LangChain's agents is loaded on first use. Install them with
`pip install 'langchain-et-agent[agents]'`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_et_agent._engines import close_engines
    from langchain_et_agent.chat_models import ChatEntropyTree
    from langchain_et_agent.decision_models import EntropyTreeDecisionModel, EntropyTreeResponse
    from langchain_et_agent.graphs import (
        GatedState,
        answer_node,
        clarify_node,
        gate_node,
        route_by_action,
    )
    from langchain_et_agent.metadata import result_of
    from langchain_et_agent.middleware import ConfidenceGateMiddleware
    from langchain_et_agent.state import GateState

__all__ = [
    "ChatEntropyTree",
    "ConfidenceGateMiddleware",
    "EntropyTreeDecisionModel",
    "EntropyTreeResponse",
    "GateState",
    "GatedState",
    "answer_node",
    "clarify_node",
    "close_engines",
    "gate_node",
    "result_of",
    "route_by_action",
]

_HOMES = {
    "ChatEntropyTree": "chat_models",
    "ConfidenceGateMiddleware": "middleware",
    "EntropyTreeDecisionModel": "decision_models",
    "EntropyTreeResponse": "decision_models",
    "GateState": "state",
    "GatedState": "graphs",
    "answer_node": "graphs",
    "clarify_node": "graphs",
    "close_engines": "_engines",
    "gate_node": "graphs",
    "result_of": "metadata",
    "route_by_action": "graphs",
}
_EXTRA = ("langchain", "langgraph")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'langchain_et_agent' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"langchain_et_agent.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise ImportError(
            f"{name} needs {error.name}: pip install 'langchain-et-agent[agents]'"
        ) from error
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
