"""What becomes of a label, whichever interface it came by."""

import asyncio

from et_agent.answers import AnswerKind
from et_agent.calibration import Example, Learnt, learn
from et_agent.calibration.finding import known_instructions
from et_agent.errors import CalibrationError, DataError, StoreError
from et_agent.evaluation.grading import is_right
from et_agent.evaluation.items import Item
from et_agent_server.errors import ApiError, invalid
from et_agent_server.remembering import Labelled
from et_agent_server.state import ServerState

__all__ = ["judged_by", "label", "remembered"]


async def remembered(shared: ServerState, number: str) -> Labelled:
    """What is kept of the reply with an id.

    Raises:
        ApiError: There is no such reply (404).
    """
    found = await asyncio.to_thread(shared.remembered.find, number)
    if found is None:
        raise ApiError(
            404,
            "no such reply is remembered: its id is unknown or old, or it gave no answer",
            param="id",
            code="not_found",
        )
    return found


async def label(shared: ServerState, found: Labelled, right: bool) -> Learnt:
    """Let a calibrator, and the log of decisions, learn whether a reply was right.

    Raises:
        ApiError: The reply was labelled otherwise before, or the label cannot be kept.
    """
    return await asyncio.to_thread(_learnt, shared, found, right)


def _learnt(shared: ServerState, found: Labelled, right: bool) -> Learnt:
    try:
        learnt = learn(_with_texts(found), right)
        if found.trace_id is not None and shared.models.log is not None:
            shared.models.log.label(found.trace_id, right)
    except CalibrationError as error:
        raise invalid("right", str(error)) from error
    except StoreError as error:
        raise ApiError(500, str(error), kind="server_error") from error
    return learnt


def _with_texts(found: Labelled) -> Example:
    """What a calibrator learns from; of a reply from before a restart, the system prompt is found."""
    if not found.example.hides_texts:
        return found.example
    try:
        return found.example.with_texts(known_instructions())
    except CalibrationError:
        raise ApiError(
            400,
            "id: the server was started anew since this reply, and does not write down system prompts "
            "such as this one: label replies earlier, or start it with --log-texts",
            param="id",
            code="invalid_value",
        ) from None


def judged_by(found: Labelled, correct: str) -> bool:
    """Whether a reply is right, given the correct answer, as evaluations compare them.

    Raises:
        ApiError: Such answers cannot be compared, or the reply's was not kept.
    """
    if found.answer is None or found.question is None:
        raise invalid(
            "correct_answer",
            "the server was started anew since this reply, and does not write down answers (start it "
            "with --log-texts): send `right`",
        )
    kind = found.example.kind
    if kind == AnswerKind.LONG or kind not in tuple(AnswerKind):
        raise invalid("correct_answer", f"a {kind} answer has no single correct one: send `right`")
    item = Item(id="label", question=found.question, kind=AnswerKind(kind), golds=(correct,))
    try:
        return is_right(found.answer, item)
    except DataError:
        raise invalid(
            "correct_answer", f"it cannot be read as {kind}, which the reply was: send `right`"
        ) from None
