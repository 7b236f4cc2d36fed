"""Finds out whether a question is unclear, by answering its readings separately.

Input clarification ensembling (arXiv 2311.08718): with readings c of a question x, the entropy of the
answers splits into H(mean_c p(y|x,c)) = I(Y;C) + mean_c H(p(y|x,c)). The first part comes from the
question and calls for asking back. The second comes from the model and calls for a stronger one.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from et_agent.answers import AnswerKind, answer_classes, extract, guess_kind, instruction
from et_agent.arguments import checks_arguments
from et_agent.arrays import Doubles, Ints
from et_agent.asking.reading import path_text
from et_agent.decoding import MultiChain
from et_agent.decoding.base import Decoder, Run, RunInputs
from et_agent.decoding.continued import Continued, ContinuedRun, common_length
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.thinking import unthinking_tokens
from et_agent.decoding.tree import Finish
from et_agent.engines.opening import needing_logits
from et_agent.engines.sampled import AnyModel
from et_agent.errors import PolicyError
from et_agent.gate.decision import Action, Decision, ReadingOption
from et_agent.gate.limits import Limits, Spending
from et_agent.templates.messages import Message

__all__ = [
    "Clarification",
    "Clarifier",
    "chosen",
    "clarified",
    "decomposed",
    "meant",
    "question_after",
]


_READINGS_PROMPT: Final = (
    "You get a question. Write it anew as its author most likely means it. If it can be understood in "
    "one way only, repeat it word for word. If something is left open, fill it in with a guess. Do not "
    "answer it."
)
_EXAMPLES: Final = (
    ("How long is a marathon?", "How many kilometres long is a marathon?"),
    ("What is the capital of Kenya?", "What is the capital of Kenya?"),
    ("When did the queen die?", "In which year did Queen Victoria of the United Kingdom die?"),
    ("What is 12 plus 30?", "What is 12 plus 30?"),
    ("Sort these words: pear, fig, apple", "Sort these words by alphabet: pear, fig, apple"),
)
"""Questions and what is to be made of them."""
_LONGEST_READING: Final = 96
_NUMBER: Final = re.compile(r"\s*\(?(\d{1,3})[.)]?\s*")
_BULLET: Final = re.compile(r"^\s*(?:[-*•]|\(?\d+[.)])\s+")


def clarified(question: str, meaning: str) -> str:
    """The question together with what is meant by it."""
    return f"{question}\n\nWhat is meant: {meaning}"


def chosen(reply: str, options: int) -> int | None:
    """Which option a reply names by its number, counted from 0; None for a reply in words."""
    number = _NUMBER.fullmatch(reply)
    if number is not None and 1 <= int(number[1]) <= options:
        return int(number[1]) - 1
    return None


def meant(reply: str, readings: Sequence[str]) -> str:
    """What a reply says: the text of a reading where it is its number, else the reply itself."""
    number = chosen(reply, len(readings))
    return reply if number is None else readings[number]


@checks_arguments
def question_after(decision: Decision, reply: str) -> str:
    """Combine the question with the user's reply to a question back.

    Raises:
        PolicyError: The decision did not ask back.
    """
    if decision.action is not Action.CLARIFY:
        raise PolicyError(
            f"there is nothing to reply to: the decision did not ask back, its action is "
            f"{decision.action.value!r}"
        )
    said = meant(reply, [reading.text for reading in decision.readings])
    return clarified(decision.question, said.strip())


@dataclass(frozen=True, slots=True)
class Clarification:
    """The readings of a question and their answers.

    Attributes:
        readings: Each reading and its heaviest answer, the most frequent reading first.
        weights: p(reading), float64 [readings].
        answers: p(answer | reading), float64 [readings, answers]; the last column is "no answer". A
            single reading is not answered and has only that column.
        total: Entropy of the answers over all readings, in nats; None if nothing was answered. This
            and the next two attributes ignore leaves without an answer, such as cut-off paths.
        aleatoric: Mutual information of reading and answer, nats.
        epistemic: Mean entropy of the answers within a reading, in nats; None if `total` is None.
        tokens: Tokens generated for the readings and their answers.
        seconds: Wall time.
        complete: False if a limit stopped it.
    """

    readings: tuple[ReadingOption, ...]
    weights: Doubles
    answers: Doubles
    total: float | None
    aleatoric: float
    epistemic: float | None
    tokens: int
    seconds: float
    complete: bool

    @property
    def options(self) -> tuple[ReadingOption, ...]:
        """The options for the user: the most frequent reading of each answer."""
        found: dict[str, ReadingOption] = {}
        for reading in self.readings:
            if reading.answer is not None:
                found.setdefault(reading.answer, reading)
        return tuple(found.values())

    @property
    def question(self) -> str | None:
        """What to ask the user; None if all readings lead to the same answer."""
        options = self.options
        if len(options) < 2:
            return None
        lines = [f"{number}. {option.text}" for number, option in enumerate(options, 1)]
        return "\n".join(["This can be meant in several ways. Which one do you mean?", *lines])


def decomposed(weights: Doubles, answers: Doubles) -> tuple[float, float, float]:
    """Total, aleatoric and epistemic entropy, nats (arXiv 2311.08718, equation 3).

    Args:
        weights: p(reading), float64 [readings].
        answers: p(answer | reading), float64 [readings, answers]; rows sum to 1.
    """
    total = _entropy(weights @ answers)
    epistemic = float(weights @ np.array([_entropy(row) for row in answers]))
    return total, max(0.0, total - epistemic), epistemic


def _entropy(shares: Doubles) -> float:
    known = shares[shares > 0]
    return max(0.0, float(-(known * np.log(known)).sum()))


def _information(weights: Doubles, owners: Ints, classes: Ints) -> tuple[float, float, float]:
    """`decomposed` over the leaves that gave an answer; readings without any are left out."""
    counts = np.zeros((weights.size, int(classes.max(initial=0)) + 1))
    np.add.at(counts, (owners, classes), 1.0)
    answered = counts.sum(axis=1) > 0
    if not answered.any():
        return 0.0, 0.0, 0.0
    known = weights[answered] / weights[answered].sum()
    return decomposed(known, counts[answered] / counts[answered].sum(axis=1, keepdims=True))


def _shares(leaves: Ints, classes: int) -> Doubles:
    counts = np.array([np.bincount(row, minlength=classes) for row in leaves], dtype=np.float64)
    shares: Doubles = counts / leaves.shape[1]
    return shares


class Clarifier:
    """Asks a model how a question may be meant, and answers each reading with a small tree.

    Args:
        model: A loaded model with a chat template.
        leaves: Leaves of each reading's tree.
        drafts: How often the model is asked for a reading. Equal readings are counted together, which
            gives p(reading).
        temperature: Sampling temperature of readings and answers.
        max_tokens: Longest answer in tokens.
        seed: Random seed, at least 0.

    Raises:
        UnsupportedModelError: The model gives no logits.
    """

    @checks_arguments
    def __init__(
        self,
        model: AnyModel,
        *,
        leaves: int = 4,
        drafts: int = 8,
        temperature: float = 0.7,
        max_tokens: int = 320,
        seed: int = 0,
    ) -> None:
        self.model = needing_logits(model, "finding readings of a question (clarify)")
        self.leaves = leaves
        self.drafts = drafts
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.seed = seed

    def examine(
        self,
        question: str,
        *,
        readings: int = 4,
        kind: AnswerKind | str = AnswerKind.AUTO,
        system_prompt: str | None = None,
        max_tokens: int | None = None,
        max_seconds: float | None = None,
    ) -> Clarification:
        """Find and compare the readings of a question.

        Args:
            question: The question.
            readings: Largest number of readings.
            kind: What an answer is.
            system_prompt: Replaces the kind's default instruction.
            max_tokens: Tokens that may be generated in total; None for no limit.
            max_seconds: Wall time in total, in seconds; None for no limit.

        Raises:
            UnsupportedModelError: The model has no chat template.
            QuestionError: The prompts do not fit the context.
            EtAgentError: Decoding failed.
        """
        spending = Spending(Limits(max_tokens, max_seconds))
        texts, weights = self._readings(question, readings, spending)
        decided = AnswerKind(kind)
        if decided is AnswerKind.AUTO:
            decided = guess_kind(question).kind
        found = None
        if len(texts) > 1 and not spending.reached:
            system = instruction(decided) if system_prompt is None else system_prompt
            found = self._answered(question, texts, decided, system, spending)
        if found is None:
            found = [], np.zeros((len(texts), 1), dtype=np.int64)
        labels, leaves = found
        known = bool(labels) and not spending.reached
        answers = _shares(leaves, len(labels) + 1)
        owners, at = np.nonzero(leaves < len(labels))
        classes = leaves[owners, at]
        total, aleatoric, epistemic = _information(weights, owners, classes)
        said = [
            labels[int(row[:-1].argmax())] if labels and row[:-1].any() else None for row in answers
        ]
        return Clarification(
            readings=tuple(
                ReadingOption(text=text, answer=answer)
                for text, answer in zip(texts, said, strict=True)
            ),
            weights=weights,
            answers=answers,
            total=total if known else None,
            aleatoric=aleatoric,
            epistemic=epistemic if known else None,
            tokens=spending.tokens,
            seconds=spending.seconds,
            complete=not spending.reached,
        )

    def _answered(
        self, question: str, texts: Sequence[str], kind: AnswerKind, system: str, spending: Spending
    ) -> tuple[list[str], Ints] | None:
        """Answer the readings; None when a limit stopped it."""
        head: list[Message] = [{"role": "system", "content": system}] if system else []
        prompts = [
            unthinking_tokens(
                self.model, [*head, {"role": "user", "content": clarified(question, text)}]
            )
            for text in texts
        ]
        common = common_length(prompts)
        continued = Continued(
            continuations=tuple(tuple(prompt[common:]) for prompt in prompts),
            leaves=self.leaves,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
        )
        run = self._run(prompts[0][:common], continued, spending)
        assert isinstance(run, ContinuedRun)
        return None if spending.reached else self._read(run, len(texts), question, kind)

    def _readings(self, question: str, most: int, spending: Spending) -> tuple[list[str], Doubles]:
        """Different readings, most frequent first, and their shares of the drafts."""
        messages: list[Message] = [{"role": "system", "content": _READINGS_PROMPT}]
        for shown, anew in (*_EXAMPLES, (question, None)):
            messages.append({"role": "user", "content": shown})
            if anew is not None:
                messages.append({"role": "assistant", "content": anew})
        prompt = unthinking_tokens(self.model, messages)
        drafts = MultiChain(
            leaves=self.drafts, temperature=self.temperature, max_tokens=_LONGEST_READING
        )
        tree = self._run(prompt, drafts, spending).tree
        found: Counter[str] = Counter()
        spelling: dict[str, str] = {}
        for branch in tree.branches:
            if branch.finish is not Finish.STOP:
                continue
            reading = _one_line(path_text(self.model, tree.path(branch.id)))
            if reading:
                key = re.sub(r"\W+", " ", reading).strip().casefold()
                found[key] += 1
                spelling.setdefault(key, reading)
        if not found:
            return [question], np.ones(1)
        best = found.most_common(most)
        counts = np.array([count for _, count in best], dtype=np.float64)
        return [spelling[key] for key, _ in best], counts / counts.sum()

    def _run(self, prompt: list[int], decoder: Decoder, spending: Spending) -> Run:
        inputs = RunInputs(
            prompt_length=len(prompt), stop_tokens=self.model.info.stop_tokens, seed=self.seed
        )
        scheduler = scheduler_of(self.model)
        request = scheduler.prepare(prompt, decoder, inputs, on_step=spending.watch)
        request.deadline = spending.deadline
        scheduler.queue(request)
        run = spending.wait(request, request.result)
        spending.count(request)
        return run

    def _read(
        self, run: ContinuedRun, readings: int, question: str, kind: AnswerKind
    ) -> tuple[list[str], Ints]:
        """Labels of the answers, and the class of each leaf of each reading; the last is none."""
        owners, answers = [], []
        for branch in run.tree.branches[1:]:
            text = path_text(self.model, run.generated(branch.id))
            finished = branch.finish is Finish.STOP
            found = extract(text, kind, question=question, finished=finished)
            # A leaf counts once for every code that it carries.
            owners += [run.given(branch.id)] * branch.codes
            answers += [found] * branch.codes
        classes = answer_classes(answers, kind)
        none = len(classes.labels)
        index = [none if at is None else at for at in classes.index_of_leaf]
        leaves = [
            [at for at, owner in zip(index, owners, strict=True) if owner == number]
            for number in range(readings)
        ]
        return list(classes.labels), np.array(leaves, dtype=np.int64)


def _one_line(text: str) -> str:
    """The first line of a reply that says something, without bullet and quotation marks."""
    lines = (_BULLET.sub("", line).strip().strip("\"'`*").strip() for line in text.splitlines())
    return next((line for line in lines if line and not line.endswith(":")), "")
