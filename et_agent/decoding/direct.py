"""Reads the letters of a question's options right after the prompt, without reasoning."""

import math
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from et_agent.arrays import Doubles
from et_agent.decoding.base import DecoderSettings, RunInputs
from et_agent.decoding.probe import ReadingRun, masses
from et_agent.decoding.sampling import Distribution, TokenStatistics
from et_agent.decoding.tree import Finish, ForkKind, Tree
from et_agent.errors import SettingsError

__all__ = ["Direct", "DirectRun", "Lettered"]


_LEAST: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Lettered:
    """A question with lettered options, in several orders of these.

    Attributes:
        continuations: What follows the common beginning of the prompts, tokens of each order.
        letters: The tokens that begin the letter of each option, [orders][options], options as the
            question has them.
        tokens: The token of each option's own letter.
    """

    continuations: tuple[tuple[int, ...], ...]
    letters: tuple[tuple[tuple[int, ...], ...], ...]
    tokens: tuple[int, ...]


class Direct(DecoderSettings):
    """Reads the probability of each option's letter right after the prompt; no token is generated.

    The question is read once for each cyclic order of its options, so that each option stands once
    behind each letter: models prefer some letters and places whatever these say (Zheng et al. 2024,
    arXiv 2309.03882). A tree of one leaf per order and option comes of it. An order has the same share
    as each other one, an option its probability among the options.
    """

    ignored_in_fingerprint: ClassVar[frozenset[str]] = frozenset({"max_tokens"})

    def start(self, inputs: RunInputs) -> "DirectRun":
        """Begin reading.

        Raises:
            SettingsError: The question has no lettered options.
        """
        return DirectRun(self, inputs)


class DirectRun(ReadingRun):
    """The reading. Its branches are the prompts while it runs; then its tree is that of the letters."""

    def __init__(self, settings: Direct, inputs: RunInputs) -> None:
        if inputs.lettered is None:
            raise SettingsError("Direct reads the letters of options, and none were given")
        self._lettered = inputs.lettered
        super().__init__(settings, inputs, self._lettered.continuations)
        self._found: Doubles = np.zeros((len(self._lettered.letters), len(self._lettered.tokens)))
        self._statistics: dict[int, TokenStatistics] = {}

    def _read(self, number: int, distribution: Distribution) -> None:
        self._found[number] = masses(distribution, self._lettered.letters[number])
        self._statistics[number] = distribution.statistics
        if not self._running:
            self.tree = self._tree_of_letters()

    def _tree_of_letters(self) -> Tree:
        tokens = self._lettered.tokens
        # A model that gives no letter any probability prefers none.
        found = np.maximum(self._found, _LEAST)
        within = found / found.sum(axis=1, keepdims=True)
        tree = Tree(self.inputs.prompt_length)
        shares: list[float] = (within / len(found)).ravel().tolist()
        shares[0] = 1.0 - sum(shares[1:])
        tree.fork(0, 0, ForkKind.DISTINCT, self._statistics[0].entropy, shares[0], shares[1:])
        for leaf, (branch, probability) in enumerate(
            zip(tree.branches, found.ravel().tolist(), strict=True)
        ):
            order, option = divmod(leaf, len(tokens))
            branch.tokens.append(tokens[option])
            branch.statistics.append(self._statistics[order])
            branch.log_probs.append(math.log(probability))
            branch.probabilities.append(probability)
            branch.finish = Finish.STOP
        return tree
