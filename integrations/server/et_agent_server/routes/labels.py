"""`/v1/labels`: whether replies were right, from which calibrators learn."""

from fastapi import APIRouter

from et_agent_server.labelling import label, remembered
from et_agent_server.state import Shared
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
    learnt = await label(shared, await remembered(shared, body.id), body.right)
    return LabelReply(id=body.id, learnt=learnt.is_new, labels=len(learnt.calibrator.learnt_))
