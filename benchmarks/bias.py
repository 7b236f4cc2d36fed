"""Bias and spread of p(a|x) for every schedule, on scripted models whose truth is known.

    python -m benchmarks.bias [--only overlapped]

writes `benchmarks/results/bias.json`; with `--only` the rows of the decoders that are named so, and
keeps the others. For each scripted model and decoder: the error of the mean
p^(a) over seeds with its standard error, by path weight and by counting leaves; the standard
deviation of p^(a) over seeds; leaves and tokens. The largest over answers is given, errors by size.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from et_agent.arrays import Doubles, Floats
from et_agent.decoding import EntropyTree, MultiChain, Run, RunInputs
from et_agent.decoding.sampling import Distribution

RESULTS = Path(__file__).parent / "results" / "bias.json"
LEAVES = 8
_Path = tuple[int, ...]
_Rows = Mapping[_Path, Mapping[int, float]]
Decoder = EntropyTree | MultiChain


@dataclass
class Script:
    """A model over a few tokens; the answers are its stop tokens."""

    name: str
    about: str
    rows: Callable[[_Path], Mapping[int, float]]
    answers: Mapping[int, str]
    tau: float
    temperature: float
    seeds: int
    _known: dict[_Path, Distribution] = field(default_factory=dict)

    def _masses(self, path: _Path) -> dict[int, float]:
        raised = {t: p ** (1 / self.temperature) for t, p in self.rows(path).items() if p > 0}
        total = sum(raised.values())
        return {token: mass / total for token, mass in raised.items()}

    def truth(self) -> dict[str, float]:
        """p(a) over all paths, at the temperature."""
        shares = dict.fromkeys(self.answers.values(), 0.0)
        open_paths: list[tuple[_Path, float]] = [((), 1.0)]
        while open_paths:
            path, mass = open_paths.pop()
            for token, part in self._masses(path).items():
                if token in self.answers:
                    shares[self.answers[token]] += mass * part
                else:
                    open_paths.append(((*path, token), mass * part))
        return shares

    def distribution(self, path: _Path) -> Distribution:
        """The package's own next-token distribution, made once per path."""
        found = self._known.get(path)
        if found is None:
            logits: Floats = np.full(8, -1e9, dtype=np.float32)
            for token, probability in self.rows(path).items():
                if probability > 0:
                    logits[token] = np.log(probability)
            found = Distribution.of(logits, self.temperature)
            self._known[path] = found
        return found

    def play(self, decoder: Decoder, seed: int) -> Run:
        """One run to its end."""
        inputs = RunInputs(
            prompt_length=1,
            stop_tokens=frozenset(self.answers),
            seed=seed,
            read_leaf=lambda tokens: self.answers.get(tokens[-1]),
            read_tokens=lambda tokens: [token in self.answers for token in tokens],
        )
        run = decoder.start(inputs)
        while not run.finished:
            for branch in run.runnable():
                run.tell(branch, self.distribution(tuple(run.tree.path(branch))), None)
        return run


def _uneven() -> Script:
    last = {5: 0.25, 6: 0.55, 7: 0.2}
    rows: _Rows = {
        (): {1: 0.6, 2: 0.4},
        (1,): {0: 0.95, 1: 0.05},
        (1, 0): {5: 0.97, 6: 0.03},
        (1, 1): {5: 0.4, 7: 0.6},
        (2,): {0: 0.4, 1: 0.35, 2: 0.25},
        (2, 0): last,
        (2, 1): last,
        (2, 2): {5: 0.1, 6: 0.8, 7: 0.1},
    }
    about = "3 tokens; a sure beginning says A, an unsure one mostly B"
    return Script("uneven", about, rows.__getitem__, {5: "A", 6: "B", 7: "C"}, 0.3, 1.0, 10_000)


def _late_doubt() -> Script:
    """Doubt follows a wrong turn: what comes after a token decides how unsure a chain looks."""

    def rows(path: _Path) -> Mapping[int, float]:
        wrong = sum(token == 2 for token in path)
        if len(path) == 6:
            right = max(0.1, 0.95 - 0.3 * wrong)
            return {5: right, 6: 0.7 * (1 - right), 7: 0.3 * (1 - right)}
        slip = 0.12 + 0.18 * wrong
        return {1: 1 - slip, 2: slip}

    about = "7 tokens; every wrong turn makes later tokens less sure and the answer less likely A"
    return Script("late doubt", about, rows, {5: "A", 6: "B", 7: "C"}, 0.3, 0.7, 10_000)


def _many_paths() -> Script:
    """Random rows of all degrees of sureness."""
    cache: dict[_Path, Mapping[int, float]] = {}

    def rows(path: _Path) -> Mapping[int, float]:
        if path not in cache:
            generator = np.random.default_rng([11, len(path), *path])
            tokens = (5, 6, 7) if len(path) == 8 else (0, 1, 2)
            raw = generator.dirichlet([generator.choice([0.1, 0.5, 2.0])] * 3)
            cache[path] = dict(zip(tokens, raw.tolist(), strict=True))
        return cache[path]

    about = "9 tokens; random rows, sure and unsure, three answers"
    return Script("many paths", about, rows, {5: "A", 6: "B", 7: "C"}, 0.5, 0.7, 4_000)


SCRIPTS: tuple[Callable[[], Script], ...] = (_uneven, _late_doubt, _many_paths)


def _decoders(script: Script) -> Iterator[tuple[str, Decoder]]:
    yield "multi-chain", MultiChain(leaves=LEAVES, temperature=script.temperature)

    def tree(**settings: Any) -> EntropyTree:
        made = EntropyTree.schedules[str(settings["schedule"])]
        fixed: dict[str, Any] = {"tau": script.tau, "gap": 1, "value": "mass_per_token"}
        own = {name: value for name, value in fixed.items() if name in made.model_fields}
        common: dict[str, Any] = {"leaves": LEAVES, "temperature": script.temperature}
        return made(**own | common | settings)

    yield "stratified", tree(schedule="stratified")
    for exchangeable, sides in ((False, "distinct"), (True, "exchangeable")):
        sort = {"exchangeable": exchangeable}
        yield f"online, 1 root, {sides}", tree(schedule="online", roots=1, **sort)
        yield f"online, 4 roots, {sides}", tree(schedule="online", roots=4, **sort)
        yield f"rounds, 4 roots, {sides}", tree(schedule="rounds", roots=4, **sort)
        yield f"rounds, 1 root, {sides}", tree(schedule="rounds", roots=1, **sort)
        yield f"breadth_first, {sides}", tree(schedule="breadth_first", **sort)
    for roots in (1, 4):
        forked = {"schedule": "overlapped", "root_share": roots / LEAVES, "least_value": 0.0}
        name = f"overlapped, {roots} root{'s' if roots > 1 else ''}"
        yield f"{name}, whatever a fork is worth", tree(**forked)
    yield "overlapped, 6 roots", tree(schedule="overlapped")
    by_value = {"schedule": "rounds", "roots": 4, "value": "value_per_token", "tau": None}
    yield "rounds, 4 roots, by value per token", tree(**by_value)
    yield "rounds, 4 roots, by value per token, whatever it is", tree(**by_value, least_value=0.0)
    yield "rounds, 4 roots, by entropy", tree(schedule="rounds", roots=4, value="entropy")
    yield "rounds, 4 roots, stop above 0.9", tree(schedule="rounds", roots=4, stop_above=0.9)
    batches = {"schedule": "rounds", "roots": LEAVES, "batch": 2}
    yield "batches of 2, stop above 0.6", tree(**batches, stop_above=0.6)
    yield "batches of 2, stop above 0.9", tree(**batches, stop_above=0.9)
    yield "batches of 2, stop below 0.5", tree(**batches, stop_below=0.5)
    own = {"tau": None, "percentile": 80}
    yield "rounds, 4 roots, own percentile", tree(schedule="rounds", roots=4, **own)
    yield "breadth_first, own percentile", tree(schedule="breadth_first", **own)


def _measure(script_index: int, decoder_index: int) -> dict[str, object]:
    script = SCRIPTS[script_index]()
    name, decoder = list(_decoders(script))[decoder_index]
    truth = script.truth()
    answers = list(truth)
    by_weight = np.zeros((script.seeds, len(answers)))
    by_count = np.zeros_like(by_weight)
    leaves = tokens = 0
    for seed in range(script.seeds):
        tree = script.play(decoder, seed).tree
        for branch, weight in zip(tree.branches, tree.weights().tolist(), strict=True):
            column = answers.index(script.answers[branch.tokens[-1]])
            by_weight[seed, column] += weight
            by_count[seed, column] += branch.codes / tree.leaf_count()
        leaves += tree.leaf_count()
        tokens += tree.tokens_decoded
    expected = np.array([truth[answer] for answer in answers])
    return {
        "script": script.name,
        "decoder": name,
        "weights": _errors(by_weight, expected, answers),
        "counts": _errors(by_count, expected, answers),
        "mean_leaves": round(leaves / script.seeds, 3),
        "mean_tokens": round(tokens / script.seeds, 3),
    }


def _errors(found: Doubles, expected: Doubles, answers: list[str]) -> dict[str, object]:
    bias = found.mean(axis=0) - expected
    spread = found.std(axis=0, ddof=1)
    worst = int(np.abs(bias).argmax())
    error = float(spread[worst]) / len(found) ** 0.5
    return {
        "answer": answers[worst],
        "bias": round(float(bias[worst]), 5),
        "standard_error": round(error, 5),
        "standard_errors": round(abs(float(bias[worst])) / max(error, 1e-12), 1),
        "standard_deviation": round(float(spread.max()), 4),
    }


def _print(rows: list[dict[str, object]]) -> None:
    for row in rows:
        weights, counts = row["weights"], row["counts"]
        assert isinstance(weights, dict)
        assert isinstance(counts, dict)
        print(
            f"{row['script']:<11} {row['decoder']:<32} bias {weights['bias']:+.4f} "
            f"({weights['standard_error']:.4f})  sd {weights['standard_deviation']:.3f}  "
            f"counts {counts['bias']:+.4f}  leaves {row['mean_leaves']:.1f}  "
            f"tokens {row['mean_tokens']:.1f}"
        )


def main() -> None:
    """Measure everything, print a table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="what names of decoders begin with")
    only = parser.parse_args().only
    began = time.perf_counter()
    jobs = [
        (script, decoder)
        for script, make in enumerate(SCRIPTS)
        for decoder, (name, _) in enumerate(_decoders(make()))
        if name.startswith(only)
    ]
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        rows = list(pool.map(_measure, *zip(*jobs, strict=True)))
    _print(rows)
    scripts = _scripts()
    seconds = round(time.perf_counter() - began, 1)
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if only else {}
    document = {
        "leaves": LEAVES,
        "seconds": before.get("seconds", seconds),
        "scripts": [
            {
                "name": script.name,
                "about": script.about,
                "seeds": script.seeds,
                "temperature": script.temperature,
                "tau_nats": script.tau,
                "truth": {answer: round(share, 6) for answer, share in script.truth().items()},
            }
            for script in scripts
        ],
        "rows": _joined(before["rows"], rows) if only else rows,
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{seconds} s -> {RESULTS}")


def _joined(
    kept: list[dict[str, object]], rows: list[dict[str, object]]
) -> list[dict[str, object]]:
    """The rows there were, those of the same script and decoder replaced."""
    found = {(row["script"], row["decoder"]): row for row in [*kept, *rows]}
    order = [(script.name, name) for script in _scripts() for name, _ in _decoders(script)]
    return [found[key] for key in order if key in found]


def _scripts() -> list[Script]:
    return [make() for make in SCRIPTS]


if __name__ == "__main__":
    main()
