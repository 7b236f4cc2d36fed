"""From a finished run to a result: leaves are read, classes formed, the distribution computed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from et_agent.answers import (
    AnswerClasses,
    AnswerKind,
    Extracted,
    KindGuess,
    answer_classes,
    decide_kind,
    extract,
)
from et_agent.answers.stops import StopSequences
from et_agent.calling import ReplyForm
from et_agent.decoding.tree import Branch, Finish, Tree
from et_agent.engines.base import LanguageModel
from et_agent.results import AnswerShare, Leaf, Node, ToolCall, TreeReport
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

__all__ = [
    "LeafReader",
    "Reading",
    "Statistics",
    "path_text",
    "read_tree",
    "statistics_of",
    "tree_report",
]


def path_text(model: LanguageModel, tokens: Sequence[int]) -> str:
    """Text of generated tokens; bytes that are no whole character become U+FFFD."""
    return b"".join(map(model.token_bytes, tokens)).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the leaves of a tree say.

    Attributes:
        kind: The kind that was read, and why.
        texts: Text of every branch's path, up to a stop sequence.
        answers: What each says; None for nothing.
        classes: Which say the same.
        calls: Tools that each calls.
    """

    kind: KindGuess
    texts: list[str]
    answers: list[Extracted | None]
    classes: AnswerClasses
    calls: list[tuple[ToolCall, ...]]


class LeafReader:
    """Reads what paths say.

    Args:
        question: The question as asked.
        kind: The answer kind.
        stops: What ends a path in words.
        form: The form that replies have, or may have; None for words only.
    """

    def __init__(
        self,
        question: str,
        kind: AnswerKind,
        *,
        stops: StopSequences | None = None,
        form: ReplyForm | None = None,
    ) -> None:
        self._question, self._kind, self._form = question, kind, form
        self._stops = stops if stops is not None else StopSequences(())

    def shown(self, text: str) -> str:
        """A path's text, up to a stop sequence."""
        return text if self._has_form(text) else self._stops.cut(text).shown

    def read(self, text: str, kind: AnswerKind, *, finished: bool) -> Extracted | None:
        """What a path's text says; `finished` when the model ended it."""
        if self._form is not None and self._has_form(text):
            return self._form.read(text) if finished else None
        cut = self._stops.cut(text)
        if cut.read is None:
            return None
        return extract(cut.read, kind, question=self._question, finished=finished or cut.stopped)

    def _has_form(self, text: str) -> bool:
        return self._form is not None and self._form.begins(text)

    def read_tree(self, model: LanguageModel, tree: Tree) -> Reading:
        """Read every leaf; `auto` is decided from the question and from what the leaves say."""
        whole = [path_text(model, tree.path(branch.id)) for branch in tree.branches]
        texts = [self.shown(text) for text in whole]
        words = [not self._has_form(text) for text in whole]
        if self._kind is AnswerKind.AUTO:
            said = [i for i, in_words in enumerate(words) if in_words]
            weights = tree.weights()[said].tolist()
            decided = decide_kind(self._question, [texts[i] for i in said], weights)
        else:
            decided = KindGuess(self._kind, "asked for")
        answers = [
            self.read(text, decided.kind, finished=branch.finish is Finish.STOP)
            for text, branch in zip(whole, tree.branches, strict=True)
        ]
        calls = [self._form.calls(text) if self._form is not None else () for text in whole]
        classes = _classes(answers, words, decided.kind)
        return Reading(decided, texts, answers, classes, calls)


def _classes(
    answers: Sequence[Extracted | None], words: Sequence[bool], kind: AnswerKind
) -> AnswerClasses:
    """Classes of answers in words, which are compared by their kind, and of those in a form."""
    if all(words):
        return answer_classes(answers, kind)
    parts = [
        answer_classes(
            [
                one if in_words == wanted else None
                for one, in_words in zip(answers, words, strict=True)
            ],
            kind if wanted else AnswerKind.TEXT,
        )
        for wanted in (True, False)
    ]
    first = len(parts[0].labels)
    index: list[int | None] = [
        one if one is not None else None if other is None else first + other
        for one, other in zip(parts[0].index_of_leaf, parts[1].index_of_leaf, strict=True)
    ]
    return AnswerClasses((*parts[0].labels, *parts[1].labels), tuple(index))


def read_tree(model: LanguageModel, tree: Tree, question: str, kind: AnswerKind) -> Reading:
    """Read every leaf of a tree whose replies are in words; see `LeafReader.read_tree`."""
    return LeafReader(question, kind).read_tree(model, tree)


@dataclass(frozen=True, slots=True)
class Statistics:
    """The numbers of a result; names as there."""

    distribution: tuple[AnswerShare, ...]
    answer: str | None
    predictive_entropy: float
    predictive_entropy_normalised: float
    predictive_entropy_by_count: float
    ess: float
    margin: float
    cut_off_share: float


def statistics_of(leaves: LeafTable, classes: AnswerClasses) -> Statistics:
    """The distribution over answers and what follows from it."""
    index = list(classes.index_of_leaf)
    weights, counts = leaves.weight, leaves.count
    found = answer_distribution(
        index,
        weights,
        counts,
        labels=list(classes.labels),
        answer_logprobs=leaves.answer_logprobs,
    )
    top = found.top_answer
    return Statistics(
        distribution=tuple(
            AnswerShare(
                answer=share.answer,
                share=share.share,
                share_by_count=share.count_share,
                leaves=share.leaves,
            )
            for share in found.shares
        ),
        answer=None if top is None else top.answer,
        predictive_entropy=predictive_entropy(index, weights),
        predictive_entropy_normalised=normalised_predictive_entropy(index, weights, counts),
        predictive_entropy_by_count=predictive_entropy_by_count(index, counts),
        ess=effective_sample_size(weights, counts),
        margin=margin(index, weights),
        cut_off_share=cut_off_share(leaves.finish != 0, weights),
    )


def tree_report(model: LanguageModel, tree: Tree, reading: Reading) -> TreeReport:
    """Nodes and leaves of a tree."""
    builder = _NodeBuilder(model, tree)
    builder.add(tree.branches[0], 0, None)
    leaves = []
    for branch in tree.branches:
        answer, index = reading.answers[branch.id], reading.classes.index_of_leaf[branch.id]
        log_probs = [
            log_prob
            for piece, low, high in tree.segments(branch.id)
            for log_prob in piece.log_probs[low - piece.start : high - piece.start]
        ]
        leaves.append(
            Leaf(
                node=builder.last_node[branch.id],
                weight=float(builder.weights[branch.id]),
                count=branch.codes,
                finish=(branch.finish or Finish.CANCELLED).value,
                tokens=branch.end,
                answer=None if index is None else reading.classes.labels[index],
                found_by=None if answer is None or index is None else answer.found_by,
                text=reading.texts[branch.id],
                mean_log_prob=math.fsum(log_probs) / max(1, len(log_probs)),
                tool_calls=reading.calls[branch.id],
            )
        )
    leaves.sort(key=lambda leaf: (-leaf.weight, leaf.node))
    return TreeReport(nodes=tuple(builder.nodes), leaves=tuple(leaves))


class _NodeBuilder:
    """Cuts branches into nodes at their forks."""

    def __init__(self, model: LanguageModel, tree: Tree) -> None:
        self.model, self.tree = model, tree
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
                importance = tuple(float(v) if math.isfinite(v) else None for v in values)
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
                share=min(1.0, below / before) if before > 0 else 0.0,
                fork=None if fork is None else fork.kind.value,
                entropies=tuple(branch.entropies[cut]),
                log_probs=tuple(branch.log_probs[cut]),
                received=importance,
                prompt_attention=to_prompt,
            )
        )
        return len(self.nodes) - 1
