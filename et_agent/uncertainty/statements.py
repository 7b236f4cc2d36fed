"""What the model says of single statements: what a sentence states, and whether a text says so.

Nothing here waits: each function prepares what the scheduler is to read or decode.
"""

from collections.abc import Sequence
from typing import Final

from et_agent.answers.overlap import share_held, stems
from et_agent.decoding.continued import Continued, common_length
from et_agent.decoding.probe import Probe
from et_agent.decoding.thinking import unthinking_tokens
from et_agent.engines.base import LanguageModel
from et_agent.templates.messages import Message
from et_agent.uncertainty.self_evaluation import probe_of

__all__ = ["TRUE_FALSE", "WHETHER_TRUE", "checked_by", "split_up", "stated_in"]

TRUE_FALSE: Final = ("True", "False")
WHETHER_TRUE: Final = (
    "Someone replied to this with several statements. Is the following one true? Reply with one word, "
    "True or False.\n\n{statement}"
)
"""What follows a question to ask whether a statement of a reply to it is true."""
_JUDGED: Final = ("True", "False", "Unknown")
_BY_TEXT: Final = (
    "Question: {question}\n\nText: {text}\n\nJudging by this text alone, is the following statement "
    "true? Reply with one word: True, False or Unknown.\n\n{statement}"
)
"""The statement comes last, so that all before it is evaluated once."""
_SPLIT: Final = (
    "Split the sentence into short statements with one fact each. Repeat the names, add nothing, and "
    "write one statement per line.\n\n"
)
_EXAMPLES: Final = (
    (
        "Ada Lovelace, who was born in London in 1815, was a mathematician and wrote the first "
        "program.",
        "Ada Lovelace was born in London.\nAda Lovelace was born in 1815.\nAda Lovelace was a "
        "mathematician.\nAda Lovelace wrote the first program.",
    ),
    ("The lake lies high in the mountains.", "The lake lies high in the mountains."),
)
_MOST_TOKENS: Final = 128
_MOST_STATEMENTS: Final = 6
_LEAST_HELD: Final = 0.8
_COLDEST: Final = 0.001


def checked_by(
    model: LanguageModel, question: str, text: str, statements: Sequence[str]
) -> tuple[list[int], Probe]:
    """A prompt, and a probe of whether a text says that statements are true, or otherwise, or neither.

    The text is evaluated once for all statements.

    Args:
        model: A model with a chat template.
        question: The question that the text replies to.
        text: The text.
        statements: The statements, at least one.

    Returns:
        The prompt and the probe; `word_shares` of its run are [statements, 3] in this order.
    """
    asked = (
        _BY_TEXT.format(question=question, text=text, statement=one.rstrip()) for one in statements
    )
    prompts = [unthinking_tokens(model, [_user(one)]) for one in asked]
    return probe_of(model, prompts, _JUDGED)


def split_up(model: LanguageModel, sentences: Sequence[str]) -> tuple[list[int], Continued]:
    """A prompt, and a run that writes down what each sentence states, one fact per line.

    Args:
        model: A model with a chat template.
        sentences: The sentences, at least one.

    Returns:
        The prompt and the decoder; `stated_in` reads the text that it generates for each sentence.
    """
    shown: list[Message] = []
    for at, (sentence, lines) in enumerate(_EXAMPLES):
        shown += [
            _user(sentence if at else f"{_SPLIT}{sentence}"),
            {"role": "assistant", "content": lines},
        ]
    prompts = [unthinking_tokens(model, [*shown, _user(one)]) for one in sentences]
    common = common_length(prompts)
    decoder = Continued(
        continuations=tuple(tuple(one[common:]) for one in prompts),
        leaves=1,
        temperature=_COLDEST,
        max_tokens=_MOST_TOKENS,
    )
    return prompts[0][:common], decoder


def stated_in(sentence: str, written: str) -> list[str]:
    """The statements of a sentence that a model wrote down, or the sentence where they are unsound.

    A statement has to be made of the sentence's own words and numbers, and says more than parts of
    another one. Together they have to hold what the sentence has.

    Args:
        sentence: The sentence.
        written: What the model wrote, one statement per line.
    """
    whole = stems(sentence)
    found: dict[frozenset[str], str] = {}
    for line in written.splitlines()[:_MOST_STATEMENTS]:
        words = stems(line)
        if words and share_held(words, whole) >= _LEAST_HELD and _numbers(words) <= whole:
            found.setdefault(words, line.strip())
    statements = [
        line for words, line in found.items() if not any(words < other for other in found)
    ]
    said = frozenset[str]().union(*map(stems, statements))
    sound = share_held(whole, said) >= _LEAST_HELD and _numbers(whole) <= said
    return statements if sound and len(statements) > 1 else [sentence]


def _numbers(words: frozenset[str]) -> frozenset[str]:
    return frozenset(one for one in words if any(map(str.isdigit, one)))


def _user(text: str) -> Message:
    return {"role": "user", "content": text}
