"""The tools: what they do, by the code of `/v1/ask`, `/v1/score` and `/v1/labels`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from et_agent.answers import with_choices
from et_agent.asking.pending import ProgressCallback
from et_agent.errors import QuestionError
from et_agent.results import CalibrationReport, ClaimReport
from et_agent.uncertainty.answer_distribution import AnswerShare
from et_agent_server.answering import Answered
from et_agent_server.errors import invalid
from et_agent_server.labelling import judged_by, label, remembered
from et_agent_server.mcp.deciding import decision_of, decision_request
from et_agent_server.mcp.wire import (
    AskArguments,
    AskOutput,
    Claim,
    Interval,
    LabelArguments,
    LabelOutput,
    ScoreArguments,
    ScoreOutput,
    Share,
    UsageOutput,
)
from et_agent_server.routes.ask import AskRequest, ask_call, settled
from et_agent_server.routes.score import ScoreRequest, scored
from et_agent_server.state import ServerState
from et_agent_server.telemetry import Seen
from et_agent_server.wire import Wire

__all__ = ["TOOLS", "Tool"]

_MOST_SHARES: Final = 5


@dataclass(frozen=True)
class Tool:
    """A tool.

    Attributes:
        name, title: What it is called.
        says: What it does, for the model of the agent that calls it.
        arguments, output: What it takes and gives.
        work: What it does; it raises `ApiError`.
        reads_only: Whether a call changes nothing.
    """

    name: str
    title: str
    says: str
    arguments: type[Wire]
    output: type[Wire]
    work: Callable[[Any, ServerState, Seen, ProgressCallback], Awaitable[Wire]]
    reads_only: bool = True


async def _ask(
    given: AskArguments, shared: ServerState, seen: Seen, on_progress: ProgressCallback
) -> AskOutput:
    question, options = _with_choices(given.question, given.choices)
    body = AskRequest(
        model=given.model,
        question=question,
        kind=_kind(given.kind, options),
        context=given.context,
        leaves=given.leaves,
        **decision_request(given, shared.settings),
    )
    call = replace(ask_call(body, shared.models, shared.settings), on_progress=on_progress)
    if call.gating is not None and given.on_doubt == "escalate" and call.gating.target is None:
        call = replace(call, gating=replace(call.gating, hands_over=True))
    return _asked(await settled(call, shared, seen), options)


def _asked(found: Answered, options: Sequence[str]) -> AskOutput:
    result, usage = found.result, found.result.usage
    decision = decision_of(found.decision)
    gives = decision is None or decision.action == "answer"
    answer = result.answer if found.decision is None else found.decision.answer
    return AskOutput(
        id=found.call.id,
        answer=_chosen(answer, options) if gives else None,
        declined=result.declined,
        distribution=_shares(result.distribution, options),
        decision=decision,
        claims=_claims(result.claims),
        notes=_notes(result.notes, result.calibration),
        usage=UsageOutput(
            prompt_tokens=usage.prompt_tokens,
            tokens=usage.tokens_decoded,
            leaves=usage.leaves,
            seconds=round(usage.seconds, 3),
        ),
        model=result.model.name,
        **_confidence(result.confidence, result.calibration),
    )


async def _score(
    given: ScoreArguments, shared: ServerState, seen: Seen, on_progress: ProgressCallback
) -> ScoreOutput:
    question, options = _with_choices(given.question, given.choices)
    body = ScoreRequest(
        model=given.model,
        question=question,
        answer=given.answer,
        kind=_kind(given.kind, options),
        context=given.context,
        leaves=given.leaves,
    )
    report = await scored(body, shared, seen, on_progress)
    return ScoreOutput(
        read_as=_chosen(report.value, options),
        agreement=report.agreement,
        own_answer=_chosen(report.own_answer, options),
        p_true=report.p_true,
        mean_log_prob=report.mean_log_prob,
        claims=_claims(report.claims),
        notes=_notes(report.notes, report.calibration),
        tokens=report.tokens_decoded,
        seconds=round(report.seconds, 3),
        model=report.model.name,
        **_confidence(report.confidence, report.calibration),
    )


async def _label(
    given: LabelArguments, shared: ServerState, seen: Seen, on_progress: ProgressCallback
) -> LabelOutput:
    del on_progress
    seen.fields["id"] = given.id
    found = await remembered(shared, given.id)
    right = given.right
    if right is None:
        assert given.correct_answer is not None
        right = judged_by(found, given.correct_answer)
    learnt = await label(shared, found, right)
    count = len(learnt.calibrator.learnt_)
    return LabelOutput(id=given.id, right=right, learnt=learnt.is_new, labels=count)


TOOLS: Final = {
    tool.name: tool
    for tool in (
        Tool(
            "ask_with_confidence",
            "Ask the local model",
            "Ask a language model that runs on this computer, and learn how sure it is. Gives its "
            "answer, a calibrated probability that it is right, and the distribution over answers. "
            "With `answer_at`, it also decides whether to rely on the answer.",
            AskArguments,
            AskOutput,
            _ask,
        ),
        Tool(
            "score_answer",
            "Score an answer",
            "Learn how sure the local model is of an answer that you or anyone else wrote: the "
            "probability that it is right, and the share of the local model's own answers that agree.",
            ScoreArguments,
            ScoreOutput,
            _score,
        ),
        Tool(
            "label_answer",
            "Label an answer",
            "Tell whether an answer of ask_with_confidence was right, once you know it. Later "
            "confidences learn from it. Contradicting an earlier label is an error.",
            LabelArguments,
            LabelOutput,
            _label,
            reads_only=False,
        ),
    )
}
"""All tools by name."""


def _with_choices(question: str, choices: Sequence[str] | None) -> tuple[str, Sequence[str]]:
    """The question with its choices as lettered lines, and the choices.

    Raises:
        ApiError: The choices cannot be told apart.
    """
    if choices is None:
        return question, ()
    try:
        asked = with_choices(question, choices)
    except QuestionError as error:
        raise invalid("choices", str(error)) from error
    return asked, [" ".join(one.split()) for one in choices]


def _kind(kind: str | None, options: Sequence[str]) -> str | None:
    if not options or kind in (None, "auto", "choice"):
        return "choice" if options else kind
    raise invalid("kind", "with choices, leave it out")


def _chosen(answer: str | None, options: Sequence[str]) -> str | None:
    """An answer in words: the text of the choice that a letter names."""
    at = -1 if answer is None or len(answer) != 1 else ord(answer) - ord("A")
    return options[at] if 0 <= at < len(options) else answer


def _shares(distribution: Sequence[AnswerShare], options: Sequence[str]) -> list[Share]:
    return [
        Share(answer=_chosen(one.answer, options), share=one.share)
        for one in distribution[:_MOST_SHARES]
    ]


def _claims(claims: Sequence[ClaimReport]) -> list[Claim]:
    return [Claim(text=one.text, confidence=one.confidence, support=one.support) for one in claims]


def _notes(notes: Sequence[str], calibration: CalibrationReport | None) -> list[str]:
    return [*notes, *(calibration.notes if calibration else ())]


def _confidence(confidence: float | None, calibration: CalibrationReport | None) -> dict[str, Any]:
    if calibration is None:
        return {"confidence": confidence, "interval": None, "calibration": None, "labels": 0}
    low, high = calibration.interval
    return {
        "confidence": confidence,
        "interval": Interval(low=low, high=high),
        "calibration": calibration.source,
        "labels": calibration.labels,
    }
