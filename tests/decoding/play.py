"""Drives runs directly, without model or scheduler, over small scripts whose truth is known."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from et_agent.decoding import EntropyTree
from et_agent.decoding.base import Decoder, LeafReader, Run, RunInputs, TokenReader
from et_agent.decoding.sampling import Distribution
from et_agent.decoding.stopping import StoppingRule
from et_agent.decoding.thresholds import Thresholds

Path = tuple[int, ...]
Rows = Callable[[Path], Sequence[float]]
Watch = Callable[[Run], None]
Attend = Callable[[Path], NDArray[np.float32]]


@dataclass
class Toy:
    """A model over a handful of tokens.

    Attributes:
        rows: Probabilities (at temperature 1) of the next token after a path.
        stop_tokens: Tokens that end a path.
        answer: What a finished path says.
    """

    rows: Rows
    stop_tokens: frozenset[int]
    answer: Callable[[Path], str]
    _known: dict[tuple[Path, float], Distribution] = field(default_factory=dict)

    def distribution(self, path: Path, temperature: float) -> Distribution:
        """The package's own distribution after a path, made once."""
        found = self._known.get((path, temperature))
        if found is None:
            row = np.asarray(self.rows(path), dtype=np.float64)
            logits = np.where(row > 0, np.log(np.maximum(row, 1e-300)), -1e9).astype(np.float32)
            found = Distribution.of(logits, temperature)
            self._known[path, temperature] = found
        return found

    def truth(self, temperature: float, path: Path = (), mass: float = 1.0) -> dict[str, float]:
        """p(a), in float64, over all paths."""
        row = np.asarray(self.rows(path), dtype=np.float64) ** (1.0 / temperature)
        shares: dict[str, float] = {}
        for token in np.flatnonzero(row).tolist():
            longer, part = (*path, token), mass * float(row[token] / row.sum())
            if token in self.stop_tokens:
                found = {self.answer(longer): part}
            else:
                found = self.truth(temperature, longer, part)
            for answer, share in found.items():
                shares[answer] = shares.get(answer, 0.0) + share
        return shares


def from_table(table: Mapping[Path, Mapping[int, float]], stop: Mapping[int, str]) -> Toy:
    """A toy from the next tokens after every path; `stop` names the answers."""
    size = 1 + max(token for row in table.values() for token in row)

    def rows(path: Path) -> list[float]:
        return [table[path].get(token, 0.0) for token in range(size)]

    return Toy(rows, frozenset(stop), lambda path: stop[path[-1]])


def uneven() -> Toy:
    """A sure beginning that says A and an unsure one that mostly says B: counts mislead."""
    last = {3: 0.25, 4: 0.55, 5: 0.2}
    table: dict[Path, dict[int, float]] = {(): {1: 0.6, 2: 0.4}}
    table |= {(1,): {0: 0.95, 1: 0.05}, (1, 0): {3: 0.97, 4: 0.03}, (1, 1): {3: 0.4, 5: 0.6}}
    table |= {(2,): {0: 0.4, 1: 0.35, 2: 0.25}, (2, 0): last, (2, 1): last}
    table |= {(2, 2): {3: 0.1, 4: 0.8, 5: 0.1}}
    return from_table(table, {3: "A", 4: "B", 5: "C"})


def grained() -> Toy:
    """A wide first interval that thirds follow: arithmetic codes alone in it say where they lie."""
    thirds = {2: 1 / 3, 3: 1 / 3, 4: 1 / 3}
    return from_table(
        {(): {0: 0.75, 1: 0.25}, (0,): thirds, (1,): {4: 1.0}}, {2: "x", 3: "y", 4: "z"}
    )


def random_toy(seed: int, *, vocabulary: int = 5, depth: int = 5) -> Toy:
    """Random rows of all degrees of sureness; paths end at `depth` at the latest."""
    rows: dict[Path, list[float]] = {}

    def row(path: Path) -> list[float]:
        if path not in rows:
            generator = np.random.default_rng([seed, len(path), *path])
            sureness = generator.choice([0.05, 0.3, 1.0, 5.0])
            raw = generator.dirichlet([sureness] * vocabulary)
            raw[0] *= 0.3
            if len(path) >= depth - 1:
                raw = np.eye(vocabulary)[0]
            rows[path] = (raw / raw.sum()).tolist()
        return rows[path]

    return Toy(row, frozenset({0}), lambda path: str(sum(path) % 3))


_FLAT = tuple(0.5 for _ in range(101))


def thresholds(
    entropy: tuple[float, ...] = _FLAT, *, received: bool = False, prompt_attention: bool = False
) -> Thresholds:
    """A pilot whose percentiles are all 0.5 where not given."""
    return Thresholds(
        model_sha256="0" * 64,
        model_name="toy",
        created="2026-01-01",
        questions=1,
        tokens=1,
        temperature=1.0,
        source="test",
        entropy=entropy,
        received=_FLAT if received else None,
        prompt_attention=_FLAT if prompt_attention else None,
    )


def play(
    decoder: Decoder,
    toy: Toy,
    seed: int = 0,
    *,
    pick: Callable[[Sequence[int]], int] | None = None,
    watch: Watch | None = None,
    attention: Callable[[Path], NDArray[np.float32]] | None = None,
    asks_attention: bool | None = None,
    thresholds: Thresholds | None = None,
    prompt_length: int = 1,
    read_leaf: LeafReader | None = None,
    read_tokens: TokenReader | None = None,
    room: int | None = None,
    stopping_rule: StoppingRule | None = None,
    thoughts: Any = None,
) -> Run:
    """Run a decoder to its end.

    Args:
        pick: Chooses the branch to tell from `runnable()`; the first if None.
        watch: Called after every single tell; it may cancel the run.
        attention: Row of the deciding query over prompt and path, from the path.
        asks_attention: Whether it is asked for although the decoder does not need it; where there is
            any if None.
    """
    run = decoder.start(
        RunInputs(
            prompt_length=prompt_length,
            stop_tokens=toy.stop_tokens,
            seed=seed,
            thresholds=thresholds,
            read_leaf=read_leaf,
            read_tokens=read_tokens,
            room=room,
            attention=attention is not None if asks_attention is None else asks_attention,
            stopping_rule=stopping_rule,
            thoughts=thoughts,
        )
    )
    tree, temperature = run.tree, run.temperature
    while not run.finished:
        branches = run.runnable()
        branch = branches[0] if pick is None else pick(branches)
        path = tuple(tree.path(branch))
        row = None if attention is None else attention(path)
        run.tell(branch, toy.distribution(path, temperature), row)
        if watch is not None:
            watch(run)
    return run


def shares(run: Run, toy: Toy, *, by_count: bool = False) -> dict[str, float]:
    """p^(a) of a finished run, by path weight or by number of leaves."""
    tree = run.tree
    found: dict[str, float] = {}
    leaves = tree.leaf_count()
    for branch in tree.branches:
        weight = branch.codes / leaves if by_count else tree.weight(branch.id)
        answer = toy.answer(tuple(tree.path(branch.id)))
        found[answer] = found.get(answer, 0.0) + weight
    return found


@dataclass(frozen=True)
class Bias:
    """Mean error of p^(a) over seeds, and its standard error, for each answer."""

    error: dict[str, float]
    standard_error: dict[str, float]
    spread: dict[str, float]

    @property
    def largest_z(self) -> float:
        """The largest error in standard errors."""
        return max(abs(e) / max(self.standard_error[a], 1e-12) for a, e in self.error.items())


def bias(found: Sequence[Mapping[str, float]], truth: Mapping[str, float]) -> Bias:
    """How far estimates lie from the truth."""
    table = {a: np.array([one.get(a, 0.0) for one in found]) for a in truth}
    spread = {a: float(column.std(ddof=1)) for a, column in table.items()}
    return Bias(
        {a: float(column.mean()) - truth[a] for a, column in table.items()},
        {a: spread[a] / len(found) ** 0.5 for a in table},
        spread,
    )


def shape(run: Run) -> frozenset[tuple[Hashable, ...]]:
    """A tree apart from the numbering of its branches."""
    tree = run.tree
    return frozenset(
        (
            branch.lineage,
            tuple(tree.path(branch.id)),
            tuple(branch.entropies),
            tree.weight(branch.id),
            branch.codes,
            branch.finish,
            frozenset(branch.forked),
        )
        for branch in tree.branches
    )


def chain_toy(probabilities: list[float], *, ways: int = 2) -> Toy:
    """At position i token 1 has probabilities[i], and `ways` - 1 others share the rest."""

    def rows(path: Path) -> list[float]:
        if len(path) == len(probabilities):
            return [1.0] + [0.0] * ways
        sure = probabilities[len(path)]
        return [0.0, sure] + [(1 - sure) / (ways - 1)] * (ways - 1)

    return Toy(rows, frozenset({0}), lambda path: str(path[-2]))


def new_forks(run: Run, known: int) -> list[tuple[int, int]]:
    """Branch and position of the forks after the first `known`."""
    return [(fork.branch, fork.position) for fork in run.tree.forks[known:]]


def tree_of(schedule: str, **settings: Any) -> EntropyTree:
    """A tree with those of the settings that its schedule has."""
    made = EntropyTree.schedules[schedule]
    return made(**{name: value for name, value in settings.items() if name in made.model_fields})


@dataclass(frozen=True)
class ToyThoughts:
    """Thoughts of so many tokens, as `et_agent.decoding.thinking.Thoughts` tells them.

    Attributes:
        length: Tokens of each.
    """

    length: int
    state: str = "open"
    longest: int = 0

    def answer_start(self, tokens: Sequence[int]) -> int | None:
        """Where the answer begins; None before."""
        return self.length if len(tokens) >= self.length else None
