"""The gate's policy of the command line."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from et_agent.gate import GatePolicy

__all__ = ["policy_of"]


def policy_of(file: str | None, changes: Mapping[str, Any]) -> "GatePolicy":
    """The policy of a file, or of the environment, with what the options say on top."""
    from et_agent.gate import GatePolicy

    if file is not None:
        return GatePolicy.from_toml(Path(file).expanduser()).changed(**changes)
    given = {"ET_AGENT_GATE_ANSWER_AT": "0.8", **os.environ}
    return GatePolicy.from_environment(given).changed(**changes)
