"""The gate's policy of the command line."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from et_agent.gate import GatePolicy

__all__ = ["policy_of"]


def policy_of(file: str | None, changes: Mapping[str, Any]) -> "GatePolicy":
    """The policy of a file, or of the environment, with what the options say on top."""
    from et_agent.gate import GatePolicy
    from et_agent.storage import user_path

    if file is not None:
        return GatePolicy.from_toml(user_path(file)).changed(**changes)
    given = {"ET_AGENT_GATE_ANSWER_AT": "0.8", **os.environ}
    return GatePolicy.from_environment(given).changed(**changes)
