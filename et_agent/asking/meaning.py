"""Which answers of a tree say the same in other words, where their words alone do not tell.

When the tree has ended, the model that gave the answers is asked about the pairs that the tests of
`et_agent.answers.meaning` leave open, in both directions, in one batch. Nothing is decoded. A judge of
the caller's own (`Equivalence`) is asked in its place, in the thread that waits for the result.
"""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, SupportsFloat

from et_agent.answers.joining import Equivalence
from et_agent.asking.reading import PathReader
from et_agent.decoding.base import RunInputs
from et_agent.decoding.continued import common_length
from et_agent.decoding.request import Request
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.tree import Tree
from et_agent.engines.base import LanguageModel
from et_agent.engines.sampled import AnyModel
from et_agent.errors import EtAgentError, SettingsError
from et_agent.uncertainty.self_evaluation import (
    equivalence_prompts,
    equivalences,
    first_word_shares,
    word_probe,
)
from et_agent.waiting import outcome
from et_agent.wording import counted

__all__ = ["MOST_PAIRS", "NOT_JUDGED", "Judgement", "MeaningReader"]

MOST_PAIRS: Final = 24
"""Pairs of answers that are judged at most, the heaviest; the others count as different."""

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge said.

    Attributes:
        same: Probability that the answers of a pair say the same.
        tokens: Tokens that were read for it.
        seconds: Time that it took.
        left: Pairs that were not judged: there were too many.
    """

    same: Mapping[tuple[str, str], float] = field(default_factory=dict)
    tokens: int = 0
    seconds: float = 0.0
    left: int = 0

    @property
    def notes(self) -> list[str]:
        """What the user should know of it."""
        if not self.left:
            return []
        return [
            f"{counted(self.left, 'pair')} of answers compared by their words alone: there were more "
            f"than {MOST_PAIRS} of which words do not tell whether they say the same"
        ]


NOT_JUDGED: Final = Judgement()


class MeaningReader:
    """Asks a judge when a tree has ended.

    Args:
        model: The model.
        question: What was asked.
        reader: Reads the leaves.
        judge: Who is asked; None for the model itself.
    """

    def __init__(
        self,
        model: AnyModel,
        question: str,
        reader: PathReader,
        judge: Equivalence | None = None,
    ) -> None:
        self._model, self._question, self._reader, self._judge = model, question, reader, judge
        self._future: Future[Judgement] = Future()
        self._request: Request | None = None
        self._lock = threading.Lock()
        self._own: Judgement | None = None

    @property
    def future(self) -> "Future[Judgement]":
        """What the model said; nothing where there was nothing to ask, or it could not be asked."""
        return self._future

    def cancel(self) -> None:
        """Ask no more; pairs then count as different."""
        if self._request is not None:
            self._request.cancel()

    def begin(self, tree_request: Request) -> None:
        """Queue the question; called in the model's thread when the tree has ended."""
        try:
            if tree_request.cancelled or self._judge is not None:
                self._future.set_result(NOT_JUDGED)
                return
            undecided = self._reader.read_tree(tree_request.result().tree).undecided
            if undecided:
                self._ask(undecided[:MOST_PAIRS], len(undecided[MOST_PAIRS:]))
            else:
                self._future.set_result(NOT_JUDGED)
        except EtAgentError:
            self._future.set_result(NOT_JUDGED)  # the tree can do without
        except BaseException as error:
            self._future.set_exception(error)

    def judgement(self, tree: Tree, timeout: float | None = None) -> Judgement:
        """What the judge said.

        Args:
            tree: The finished tree.
            timeout: Seconds to wait for the model.

        Raises:
            TimeoutError: It took longer.
            SettingsError: A judge of the caller's own failed, or does not give one probability for each
                pair.
        """
        if self._judge is None:
            return outcome(self._future, timeout)
        with self._lock:
            if self._own is None:
                self._own = self._by_judge(self._judge, tree)
            return self._own

    def _by_judge(self, judge: Equivalence, tree: Tree) -> Judgement:
        undecided = self._reader.read_tree(tree).undecided
        pairs = undecided[:MOST_PAIRS]
        said = _asked(judge, self._question, pairs) if pairs else []
        return Judgement(dict(zip(pairs, said, strict=True)), left=len(undecided) - len(pairs))

    def _ask(self, pairs: Pairs, left: int) -> None:
        assert isinstance(self._model, LanguageModel)  # others need a judge of the caller's own
        prompts = equivalence_prompts(self._model, self._question, pairs)
        common = common_length(prompts)
        probe = word_probe(self._model, continuations=[one[common:] for one in prompts])
        inputs = RunInputs(prompt_length=common, stop_tokens=self._model.info.stop_tokens)
        request = scheduler_of(self._model).prepare(prompts[0][:common], probe, inputs)
        self._request = request

        def ended(_: Request) -> None:
            try:
                same = equivalences(first_word_shares(request.result()))
                tokens = len(request.prompt) + request.run.given_tokens - request.cached
                said = dict(zip(pairs, same.tolist(), strict=True))
                self._future.set_result(Judgement(said, tokens, request.seconds, left))
            except EtAgentError:
                self._future.set_result(NOT_JUDGED)
            except BaseException as error:
                self._future.set_exception(error)

        request.add_done_callback(ended)
        scheduler_of(self._model).queue(request)


def _asked(judge: Equivalence, question: str, pairs: Pairs) -> list[float]:
    """What a judge of the caller's own says, checked."""
    try:
        given = judge.same(question, pairs)
        found = [_probability(one) for one in given]
    except EtAgentError:
        raise
    except Exception as error:
        raise SettingsError(
            f"the judge {judge.name!r} failed on {len(pairs)} pairs of answers "
            f"({type(error).__name__}: {error}): mend its same(question, pairs), which returns one "
            "probability for each pair, or ask with another `same`"
        ) from error
    if len(found) != len(pairs) or None in found:
        raise SettingsError(
            f"the judge {judge.name!r} gives {given!r:.200} for {len(pairs)} pairs of answers: return "
            "one probability for each, 0 to 1"
        )
    return [one for one in found if one is not None]


def _probability(said: object) -> float | None:
    """A number from 0 to 1 as a float, numpy's too; None for anything else."""
    if isinstance(said, str | bytes) or not isinstance(said, SupportsFloat):
        return None
    number = float(said)
    return number if 0.0 <= number <= 1.0 else None
