"""What the routes of one server share."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from et_agent.calibration import Example
from et_agent.errors import CalibrationError
from et_agent_server.admission import Admission
from et_agent_server.answering import Answered
from et_agent_server.models import ServedModels
from et_agent_server.settings import ServerSettings
from et_agent_server.telemetry import Metrics, Seen, seen_of

__all__ = ["Labelled", "Remembered", "ServerState", "Shared"]


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a label needs of a reply: numbers and settings, no question and no answer.

    Attributes:
        example: What a calibrator learns from.
        trace_id: The gate's decision in the log; None without a gate.
    """

    example: Example
    trace_id: str | None


class Remembered:
    """The last replies, by id, as far as labels need them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, Labelled] = OrderedDict()

    def keep(self, found: Answered) -> None:
        """Remember a reply; one without an answer teaches nothing."""
        try:
            example = Example.of(found.result)
        except CalibrationError:
            return
        trace = None if found.decision is None else found.decision.trace_id
        self._kept[found.call.id] = Labelled(example, trace)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def find(self, number: str) -> Labelled | None:
        """What is kept of a reply; None if it is not known, or no longer."""
        return self._kept.get(number)


class ServerState:
    """Models, settings, places and figures of one server."""

    def __init__(self, models: ServedModels, settings: ServerSettings) -> None:
        self.models, self.settings = models, settings
        self.admission = Admission(settings)
        self.remembered = Remembered(settings.most_labels)
        self.metrics = Metrics()
        self.metrics.watch(self.admission)

    def answered(self, seen: Seen, found: Answered) -> None:
        """Remember and count a reply."""
        self.remembered.keep(found)
        seen.answered(found)


def _state(request: Request) -> ServerState:
    state: ServerState = request.app.state.et_agent
    return state


Shared = Annotated[ServerState, Depends(_state)]
SeenHere = Annotated[Seen, Depends(seen_of)]
