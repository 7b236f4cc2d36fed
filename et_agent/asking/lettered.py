"""The prompts of a question whose options' letters are read: one for each order of the options."""

from collections import Counter
from collections.abc import Callable, Sequence

from et_agent.answers.choice import rotations_of
from et_agent.decoding.continued import common_length
from et_agent.decoding.direct import Lettered
from et_agent.engines.base import LanguageModel
from et_agent.errors import SettingsError

__all__ = ["lettered_prompt"]


def lettered_prompt(
    model: LanguageModel, question: str, tokens_of: Callable[[str], list[int]]
) -> tuple[list[int], Lettered]:
    """The common beginning of the prompts, tokens, and how each goes on.

    Args:
        model: The model.
        question: The question as asked.
        tokens_of: From the question, its options in some order, to a prompt.

    Raises:
        SettingsError: The question has no lettered options.
    """
    orders = rotations_of(question)
    if not orders:
        raise SettingsError(
            "Direct reads the letters of options, and the question has none: write them on lines of "
            'their own, such as "A) …", or use another decoder'
        )
    prompts = [tokens_of(text) for text, _ in orders]
    common = common_length(prompts)
    _, letters = orders[0]
    begins = _first_tokens(model, letters)
    return prompts[0][:common], Lettered(
        continuations=tuple(tuple(prompt[common:]) for prompt in prompts),
        letters=tuple(
            tuple(begins[letters[shown.index(option)]] for option in letters) for _, shown in orders
        ),
        tokens=tuple(model.tokenize(one)[0] for one in letters),
    )


def _first_tokens(model: LanguageModel, letters: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The tokens that a reply begins with which is a letter, with or without a space before it.

    A token that several letters share, such as the space alone, tells nothing.
    """
    found = {one: {model.tokenize(form)[0] for form in (one, f" {one}")} for one in letters}
    times = Counter(token for tokens in found.values() for token in tokens)
    return {
        one: tuple(sorted(token for token in tokens if times[token] == 1))
        for one, tokens in found.items()
    }
