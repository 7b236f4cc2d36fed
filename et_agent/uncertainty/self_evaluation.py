"""What the model itself says of a question and its answers: whether it can be answered, what is right.

All read the probabilities of two words after a chat prompt, so nothing is decoded. The prompts'
common beginning is evaluated once.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np

from et_agent.answers.joining import cliques
from et_agent.arrays import Doubles
from et_agent.decoding.base import Run, RunInputs
from et_agent.decoding.continued import common_length
from et_agent.decoding.probe import Probe, ProbeRun
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.thinking import unthinking_tokens
from et_agent.engines.base import LanguageModel
from et_agent.templates.messages import Message, with_examples

__all__ = [
    "ANSWERABLE",
    "ANSWERED",
    "YES_NO",
    "equivalence_prompts",
    "equivalences",
    "first_word_shares",
    "judged_equivalences",
    "meaning_classes",
    "p_answerable",
    "p_true",
    "p_unclear",
    "probe_of",
    "word_probe",
    "word_shares",
]

YES_NO: Final = ("Yes", "No")
ANSWERABLE: Final = (
    "Can the question above be answered with certainty from what it says and from common knowledge? "
    "Reply with one word, Yes or No."
)
"""What follows a question to ask whether it can be answered at all."""
ANSWERED: Final = (
    "Do the passages above say the answer to the question? Reply with one word, Yes or No."
)
"""What follows passages and a question to ask whether they hold its answer."""
_MOST_IDEAS: Final = 10
_LEAST: Final = 1e-9
_LEANING: Final = float(np.log(0.8 / 0.2))
"""In log-odds, by which judges of pairs lean to "Yes"."""
_COMPARE: Final = (
    "You compare two answers to a question. Reply Yes if they give the same answer in other words, and "
    "No if they give different answers."
)
_COMPARED: Final = (
    ("Where was the actor born?", "Boston, Massachusetts", "He was born in Boston", "Yes"),
    (
        "Where was the actor born?",
        "He was born in New York City",
        "He was born in New Jersey",
        "No",
    ),
    ("What is the job of a notary?", "to witness signatures", "A notary writes laws", "No"),
    (
        "What is the job of a notary?",
        "to witness signatures",
        "A notary watches people sign documents",
        "Yes",
    ),
    ("Who led the revolt?", "The farmers", "A group of farmers led the revolt", "Yes"),
    ("Who led the revolt?", "John Reed", "John Miller was its leader", "No"),
)
"""Examples: question, two answers, and the reply. As many yes as no, for small models lean to one."""


def p_true(model: LanguageModel, question: str, answers: Sequence[str], proposed: str) -> float:
    """Probability that the model gives "True" against "False", asked whether its answer is right.

    P(True) of Kadavath et al. 2022 with brainstormed ideas shown, zero-shot.

    Args:
        model: A loaded model with a chat template.
        question: The question.
        answers: Its sampled answers; the first ten are shown, if there are any.
        proposed: The one to judge.

    Returns:
        In [0, 1]; NaN when the model gives neither word any probability.

    Raises:
        UnsupportedModelError: The model has no chat template.
        QuestionError: The prompt does not fit the context.
    """
    ideas = "\n".join(answers[:_MOST_IDEAS])
    shown = f"Some ideas that came up:\n{ideas}\n\n" if ideas else ""
    text = (
        f"Question: {question}\n\n{shown}"
        f"Proposed answer: {proposed}\n\n"
        "Is the proposed answer true or false? Reply with one word, True or False."
    )
    return float(_shares(model, [text], ("True", "False"))[0])


def p_unclear(model: LanguageModel, question: str) -> float:
    """Probability that the model gives "Yes" against "No", asked whether a question is unclear.

    The plain way to detect ambiguity, which `et_agent.gate.Clarifier` is held against.

    Args:
        model: A loaded model with a chat template.
        question: The question.

    Returns:
        In [0, 1]; NaN when the model gives neither word any probability.

    Raises:
        UnsupportedModelError: The model has no chat template.
        QuestionError: The prompt does not fit the context.
    """
    text = (
        f"Question: {question}\n\nCan this be understood in more than one way, so that you would "
        "have to ask back before you answer? Reply with one word, Yes or No."
    )
    return float(_shares(model, [text], YES_NO)[0])


def p_answerable(model: LanguageModel, questions: Sequence[str], instruction: str = "") -> Doubles:
    """Probability that the model gives "Yes" against "No", asked whether a question can be answered.

    Votes cannot tell that a question lacks something: every path makes the same sum of what is there.

    Args:
        model: A loaded model with a chat template.
        questions: The questions, at least one.
        instruction: The system prompt that they are asked with.

    Returns:
        In [0, 1], float64 [questions]; NaN when the model gives neither word any probability.

    Raises:
        UnsupportedModelError: The model has no chat template.
        QuestionError: A prompt does not fit the context.
    """
    texts = [f"{question}\n\n{ANSWERABLE}" for question in questions]
    return _shares(model, texts, YES_NO, instruction)


def meaning_classes(model: LanguageModel, question: str, answers: Sequence[str]) -> list[int]:
    """Group answers that entail each other, as the model itself sees it.

    The classes of semantic entropy (Farquhar et al. 2024), with the model's own "Yes" against "No" in
    place of a second model, and with answers that entail all others of their class instead of its first
    one only (`et_agent.answers.joining.cliques`). All pairs are read in one batch.

    Args:
        model: A loaded model with a chat template.
        question: The question that the answers are to.
        answers: Answers, all different.

    Returns:
        For each answer the index of the first answer of its class.

    Raises:
        UnsupportedModelError: The model has no chat template.
        QuestionError: The prompt does not fit the context.
    """
    pairs = list(combinations(range(len(answers)), 2))
    links = np.full((len(answers), len(answers)), np.nan)
    if pairs:
        given = [(answers[one], answers[other]) for one, other in pairs]
        links[tuple(zip(*pairs, strict=True))] = judged_equivalences(model, question, given)
    return cliques(np.fmax(links, links.T))


def judged_equivalences(
    model: LanguageModel, question: str, pairs: Sequence[tuple[str, str]]
) -> Doubles:
    """Probability that the answers of each pair say the same, as the model itself sees it.

    Args:
        model: A loaded model with a chat template.
        question: What all of them answer.
        pairs: Answers, at least one pair.

    Returns:
        float64 [pairs].

    Raises:
        UnsupportedModelError: The model has no chat template.
        QuestionError: The prompt does not fit the context.
    """
    return equivalences(_shares_after(model, equivalence_prompts(model, question, pairs), YES_NO))


def equivalence_prompts(
    model: LanguageModel, question: str, pairs: Sequence[tuple[str, str]]
) -> list[list[int]]:
    """Prompts that ask whether answers entail each other, two for each pair, one for each direction.

    What all have in common, examples and the question, comes first and is evaluated once.

    Args:
        model: A loaded model with a chat template.
        question: What both answer.
        pairs: Answers.

    Raises:
        UnsupportedModelError: The model has no chat template.
    """
    return [
        unthinking_tokens(model, [*_EXAMPLES, _comparison(question, first, second)])
        for pair in pairs
        for first, second in (pair, pair[::-1])
    ]


def equivalences(shares: Doubles) -> Doubles:
    """Probability that both of each pair say the same, from `equivalence_prompts` as they were read.

    It is the mean of both directions in log-odds. Small models lean to the one or the other answer by
    the order, which cancels out so, and does not if the lesser of both counts. They lean to "Yes" as
    well: even odds are put where the pairs to choose on (`benchmarks.meaning`) are told best.

    Args:
        shares: Probability of "Yes" against "No", float64 [2 * pairs]; NaN counts as "No".

    Returns:
        float64 [pairs].
    """
    sure = np.clip(np.nan_to_num(shares, nan=0.0), _LEAST, 1.0 - _LEAST).reshape(-1, 2)
    odds = np.log(sure / (1.0 - sure)).mean(axis=1) - _LEANING
    found: Doubles = 1.0 / (1.0 + np.exp(-odds))
    return found


def _comparison(question: str, first: str, second: str) -> Message:
    text = f"Question: {question}\nFirst answer: {first}\nSecond answer: {second}"
    return {"role": "user", "content": text}


def _shares(
    model: LanguageModel, texts: Sequence[str], words: tuple[str, str], instruction: str = ""
) -> Doubles:
    """Probability of the first word against the second as the reply, float64 [texts]."""
    system: list[Message] = [{"role": "system", "content": instruction}] if instruction else []
    prompts = [
        unthinking_tokens(model, [*system, {"role": "user", "content": text}]) for text in texts
    ]
    return _shares_after(model, prompts, words)


def _shares_after(
    model: LanguageModel, prompts: Sequence[Sequence[int]], words: tuple[str, str]
) -> Doubles:
    """The same of prompts, tokens."""
    prompt, probe = probe_of(model, prompts, words)
    inputs = RunInputs(prompt_length=len(prompt), stop_tokens=model.info.stop_tokens)
    return first_word_shares(scheduler_of(model).submit(prompt, probe, inputs).result())


def probe_of(
    model: LanguageModel, prompts: Sequence[Sequence[int]], words: tuple[str, ...]
) -> tuple[list[int], Probe]:
    """What prompts have in common, and a `word_probe` that goes on from there with each of them.

    Args:
        model: The model.
        prompts: Tokens, at least one prompt and none of them empty.
        words: The words.
    """
    common = common_length(prompts)
    probe = word_probe(model, words, [one[common:] for one in prompts])
    return list(prompts[0][:common]), probe


_EXAMPLES: Final = with_examples(
    _COMPARE, ((_comparison(*asked), reply) for *asked, reply in _COMPARED)
)


def word_probe(
    model: LanguageModel,
    words: tuple[str, ...] = YES_NO,
    continuations: Sequence[Sequence[int]] = (),
) -> Probe:
    """A probe that reads which of some words the model would reply with.

    Args:
        model: The model.
        words: The words; tokens that several begin with count for none of them.
        continuations: What follows the common beginning of several prompts, tokens, none of them
            empty; nothing for one prompt.
    """
    begun = [_first_tokens(model, word) for word in words]
    counts = Counter(token for tokens in begun for token in tokens)
    return Probe(
        continuations=tuple(map(tuple, continuations)),
        words=tuple(tuple(one for one in tokens if counts[one] == 1) for tokens in begun),
    )


def first_word_shares(run: Run) -> Doubles:
    """Probability of a `word_probe`'s first word against its second one, float64 [prompts].

    NaN where the model gives neither word any probability, and where nothing was read.
    """
    first: Doubles = word_shares(run)[:, 0]
    return first


def word_shares(run: Run) -> Doubles:
    """Probability of each of a `word_probe`'s words against the others, float64 [prompts, words].

    NaN where the model gives none of them any probability, and where nothing was read.
    """
    assert isinstance(run, ProbeRun)
    with np.errstate(invalid="ignore"):
        shares: Doubles = run.probabilities / run.probabilities.sum(axis=1, keepdims=True)
    return shares


def _first_tokens(model: LanguageModel, word: str) -> set[int]:
    """The tokens that the usual spellings of a word begin with."""
    spellings = (word, word.lower(), word.upper(), f" {word}", f" {word.lower()}")
    return {model.tokenize(one)[0] for one in spellings}
