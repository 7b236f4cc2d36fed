"""From the leaves of a finished tree to a result: its distribution, its nodes, what it cost."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, cast

from et_agent.answers import AnswerKind
from et_agent.answers.declining import NOT_THERE
from et_agent.asking.calling import JsonForm
from et_agent.asking.confidence import Assessment
from et_agent.asking.fields import FieldReading
from et_agent.asking.meaning import NOT_JUDGED, Judgement
from et_agent.asking.notes import run_notes, steering_notes, thought_notes, warnings
from et_agent.asking.prompting import PreparedPrompt
from et_agent.asking.reading import TreeReading, path_text, token_texts
from et_agent.asking.steering import steering_signs
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.naming import described
from et_agent.decoding.request import Request
from et_agent.decoding.tree import Branch, Finish, Tree
from et_agent.engines.sampled import AnyModel
from et_agent.results import (
    AnswerForm,
    AskResult,
    ClaimReport,
    ConfidencePart,
    FieldReport,
    Leaf,
    ModelId,
    Node,
    TokenChoice,
    ToolCall,
    TreeReport,
    Usage,
)
from et_agent.soundness import sound_numbers
from et_agent.uncertainty import (
    answer_distribution,
    cut_off_share,
    effective_sample_size,
    margin,
    normalised_predictive_entropy,
    predictive_entropy,
    predictive_entropy_by_count,
)
from et_agent.uncertainty.leaf_table import LeafTable

__all__ = ["Decoded", "field_reports", "form_of_answer", "result_of", "tree_report"]

_FORMS: Final = {"json": "a schema was given", "tool_call": "the answer calls a tool"}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A question whose tree is finished.

    Attributes:
        request: Its run, and what that cost.
        prompt: What was asked.
        decoder: What decoded it.
        seed: Seed of the run.
        asked: The reading of whether the question can be answered; None where that is not asked.
    """

    request: Request
    prompt: PreparedPrompt
    decoder: DecoderSettings
    seed: int
    asked: Request | None


@sound_numbers()
def result_of(
    decoded: Decoded,
    reading: TreeReading,
    leaves: LeafTable,
    fields: FieldReading,
    assessment: Assessment,
    tokens_read: int = 0,
    judgement: Judgement = NOT_JUDGED,
    claims: tuple[ClaimReport, ...] = (),
) -> AskResult:
    """The result of a question.

    Args:
        decoded: The question.
        reading: What its leaves say.
        leaves: Their statistics.
        fields: The fields of the answer.
        assessment: What to think of the answer and its fields.
        tokens_read: Tokens that were read when the tree had ended.
        judgement: What was said of answers that may say the same.
        claims: The claims of a long answer.

    Raises:
        DecodeError: Its numbers contradict each other; it is never given then.
    """
    request, prompt, run = decoded.request, decoded.prompt, decoded.request.run
    checked, complete = leaves.checked, not run.cancelled
    distribution = answer_distribution(
        checked, labels=reading.classes.labels, answer_logprobs=leaves.answer_logprobs
    )
    declined = reading.declines(leaves.top)
    answer = None if leaves.top is None or declined else reading.classes.labels[leaves.top]
    cut_off = cut_off_share(leaves.finish != 0, checked)
    report = tree_report(request.model, run.tree, reading, detailed=bool(run.inputs.alternatives))
    kind, calls = form_of_answer(prompt, reading, leaves.top)
    confidence, info = assessment.confidence, request.model.info
    calibration = assessment.calibration
    steering = steering_signs(prompt.passages, prompt.conversation.messages)
    return AskResult(
        question=prompt.conversation.question,
        passages=prompt.passages,
        answer=answer,
        declined=declined,
        reasoning=_reasoning(report, NOT_THERE if declined else answer),
        tool_calls=calls,
        fields=field_reports(fields, assessment.fields),
        claims=claims,
        tools=prompt.tools,
        steering=steering,
        confidence=None if confidence is None else confidence.value,
        calibrated=calibration is not None and calibration.source != "general",
        calibration=calibration,
        confidence_parts=()
        if confidence is None
        else tuple(ConfidencePart(**asdict(part)) for part in confidence.parts),
        confidence_base=None if confidence is None else confidence.base,
        features=assessment.features,
        share=0.0 if leaves.top is None or declined else checked.shares[leaves.top],
        distribution=distribution,
        predictive_entropy=predictive_entropy(checked),
        predictive_entropy_normalised=normalised_predictive_entropy(checked),
        predictive_entropy_by_count=predictive_entropy_by_count(checked),
        ess=effective_sample_size(checked),
        margin=margin(checked),
        cut_off_share=cut_off,
        kind=kind,
        kind_reason=_kind_reason(prompt, reading)
        if prompt.form is None
        else _FORMS.get(kind, reading.kind.reason),
        complete=complete,
        notes=(
            *steering_notes(steering),
            *run_notes(request, decoded.decoder),
            *warnings(
                distribution,
                cut_off if complete else 0.0,
                min(run.max_tokens, decoded.decoder.max_tokens),
                votes=kind != "long",
            ),
            *thought_notes(prompt.thoughts, reading.closed, leaves.weight),
            *fields.notes,
            *judgement.notes,
            *assessment.notes,
        ),
        usage=_usage(
            request, decoded.asked, reading, tokens_read + judgement.tokens, judgement.seconds
        ),
        model=ModelId(
            name=info.name,
            fingerprint=info.fingerprint,
            parameters=info.parameters,
            library=info.library,
        ),
        decoder=described(decoded.decoder),
        instruction=prompt.instruction,
        single=prompt.conversation.single,
        informed=prompt.conversation.informed,
        begun=bool(prompt.conversation.begun),
        stops=prompt.own_stops,
        chat=prompt.chat,
        same=prompt.same_for(kind),
        template_options=dict(prompt.template_options),
        max_thinking_tokens=prompt.max_thinking_tokens,
        seed=decoded.seed,
        tree=report,
    )


def _kind_reason(prompt: PreparedPrompt, reading: TreeReading) -> str:
    return "answers are copied from the passages" if prompt.copied else reading.kind.reason


def field_reports(
    fields: FieldReading, assessments: Sequence[Assessment]
) -> dict[str, FieldReport]:
    """Fields of an answer by path, each with its assessment."""
    return {
        field.path: FieldReport(
            value=field.value,
            share=field.share,
            confidence=None if one.confidence is None else one.confidence.value,
            calibration=one.calibration,
            alternatives=field.alternatives,
        )
        for field, one in zip(fields.fields, assessments, strict=True)
    }


def form_of_answer(
    prompt: PreparedPrompt, reading: TreeReading, top: int | None
) -> tuple[AnswerForm, tuple[ToolCall, ...]]:
    """What the answer of a class is, and the tools that it calls; `top` is None without an answer."""
    form = prompt.form
    if isinstance(form, JsonForm):
        return "json", ()
    if form is not None:
        members = (leaf for leaf, one in enumerate(reading.classes.index_of_leaf) if one == top)
        calls = () if top is None else reading.calls[next(members)]
        if calls or not form.free:
            return "tool_call", calls
    assert reading.kind.kind is not AnswerKind.AUTO
    return cast("AnswerForm", reading.kind.kind.value), ()


def _reasoning(report: TreeReport, answer: str | None) -> str | None:
    """The thoughts of the heaviest leaf with an answer, or of the heaviest one without."""
    leaves = report.leaves
    return next((leaf for leaf in leaves if leaf.answer == answer), leaves[0]).reasoning


def _usage(
    request: Request, asked: Request | None, reading: TreeReading, read: int, judging: float
) -> Usage:
    tree, seconds = request.run.tree, request.seconds
    if asked is not None and asked.started is not None:
        read += asked.prompt_tokens - asked.cached
    decoded = request.tokens_decoded
    # Chains have nothing in common but the prompt, so that a server's count is that of both.
    whole = decoded == tree.tokens_decoded
    thought = request.reasoning_tokens
    return Usage(
        prompt_tokens=request.prompt_tokens,
        cached_tokens=request.cached,
        probe_tokens=read,
        tokens_decoded=decoded,
        tokens_as_chains=tree.tokens_as_chains if whole else decoded,
        reasoning_tokens=sum(
            max(0, min(branch.end, thinking) - branch.start)
            for branch, thinking in zip(tree.branches, reading.thinking, strict=True)
        )
        if thought is None
        else thought,
        tokens_recomputed=request.recomputed,
        leaves=tree.leaf_count(),
        steps=request.steps,
        seconds=seconds + judging,
        tokens_per_second=decoded / seconds if seconds else 0.0,
    )


def tree_report(
    model: AnyModel, tree: Tree, reading: TreeReading, *, detailed: bool = False
) -> TreeReport:
    """Nodes and leaves of a tree.

    Args:
        model: What decoded it.
        tree: The tree.
        reading: What its leaves say.
        detailed: Whether nodes carry the texts of their tokens and the most likely ones.
    """
    builder = _NodeBuilder(model, tree, detailed=detailed)
    builder.add(tree.branches[0], 0, None)
    leaves = [_leaf(branch, builder, reading) for branch in tree.branches]
    leaves.sort(key=lambda leaf: (-leaf.weight, leaf.node))
    return TreeReport(nodes=tuple(builder.nodes), leaves=tuple(leaves))


def _leaf(branch: Branch, builder: "_NodeBuilder", reading: TreeReading) -> Leaf:
    answer, index = reading.answers[branch.id], reading.classes.index_of_leaf[branch.id]
    log_probs = [
        log_prob
        for piece, low, high in builder.tree.segments(branch.id)
        for log_prob in piece.log_probs[low - piece.start : high - piece.start]
    ]
    return Leaf(
        node=builder.last_node[branch.id],
        weight=float(builder.weights[branch.id]),
        count=branch.codes,
        finish=(branch.finish or Finish.CANCELLED).value,
        tokens=branch.end,
        answer=None if index is None else reading.classes.labels[index],
        found_by=None if answer is None or index is None else answer.found_by,
        text=reading.texts[branch.id],
        reasoning=reading.thoughts[branch.id],
        reasoning_tokens=reading.thinking[branch.id],
        mean_log_prob=_known(math.fsum(log_probs) / max(1, len(log_probs))),
        tool_calls=reading.calls[branch.id],
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


class _NodeBuilder:
    """Cuts branches into nodes at their forks."""

    def __init__(self, model: AnyModel, tree: Tree, *, detailed: bool) -> None:
        self.model, self.tree, self._detailed = model, tree, detailed
        self.weights = tree.weights()
        self.nodes: list[Node] = []
        self.last_node: dict[int, int] = {}
        self._forks = {(fork.branch, fork.position): fork for fork in tree.forks}

    def add(self, branch: Branch, start: int, parent: int | None) -> None:
        """Add the nodes of a branch from `start` on, and of all that forks off them."""
        cuts = sorted(
            position
            for (owner, position) in self._forks
            if owner == branch.id and position >= start
        )
        begin = start
        for end in [*cuts, branch.end]:
            if end > begin or (not self.nodes):
                parent = self._node(branch, begin, end, parent)
            fork = self._forks.get((branch.id, end)) if end in cuts else None
            if fork is not None:
                for child, _ in fork.children:
                    self.add(self.tree.branches[child], end, parent)
            begin = end
        assert parent is not None
        self.last_node[branch.id] = parent

    def _node(self, branch: Branch, low: int, high: int, parent: int | None) -> int:
        fork = self._forks.get((branch.id, low))
        if low == high:  # the empty first node of a tree that forks at once
            fork = None
        elif low == branch.start:
            fork = self.tree.fork_into(branch.id) or fork
        cut = slice(low - branch.start, high - branch.start)
        importance = None
        to_prompt = None
        if (attention := self.tree.attention) is not None:
            seen = attention.of(branch.id)
            to_prompt = tuple(seen.prompt[cut]) if seen.prompt else None
            if seen.received is not None:
                values = attention.importance(branch.id)[cut]
                importance = tuple(_known(float(v)) for v in values)
        if high > low:
            below = float(sum(self.weights[b.id] for b in self.tree.through(branch.id, low)))
        else:
            below = 1.0
        # Sides may have left at one place one after the other, by forks of their own.
        before = 1.0 if parent is None else self.nodes[parent].weight
        tokens = tuple(branch.tokens[cut])
        self.nodes.append(
            Node(
                parent=parent,
                start=low,
                text=path_text(self.model, tokens),
                tokens=tokens,
                weight=min(1.0, below),
                branch_share=min(1.0, below / before) if before > 0 else 0.0,
                fork=None if fork is None else fork.kind.value,
                entropies=tuple(map(_known, branch.entropies[cut])),
                log_probs=tuple(map(_known, branch.log_probs[cut])),
                received=importance,
                prompt_attention=to_prompt,
                pieces=token_texts(self.model, tokens) if self._detailed else None,
                alternatives=self._likely(branch, low, high) if self._detailed else None,
            )
        )
        return len(self.nodes) - 1

    def _likely(self, branch: Branch, low: int, high: int) -> tuple[tuple[TokenChoice, ...], ...]:
        return tuple(
            tuple(
                TokenChoice(
                    text=path_text(self.model, (one.token,)),
                    probability=math.exp(one.log_prob),
                )
                for one in self.tree.likely(branch.id, position)
            )
            for position in range(low, high)
        )
