"""Whether a text says that an answer is the one to a question, as a model tells by examples.

Questions that a text seems to answer, and does not, differ from those that it answers in a name, a
date or a word. Asked without examples, small models say yes to both. So they are asked with examples,
and the other way round: how likely is each word of the question, given the answer?
"""

from typing import Final

from et_agent.decoding.thinking import unthinking_tokens
from et_agent.engines.base import LanguageModel
from et_agent.templates.messages import Message, with_examples

__all__ = ["asking_prompt", "stating_prompt"]

_CHECK: Final = (
    "You check answers to questions about a text. Reply Yes if the text says that this is the answer "
    "to exactly this question. Reply No if the text says it of something else than the question asks "
    "about: another person, thing, place or time, or the opposite."
)
_CHECKED: Final = (
    (
        "In 1931 the engineer Ada Brandt designed the harbour bridge, and her brother Karl painted it.",
        (
            ("Who painted the harbour bridge?", "Karl", "Yes"),
            ("Who painted the town hall?", "Karl", "No"),
        ),
    ),
    (
        "After a fire destroyed its mill, the company moved from Leeds to York in 1962.",
        (
            ("In what year did the company leave York?", "1962", "No"),
            ("What destroyed the company's mill?", "a fire", "Yes"),
        ),
    ),
    (
        "Unlike the barley, the rye survived the frost of 1879.",
        (
            ("Which crop survived the frost?", "the rye", "Yes"),
            ("Which crop was lost in the frost?", "the rye", "No"),
        ),
    ),
    (
        "Berger was elected mayor in 1950 and opened the new library two years later.",
        (
            ("In what year was Berger born?", "1950", "No"),
            ("What did Berger open?", "the new library", "Yes"),
        ),
    ),
)
"""Examples: a text, and questions with an answer and the reply. As many yes as no."""
_ASK: Final = (
    "You write questions about a text. Write the question to which the text says that this is the "
    "answer."
)


def stating_prompt(model: LanguageModel, text: str, question: str, answer: str) -> list[int]:
    """Tokens of a prompt that asks whether a text says an answer; the reply, Yes or No, follows.

    The examples come first, so that they are evaluated once.

    Args:
        model: A loaded model with a chat template.
        text: The text, best no more than the sentences that hold the answer.
        question: The question.
        answer: The answer.

    Raises:
        UnsupportedModelError: The model has no chat template.
    """
    return unthinking_tokens(model, [*_EXAMPLES, _asked(text, question, answer)])


def asking_prompt(model: LanguageModel, text: str, answer: str) -> list[int]:
    """Tokens of a prompt that asks for the question that an answer is the one to; the question follows.

    The examples come first, so that they are evaluated once.

    Args:
        model: A loaded model with a chat template.
        text: The text, best no more than the sentences that hold the answer.
        answer: The answer.

    Raises:
        UnsupportedModelError: The model has no chat template.
    """
    return unthinking_tokens(model, [*_QUESTIONS, _answered(text, answer)])


def _answered(text: str, answer: str) -> Message:
    return {"role": "user", "content": f"Text: {text}\n\nAnswer: {answer}"}


def _asked(text: str, question: str, answer: str) -> Message:
    content = f"Text: {text}\n\nQuestion: {question}\nAnswer: {answer}"
    return {"role": "user", "content": content}


_EXAMPLES: Final = with_examples(
    _CHECK,
    (
        (_asked(text, question, answer), reply)
        for text, some in _CHECKED
        for question, answer, reply in some
    ),
)
_QUESTIONS: Final = with_examples(
    _ASK,
    (
        (_answered(text, answer), question)
        for text, some in _CHECKED
        for question, answer, reply in some
        if reply == "Yes"
    ),
)
