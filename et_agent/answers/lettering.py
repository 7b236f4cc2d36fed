"""Options given beside a question, put below it as lettered lines."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from et_agent.answers.choice import options_of
from et_agent.answers.option_letters import LATIN
from et_agent.arguments import checks_arguments
from et_agent.errors import QuestionError
from et_agent.wording import counted

__all__ = ["MOST_CHOICES", "lettered", "with_choices"]

MOST_CHOICES: Final = len(LATIN)
"""Options that a question may have: as many as there are letters."""


def lettered(question: str, choices: Sequence[str]) -> str:
    """A question with its choices below it, one per line, as "A) …".

    Args:
        question: The question.
        choices: At most `MOST_CHOICES`, each as it shall stand there.
    """
    lines = [f"{letter}) {one}" for letter, one in zip(LATIN[: len(choices)], choices, strict=True)]
    return "\n".join([question, *lines])


@checks_arguments(error=QuestionError)
def with_choices(question: str, choices: Sequence[str]) -> str:
    """A question that offers these choices, to be asked as kind "choice": the answer is a letter.

    Args:
        question: The question; it names no options itself.
        choices: 2 to `MOST_CHOICES` texts. Line breaks in them become spaces.

    Raises:
        QuestionError: There are too few or too many, one is empty or occurs twice, or the
            question offers options itself.
    """
    if options_of(question):
        raise QuestionError("the question offers choices of its own: leave out one or the other")
    folded = [" ".join(one.split()) for one in choices]
    if not 2 <= len(folded) <= MOST_CHOICES:
        raise QuestionError(f"{counted(folded, 'choice')}: 2 to {MOST_CHOICES} are needed")
    if not all(folded):
        raise QuestionError("a choice is empty: leave it out, or write what it stands for")
    twice = [one for one, count in Counter(folded).items() if count > 1]
    if twice:
        raise QuestionError(f"two choices are alike ({twice[0]!r:.80}): leave out one of them")
    return lettered(question, folded)
