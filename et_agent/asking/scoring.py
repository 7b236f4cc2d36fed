"""Scores an answer that was written elsewhere: how likely it is, who agrees, how sure one can be."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Unpack, cast

import numpy as np

from et_agent.answers import AnswerKind, Extracted, answer_classes, decide_kind, extract
from et_agent.answers.containing import words_beside
from et_agent.answers.joining import join_classes
from et_agent.answers.sentences import Sentence
from et_agent.arrays import Doubles
from et_agent.asking.api import start
from et_agent.asking.claim_reports import assessed_claims
from et_agent.asking.claims import ClaimChecker, Reply, byte_ends
from et_agent.asking.confidence import Assessment, ConfidenceEstimator
from et_agent.asking.conversation import check_text
from et_agent.asking.grounding import GroundingReader
from et_agent.asking.options import (
    DEFAULTS,
    AskKeywords,
    AskOptions,
    check_model,
    checked_options,
)
from et_agent.asking.pending import PendingAnswer, ProgressCallback
from et_agent.asking.prompting import PreparedPrompt, Question
from et_agent.calibration.grounds import Grounds
from et_agent.decoding.base import RunInputs
from et_agent.decoding.forced import Forced
from et_agent.decoding.multi_chain import MultiChain
from et_agent.decoding.naming import described
from et_agent.decoding.request import Request
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.thinking import thought_ending
from et_agent.engines.opening import needing_logits
from et_agent.engines.sampled import AnyModel
from et_agent.errors import QuestionError, SettingsError, UnsupportedModelError
from et_agent.results import AnswerForm, ClaimReport, ModelId
from et_agent.scores import ScoreReport
from et_agent.uncertainty.leaf_table import LeafTable
from et_agent.uncertainty.measuring import leaf_table, span_log_probs
from et_agent.uncertainty.medoid import medoid
from et_agent.uncertainty.self_evaluation import p_true
from et_agent.waiting import outcome

__all__ = ["PendingScore", "score", "submit_score"]

_UNSAID: Final = "no sample says the same, and calibrators have learnt from answers that some gave"
_ELSEWHERE: Final = "the samples were given, so no calibrator knows where they come from"
_MOST_SAMPLES: Final = 256


class PendingScore:
    """A score that is being worked out. `submit_score` creates it.

    Args:
        model: A loaded model.
        question: The question, or a conversation whose last user message is answered.
        answer: The answer.
        samples: What else was answered, by whichever system; None for a fresh tree.
        options: How the question is asked.
        on_progress: Told the progress of the tree, in the model's thread.

    Raises:
        EtAgentError: As for `score`.
    """

    def __init__(
        self,
        model: AnyModel,
        question: Question,
        answer: str,
        samples: Sequence[str] | None = None,
        options: AskOptions = DEFAULTS,
        *,
        on_progress: ProgressCallback | None = None,
    ) -> None:
        self._began = time.perf_counter()
        model = self._model = needing_logits(model, "a score")
        self._options = options
        self._answer = check_text(answer, "the answer")
        self._samples = None if samples is None else _checked_samples(samples)
        if options.tools or options.schema is not None:
            raise SettingsError("answers in words are scored: leave out the tools or the schema")
        if self._samples is not None and options.decoder is not None:
            raise SettingsError("the samples are given, so that nothing is decoded: leave out one")
        bare = options.changed(system_prompt=options.system_prompt or "", decoder=None)
        self._bare = PreparedPrompt.of(model, question, bare)
        self._tree = None
        if self._samples is None:
            self._tree = PendingAnswer(
                model, question, options, on_progress=on_progress, checks_claims=False
            )
        self._reading = self._forced()

    def _forced(self) -> Request:
        """The answer, to be read after the question."""
        model, prompt = self._model, self._bare.prompt
        if self._bare.chat == "plain":
            tokens = model.tokenize(f" {self._answer}")
        else:
            prompt = [*prompt, *thought_ending(model, prompt)]
            tokens = model.tokenize(self._answer)
        if not tokens:
            raise QuestionError("the answer has no tokens: pass some text")
        inputs = RunInputs(prompt_length=len(prompt), stop_tokens=model.info.stop_tokens)
        return scheduler_of(model).prepare(prompt, Forced(tokens=tuple(tokens)), inputs)

    def start(self) -> "PendingScore":
        """Let it be worked out.

        Raises:
            ModelClosedError: The model was closed.
        """
        if self._tree is not None:
            start(self._tree)
        scheduler_of(self._model).queue(self._reading)
        return self

    def cancel(self) -> None:
        """Stop within one step; `result` then fails."""
        self._reading.cancel()
        if self._tree is not None:
            self._tree.cancel()

    def result(self) -> ScoreReport:
        """Wait for the score.

        Raises:
            EtAgentError: Decoding failed, or it was cancelled.
        """
        branch = self._reading.result().tree.branches[0]
        if self._reading.cancelled:
            raise QuestionError("the score was cancelled before the answer was read")
        said = _said_by_tree(self._tree) if self._tree else self._said_by_samples()
        given = extract(
            self._answer,
            said.kind,
            question=self._bare.conversation.question,
            declining=bool(self._bare.passages),
        )
        long = said.kind is AnswerKind.LONG
        found = self._by_claims(said) if long else self._by_share(said, given)
        total = math.fsum(branch.log_probs)
        info, assessment = self._model.info, found.assessment
        return ScoreReport(
            question=self._bare.conversation.question,
            answer=self._answer,
            kind=said.form,
            value=None if given is None else given.value,
            log_prob=total,
            mean_log_prob=total / branch.end,
            tokens=branch.end,
            p_true=self._p_true([] if long else said.ideas),
            agreement=found.agreement,
            samples=said.count,
            own_answer=found.own,
            confidence=None if assessment.confidence is None else assessment.confidence.value,
            calibration=assessment.calibration,
            claims=found.claims,
            notes=(*found.notes, *assessment.notes),
            tokens_decoded=0 if self._tree is None else said.tokens,
            seconds=time.perf_counter() - self._began,
            model=ModelId(
                name=info.name,
                fingerprint=info.fingerprint,
                parameters=info.parameters,
                library=info.library,
            ),
            decoder=None if self._tree is None else described(self._tree.prompt.decoder),
            seed=self._options.seed,
        )

    def _said_by_samples(self) -> "_Said":
        assert self._samples is not None
        question, kind = self._bare.conversation.question, self._bare.kind
        weights = np.full(len(self._samples), 1.0 / len(self._samples))
        if kind is AnswerKind.AUTO:
            kind = decide_kind(question, self._samples, weights.tolist()).kind
        declining = bool(self._bare.passages)
        answers = [
            extract(text, kind, question=question, declining=declining) for text in self._samples
        ]
        return _Said(kind, self._samples, answers, weights)

    def _p_true(self, ideas: Sequence[str]) -> float | None:
        try:
            question = self._bare.conversation.question
            found = p_true(self._model, question, ideas, self._answer)
        except (UnsupportedModelError, QuestionError):
            return None
        return None if math.isnan(found) else found

    def _by_share(self, said: "_Said", given: Extracted | None) -> "_Found":
        """Agreement and confidence by the share of the samples that say the same."""
        classes = answer_classes([*said.answers, given], said.kind)
        if self._bare.same_for(said.form) != "words":
            question = self._bare.conversation.question
            weights = [*said.weights.tolist(), 0.0]
            classes = join_classes(classes, weights, question, said.kind).classes
        *index, member = classes.index_of_leaf
        leaves = self._table(said, index)
        own = None if leaves.top is None else classes.labels[leaves.top]
        if given is None or member is None:
            note = f"the answer says nothing that could be read as {said.kind.value}"
            return _Found(None, own, Assessment({}), (note,))
        agreement = float(leaves.weight[leaves.answer == member].sum())
        if given.declined:
            return _Found(agreement, own, Assessment({}))
        grounds = self._grounds(given)
        if member in leaves.answer and self._tree is not None:
            about = leaves.about(member)
            answerable = self._tree.answerable()
            assessment = self._tree.estimator.estimate(
                about, said.form, answerable=answerable, grounds=grounds, complete=True
            )
            return _Found(min(1.0, agreement), own, assessment)
        why, notes = _ELSEWHERE, tuple[str, ...]()
        if member not in leaves.answer:
            leaves, why, notes = _with_half_a_leaf(leaves, member), _UNSAID, (_UNSAID,)
        about = leaves.about(member)
        decoder = MultiChain(leaves=said.count)
        estimator = ConfidenceEstimator(self._model, self._bare, decoder, self._options)
        assessment = estimator.by_general_map(about, said.form, grounds, why)
        return _Found(min(1.0, agreement), own, assessment, notes)

    def _table(self, said: "_Said", index: Sequence[int | None]) -> LeafTable:
        """The statistics of the samples."""
        if self._tree is not None:
            tree = self._tree.request.result().tree
            return leaf_table(tree, index, said.answers, self._model.token_bytes)
        count = said.count
        whole = {"count": 1, "finish": 0, "tokens": 0, "parent": -1, "start": 0, "fork": -1}
        return LeafTable.from_lists(
            {
                **{name: [value] * count for name, value in whole.items()},
                "answer": [-1 if one is None else one for one in index],
                "weight": said.weights.tolist(),
            }
        )

    def _grounds(self, given: Extracted) -> Grounds | None:
        """What the answer owes to the passages; None without any."""
        if not self._bare.passages:
            return None
        question, text = self._bare.conversation.question, "\n\n".join(self._bare.passages)
        known = Grounds(beside=words_beside(text, given.value, question))
        if self._bare.chat == "plain":
            return known
        reader = GroundingReader(self._model, self._bare)
        reader.ask(given)
        found = outcome(reader.future)
        return known if found is None else found.grounds(known.beside)

    def _by_claims(self, said: "_Said") -> "_Found":
        """Agreement and confidence of a long answer, by its claims."""
        own = None if said.shown is None else said.texts[said.shown]
        checked = None
        if self._bare.chat == "model":
            checker = ClaimChecker(self._model, self._bare)
            checker.check(Reply(self._answer, said.texts, said.weights, self._log_probs))
            checked = outcome(checker.future)
        claims, assessment = assessed_claims(
            None if checked is None else checked.claims,
            calibrated=self._options.calibrator is not None,
        )
        supports = [one.support for one in claims if one.support is not None]
        agreement = math.fsum(supports) / len(supports) if supports else None
        return _Found(agreement, own, assessment, claims=claims)

    def _log_probs(self, said: Sequence[Sentence]) -> Sequence[float]:
        tree = self._reading.result().tree
        path = b"".join(map(self._model.token_bytes, tree.path(0)))
        offset = path.find(self._answer.encode())
        if offset < 0:  # the tokenizer wrote something else
            return [math.nan] * len(said)
        ends = byte_ends(self._answer)
        spans = [[offset + ends[one.start], offset + ends[one.end]] for one in said]
        found = span_log_probs(tree, 0, np.array(spans), self._model.token_bytes)
        return [float(one) for one in found]


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """What the samples say.

    Attributes:
        kind: Kind of answer that was read.
        texts: Their texts.
        answers: What each says, None for nothing.
        weights: Their weights, which sum to 1, float64 [samples].
        tokens: Tokens that were generated.
        codes: How many they are, counted with their codes; None if each counts once.
    """

    kind: AnswerKind
    texts: Sequence[str]
    answers: Sequence[Extracted | None]
    weights: Doubles
    tokens: int = 0
    codes: int | None = None

    @property
    def count(self) -> int:
        """How many there are; a leaf counts once per code."""
        return len(self.texts) if self.codes is None else self.codes

    @property
    def form(self) -> AnswerForm:
        """The form of answers of this kind."""
        return cast("AnswerForm", self.kind.value)

    @property
    def ideas(self) -> list[str]:
        """Their different answers, the first of each first."""
        return list(dict.fromkeys(one.value for one in self.answers if one is not None))

    @property
    def shown(self) -> int | None:
        """The long answer that is most like all others; None if there is none."""
        given = [at for at, one in enumerate(self.answers) if one is not None]
        texts = [self.texts[at] for at in given]
        return given[medoid(texts, self.weights[given])] if given else None


def _said_by_tree(pending: PendingAnswer) -> _Said:
    tree, reading = pending.request.result().tree, pending.reading()
    return _Said(
        reading.kind.kind,
        reading.texts,
        reading.answers,
        tree.weights(),
        tree.tokens_decoded,
        tree.leaf_count(),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What is found of an answer beside the samples."""

    agreement: float | None
    own: str | None
    assessment: Assessment
    notes: tuple[str, ...] = ()
    claims: tuple[ClaimReport, ...] = ()


def _checked_samples(samples: object) -> list[str]:
    if isinstance(samples, str | bytes) or not isinstance(samples, Sequence):
        raise QuestionError(
            f"the samples are a {type(samples).__name__}: pass a list of texts, or None for a tree"
        )
    if not 1 <= len(samples) <= _MOST_SAMPLES:
        raise QuestionError(
            f"there are {len(samples)} samples: pass 1 to {_MOST_SAMPLES}, or None for a tree"
        )
    return [check_text(one, f"sample {number}") for number, one in enumerate(samples, 1)]


def _with_half_a_leaf(leaves: LeafTable, member: int) -> LeafTable:
    """The same with half a leaf of an answer that none gives: none of n may be few of more.

    Of n leaves without it, it has 1 / (2 n + 1) of the weight (Krichevsky & Trofimov 1981).
    """
    size = float(leaves.count.sum())
    row = {"answer": member, "weight": 0.5 / (size + 0.5), "count": 1, "parent": -1, "fork": -1}
    columns: dict[str, Any] = {}
    for one in fields(LeafTable):
        column = getattr(leaves, one.name)
        unknown = 0 if np.issubdtype(column.dtype, np.integer) else math.nan
        columns[one.name] = np.append(column, row.get(one.name, unknown)).astype(column.dtype)
    columns["weight"][:-1] *= 1.0 - row["weight"]
    return LeafTable(**columns)


def submit_score(
    model: AnyModel,
    question: Question,
    answer: str,
    samples: Sequence[str] | None = None,
    options: AskOptions = DEFAULTS,
    **changes: Unpack[AskKeywords],
) -> PendingScore:
    """Start to score an answer and return at once; see `score`."""
    asked = checked_options(options).changed(**changes)
    check_model(model)
    return PendingScore(model, question, answer, samples, asked).start()


def score(
    model: AnyModel,
    question: Question,
    answer: str,
    samples: Sequence[str] | None = None,
    options: AskOptions = DEFAULTS,
    **changes: Unpack[AskKeywords],
) -> ScoreReport:
    """Score an answer that was written elsewhere, by a person or by another system.

    Its probability is that of its tokens right after the question, without a system prompt unless one
    is given. A fresh tree of the question says who agrees; its answers are shown where the model is
    asked whether the answer is true. Confidences are found as those of the model's own answers are:
    from your own calibrator, a shipped one or the general map. With `kind="long"` the answer is judged
    claim by claim.

    Args:
        model: A loaded model.
        question: The question, or a conversation whose last user message is answered.
        answer: The answer.
        samples: What else was answered to the question, 1 to 256 texts, in place of a tree. The
            confidence then comes from the general map.
        options: How the question is asked.
        changes: Fields of `AskOptions` by name: `score(model, question, answer, kind="long")`.

    Raises:
        QuestionError: The question, the answer or a sample is empty or no text, the samples are none or
            too many, or question and answer do not fit into the context.
        SettingsError: Tools or a schema were given, or both samples and a decoder.
        EtAgentError: As for `submit`.
    """
    return submit_score(model, question, answer, samples, options, **changes).result()
