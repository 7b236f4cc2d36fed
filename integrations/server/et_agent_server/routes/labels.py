"""`/v1/labels`: whether replies were right, from which calibrators learn."""

import asyncio

from fastapi import APIRouter

from et_agent.calibration import learn
from et_agent.errors import CalibrationError, StoreError
from et_agent_server.errors import ApiError, invalid
from et_agent_server.state import Labelled, Shared
from et_agent_server.wire import Wire, example

__all__ = ["LabelReply", "LabelRequest", "router"]

router = APIRouter(tags=["et-agent"])


class LabelRequest(Wire):
    """Whether a reply was right."""

    model_config = example(id="chatcmpl-0123456789abcdef01234567", right=True)

    id: str
    """The reply's id."""
    right: bool
    """Whether its answer was right."""


class LabelReply(Wire):
    """What became of a label."""

    id: str
    learnt: bool
    """Whether it counted; false for one that was given before."""
    labels: int
    """Labels that the calibrator has learnt from."""


@router.post("/v1/labels", summary="Tell whether a reply was right")
async def labels(body: LabelRequest, shared: Shared) -> LabelReply:
    """Let a calibrator learn from a correction: later replies have its confidence."""
    found = shared.remembered.find(body.id)
    if found is None:
        raise ApiError(
            404,
            "no such reply is remembered: its id is unknown, old, from before a restart, or it gave "
            "no answer",
            param="id",
            code="not_found",
        )
    return await asyncio.to_thread(_learnt, body, found, shared)


def _learnt(body: LabelRequest, found: Labelled, shared: Shared) -> LabelReply:
    try:
        learnt = learn(found.example, body.right)
        if found.trace_id is not None and shared.models.log is not None:
            shared.models.log.label(found.trace_id, body.right)
    except CalibrationError as error:
        raise invalid("right", str(error)) from error
    except StoreError as error:
        raise ApiError(500, str(error), kind="server_error") from error
    return LabelReply(id=body.id, learnt=learnt.is_new, labels=len(learnt.calibrator.learnt_))
