"""A long answer, claim by claim: what it states, and what the other leaves and the model say of that.

When the tree has ended, the sentences of the answer are split into single statements. Of each the model
is asked whether every other leaf says so, and whether it is true. The answers are read in batches over
prompts that are evaluated once, and nothing waits in the model's thread.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

import numpy as np

from et_agent.answers.overlap import share_held, stems
from et_agent.answers.sentences import Sentence, holds_several, sentences
from et_agent.arrays import Doubles, Ints
from et_agent.asking.prompting import PreparedPrompt
from et_agent.asking.reading import PathReader, TreeReading
from et_agent.calibration.claims import ClaimEvidence
from et_agent.decoding.base import Decoder, RunInputs
from et_agent.decoding.continued import ContinuedRun
from et_agent.decoding.request import Request
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.tree import Finish, Tree
from et_agent.engines.base import LanguageModel
from et_agent.errors import EtAgentError
from et_agent.uncertainty.measuring import span_log_probs
from et_agent.uncertainty.medoid import medoid
from et_agent.uncertainty.self_evaluation import probe_of, word_shares
from et_agent.uncertainty.statements import (
    TRUE_FALSE,
    WHETHER_TRUE,
    checked_by,
    split_up,
    stated_in,
)

__all__ = [
    "MOST_CLAIMS",
    "CheckedClaim",
    "CheckedReply",
    "ClaimChecker",
    "Reply",
    "byte_ends",
    "distinct",
    "reply_of",
    "shown_leaf",
    "words_held",
]

MOST_CLAIMS: Final = 64
"""Claims that are checked; of a reply with more, the others get no confidence, nor does the reply."""
_MOST_OTHERS: Final = 8
"""Other leaves that are asked, the heaviest."""
_MOST_CHARACTERS: Final = 100_000
_MOST_CHARACTERS_PER_TOKEN: Final = 16
_TINY: Final = 1e-300


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply whose claims are to be checked.

    Attributes:
        text: The reply.
        others: What else was said to the question, [others].
        weights: How much each of these counts, float64 [others].
        log_probs: Mean log-probability of the tokens of sentences, nats; NaN where unknown.
        finished: Whether it ended by itself.
    """

    text: str
    others: Sequence[str]
    weights: Doubles
    log_probs: Callable[[Sequence[Sentence]], Sequence[float]]
    finished: bool = True


@dataclass(frozen=True, slots=True)
class CheckedClaim:
    """A claim, where its sentence stands in the reply, and what is known of it.

    Attributes:
        text: The claim.
        span: First character of its sentence in the reply, and the one after its last.
        silent: Share of the other leaves that say neither; NaN if there is none.
        evidence: What else is known.
    """

    text: str
    span: tuple[int, int]
    silent: float
    evidence: ClaimEvidence

    @property
    def checked(self) -> bool:
        """Whether the model was asked about it."""
        return not math.isnan(self.evidence.told_true)


@dataclass(frozen=True, slots=True)
class CheckedReply:
    """The claims of a reply, and the tokens that were read and generated to check them."""

    claims: tuple[CheckedClaim, ...]
    tokens: int = 0


def shown_leaf(reading: TreeReading, weights: Doubles) -> int | None:
    """The leaf in words whose text is most like that of all others.

    Args:
        reading: What the leaves of a tree say.
        weights: Path weights, [leaves].

    Returns:
        None where leaves that decline, call a tool or say nothing weigh more than those in words.
    """
    given = [
        leaf
        for leaf, answer in enumerate(reading.answers)
        if answer is not None and not answer.declined and not reading.calls[leaf]
    ]
    other = [leaf for leaf, answer in enumerate(reading.answers) if answer and leaf not in given]
    if not given or weights[other].sum() > weights[given].sum():
        return None
    return given[medoid([reading.texts[leaf] for leaf in given], weights[given])]


def reply_of(tree: Tree, reading: TreeReading, token_bytes: Callable[[int], bytes]) -> Reply | None:
    """The reply that a finished tree shows; None where it has none, or declines.

    Args:
        tree: The tree.
        reading: What its leaves say.
        token_bytes: The bytes a token stands for.
    """
    weights = tree.weights()
    leaf = shown_leaf(reading, weights)
    answer = None if leaf is None else reading.answers[leaf]
    if leaf is None or answer is None:
        return None
    shown = reading.texts[leaf]
    offset = reading.offsets[leaf]
    before = shown.find(answer.value)
    others = [
        at
        for at, other in enumerate(reading.answers)
        if at != leaf and other is not None and not reading.calls[at]
    ]

    def log_probs(said: Sequence[Sentence]) -> Sequence[float]:
        # Bytes that are no text stand there as another number of bytes.
        if offset is None or before < 0 or "\ufffd" in shown:
            return [math.nan] * len(said)
        first = offset + len(shown[:before].encode())
        ends = byte_ends(answer.value)
        spans = [[first + ends[one.start], first + ends[one.end]] for one in said]
        found: list[float] = span_log_probs(tree, leaf, np.array(spans), token_bytes).tolist()
        return found

    return Reply(
        answer.value,
        [reading.texts[at] for at in others],
        weights[others],
        log_probs,
        finished=tree.branches[leaf].finish is Finish.STOP,
    )


def byte_ends(text: str) -> Ints:
    """Bytes before each character of a text, and of the whole, int64 [characters + 1]."""
    return np.cumsum([0, *(len(one.encode()) for one in text)])


class ClaimChecker:
    """Splits a reply into claims and checks them.

    Args:
        model: The model.
        prompt: The question, with a chat template.
    """

    def __init__(self, model: LanguageModel, prompt: PreparedPrompt) -> None:
        self._model, self._prompt = model, prompt
        self._requests: list[Request] = []
        self._cancelled = False
        self.future: Future[CheckedReply | None] = Future()
        """What was found; None if the check was cancelled, or could not be made."""

    def cancel(self) -> None:
        """Check no more."""
        self._cancelled = True
        for request in self._requests:
            request.cancel()

    def begin(self, tree_request: Request, reader: PathReader) -> None:
        """Begin to check what a tree shows; called in the model's thread when the tree has ended.

        Args:
            tree_request: The tree.
            reader: Reads its leaves.
        """
        with self._failing():
            reply = None
            if not tree_request.cancelled:
                tree = tree_request.result().tree
                reply = reply_of(tree, reader.read_tree(tree), self._model.token_bytes)
            if reply is None:
                self.future.set_result(None)
            else:
                self.check(reply)

    def check(self, reply: Reply) -> None:
        """Begin to check the claims of a reply; may be called in the model's thread."""
        with self._failing():
            said = sentences(reply.text, finished=reply.finished)
            several = [one for one in said[:MOST_CLAIMS] if holds_several(one.text)]
            if not said:
                self._end(())
                return
            if not several:
                self._ask(reply, said, {})
                return
            prompt, decoder = split_up(self._model, [one.text for one in several])
            request = self._prepared(prompt, decoder)

            def ended(_: Request) -> None:
                with self._failing():
                    self._ask(reply, said, self._stated(request, several))

            request.add_done_callback(ended)
            scheduler_of(self._model).queue(request)

    def _failing(self) -> "_Failing":
        return _Failing(self.future)

    def _prepared(self, prompt: Sequence[int], decoder: Decoder) -> Request:
        inputs = RunInputs(prompt_length=len(prompt), stop_tokens=self._model.info.stop_tokens)
        request = scheduler_of(self._model).prepare(prompt, decoder, inputs)
        self._requests.append(request)
        if self._cancelled:
            request.cancel()
        return request

    def _stated(self, request: Request, several: Sequence[Sentence]) -> dict[int, list[str]]:
        """What the sentences that were split state, by where these begin."""
        run = request.result()
        assert isinstance(run, ContinuedRun)
        written: dict[int, str] = {}
        for branch in run.tree.branches[1:]:
            tokens = run.generated(branch.id)
            text = b"".join(map(self._model.token_bytes, tokens)).decode("utf-8", "replace")
            written[run.given(branch.id)] = text
        return {
            one.start: stated_in(one.text, written.get(at, "")) for at, one in enumerate(several)
        }

    def _ask(self, reply: Reply, said: Sequence[Sentence], stated: dict[int, list[str]]) -> None:
        """Ask about all claims at once: the leaves one by one, and whether they are true."""
        claims = [
            (text, sentence)
            for sentence in said
            for text in stated.get(sentence.start, [sentence.text])
        ]
        texts = [text for text, _ in claims[:MOST_CLAIMS]]
        others, weights = distinct(reply.others, reply.weights)
        asked = [self._checked_by(other, texts) for other in others]
        prompts = [
            self._prompt.going_on_with(self._model, WHETHER_TRUE.format(statement=text))
            for text in texts
        ]
        truth = self._prepared(*probe_of(self._model, prompts, TRUE_FALSE))
        waiting = [*(one for one in asked if one is not None), truth]
        left = len(waiting)

        def ended(_: Request) -> None:
            nonlocal left
            left -= 1
            if left:
                return
            with self._failing():
                judged = [
                    np.full((len(texts), 3), np.nan)
                    if request is None
                    else word_shares(request.result())
                    for request in asked
                ]
                told = word_shares(truth.result())[:, 0]
                found = _shares(reply, others, weights, judged, len(texts))
                self._end(self._claims(reply, claims, said, others, weights, found, told))

        for request in waiting:
            request.add_done_callback(ended)
        scheduler_of(self._model).queue(*waiting)

    def _checked_by(self, other: str, texts: Sequence[str]) -> Request | None:
        """What another leaf says of the claims; None where it does not fit into the context."""
        if len(other) > _MOST_CHARACTERS_PER_TOKEN * self._model.info.context:
            return None  # without minutes of tokenizing
        try:
            question = self._prompt.conversation.question
            return self._prepared(*checked_by(self._model, question, other, texts))
        except EtAgentError:
            return None

    def _claims(
        self,
        reply: Reply,
        claims: Sequence[tuple[str, Sentence]],
        said: Sequence[Sentence],
        others: Sequence[str],
        weights: Doubles,
        found: Doubles,
        told: Doubles,
    ) -> tuple[CheckedClaim, ...]:
        log_probs = dict(zip((one.start for one in said), reply.log_probs(said), strict=True))
        question = self._prompt.conversation.question
        made = []
        for at, (text, sentence) in enumerate(claims):
            support, against, silent = found[at].tolist() if at < len(found) else (math.nan,) * 3
            evidence = ClaimEvidence(
                support=support,
                contradicted=against,
                told_true=float(told[at]) if at < len(told) else math.nan,
                words=words_held(text, question, others, weights),
                log_prob=log_probs[sentence.start],
                parameters=self._model.info.parameters,
            )
            made.append(CheckedClaim(text, (sentence.start, sentence.end), silent, evidence))
        return tuple(made)

    def _end(self, claims: tuple[CheckedClaim, ...]) -> None:
        if self._cancelled:
            self.future.set_result(None)
            return
        tokens = sum(
            len(one.prompt) + one.run.given_tokens - one.cached + _generated(one)
            for one in self._requests
        )
        self.future.set_result(CheckedReply(claims, tokens))


class _Failing:
    """What fails in here ends a check: without a finding for the errors that are foreseen."""

    def __init__(self, future: "Future[CheckedReply | None]") -> None:
        self._future = future

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> bool:
        del kind, where
        if error is None:
            return False
        if isinstance(error, EtAgentError):
            self._future.set_result(None)  # the tree can do without, and nothing must be lost to it
        else:
            self._future.set_exception(error)
        return True


def _generated(request: Request) -> int:
    return request.run.tokens_generated if isinstance(request.run, ContinuedRun) else 0


def distinct(texts: Sequence[str], weights: Doubles) -> tuple[list[str], Doubles]:
    """The heaviest of some texts, equal ones once, and their weights, which sum to 1.

    Args:
        texts: The texts; empty ones do not count.
        weights: Their weights, float64 [texts].
    """
    weight: dict[str, float] = {}
    shown: dict[str, str] = {}
    for text, one in zip(texts, weights.tolist(), strict=True):
        if text.strip():
            key = _words(text)
            weight[key] = weight.get(key, 0.0) + one
            shown.setdefault(key, text)
    kept = sorted(weight, key=lambda key: -weight[key])[:_MOST_OTHERS]
    found = np.array([weight[key] for key in kept], dtype=np.float64)
    if kept and not found.sum():
        found = np.ones(len(kept))
    return [shown[key] for key in kept], found / max(found.sum(), _TINY)


def words_held(claim: str, question: str, others: Sequence[str], weights: Doubles) -> float:
    """Share of a claim's words that other texts have, those of the question aside.

    Args:
        claim: The claim.
        question: The question.
        others: The other texts.
        weights: Their weights, which sum to 1, float64 [others].

    Returns:
        In [0, 1]; NaN without other texts.
    """
    own = stems(claim) - stems(question)
    if not others:
        return math.nan
    return float(weights @ [share_held(own, stems(one[:_MOST_CHARACTERS])) for one in others])


def _shares(
    reply: Reply,
    others: Sequence[str],
    weights: Doubles,
    judged: Sequence[Doubles],
    claims: int,
) -> Doubles:
    """Shares of the other leaves that say so, say otherwise and say neither, float64 [claims, 3]."""
    if not others:
        return np.full((claims, 3), np.nan)
    own = _words(reply.text)
    cube = np.array(
        [
            # A copy of the reply says all that it says.
            np.tile([1.0, 0.0, 0.0], (claims, 1)) if _words(other) == own else one
            for other, one in zip(others, judged, strict=True)
        ]
    )
    known = ~np.isnan(cube).any(axis=2)
    much = weights[:, None] * known
    total = much.sum(axis=0)
    sums = np.einsum("lc,lcs->cs", much, np.where(known[:, :, None], cube, 0.0))
    with np.errstate(invalid="ignore"):
        found: Doubles = np.where(total[:, None] > 0, sums / total[:, None], np.nan)
    return found


def _words(text: str) -> str:
    """A text without its letter case and spacing."""
    return " ".join(text.split()).casefold()
