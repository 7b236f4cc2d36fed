"""How long decoders take, and what they are worth: one question alone, and twelve in the queue.

    ET_AGENT_DATA=…/raw python -m benchmarks.critical_path FOLDER [--questions 20] [--decoders …]

Questions are the first of each set's sample, as in `benchmarks.runs`. Each is asked alone, by every
decoder in turn; then twelve are asked at once, several times. With `--at-once` more questions are asked
together, which is faster but tells no seconds; the steps of a tree are then its longest path's, times
what they are of it where questions were asked alone. FOLDER keeps what is finished, and the same call
goes on. Seconds want an idle machine; steps, tokens and worth do not depend on it. Writes
benchmarks/results/critical_path.json.

`worth` is how many independent chains a tree's p(a|x) is worth (`benchmarks.search.study`). The truth
is the chains of the same questions in benchmarks/results/runs, which were decoded with other seeds. A
decoder's worth is held against the chains that cost as many tokens, and those that take as many
seconds. Seconds of chains follow from their steps and tokens: the longest of k chains takes
`per_step` x its tokens, and all of them `per_token` x theirs.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.documents import put
from benchmarks.machine import describe
from benchmarks.runs import PLANS, SAMPLE_SEED, Plan, finished
from benchmarks.search.study import worth_in_chains
from et_agent.arrays import Doubles, Ints
from et_agent.asking import submit
from et_agent.decoding import EntropyTree, MultiChain
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.naming import described
from et_agent.engines.base import LanguageModel
from et_agent.engines.loading import load_model
from et_agent.evaluation.bootstrap import Interval, Resamples, interval
from et_agent.evaluation.items import Item, sample
from et_agent.evaluation.metrics import auroc
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import shown, table
from et_agent.evaluation.running import question_seed, record_of
from et_agent.evaluation.scores import scores_of
from et_agent.storage import write_atomically
from et_agent.uncertainty.estimators import find_estimator

OUT: Final = Path(__file__).parent / "results" / "critical_path.json"
MODEL: Final = "qwen2.5-coder-0.5b"
SEED: Final = 1
"""Other than that of the chains that are the truth."""
QUEUED: Final = 12
DECODERS: Final[Mapping[str, DecoderSettings]] = {
    "rounds": EntropyTree(schedule="rounds"),
    "overlapped": EntropyTree(schedule="overlapped"),
    "stratified": EntropyTree(schedule="stratified"),
    "online": EntropyTree(schedule="online", importance="none"),
    "chains": MultiChain(),
    "early": EntropyTree(batch=2, stop_above=0.6),
}


@dataclass(frozen=True)
class Trial:
    """One question.

    Attributes:
        record: What came of it.
        steps: Batches that it took; None if it was not alone.
        seconds: From its first batch to its end; None if it was not alone.
    """

    record: QuestionRecord
    steps: int | None
    seconds: float | None

    @property
    def longest(self) -> int:
        """Tokens of its longest path."""
        return int(self.record.leaves.tokens.max())


class Trials:
    """Trials in a folder, a file of lines for each set and decoder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def get(self, plan: str, decoder: str) -> dict[str, Trial]:
        """Trials by item."""
        rows = self._rows(plan, decoder)
        trials = [
            Trial(QuestionRecord.from_json(row["record"], {}), row["steps"], row["seconds"])
            for row in rows
        ]
        return {one.record.item: one for one in trials}

    def add(self, plan: str, decoder: str, trial: Trial) -> None:
        """Keep a trial."""
        row = {
            "record": trial.record.as_json(),
            "steps": trial.steps,
            "seconds": trial.seconds,
        }
        with self._path(plan, decoder).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def queued(self, plan: str, decoder: str, *more: float) -> list[float]:
        """Seconds for twelve questions at once, of all calls; `more` are kept."""
        path = self._folder / f"{plan}-{decoder}-queued.json"
        known: list[float] = json.loads(path.read_text("utf-8")) if path.is_file() else []
        if more:
            known += more
            write_atomically(path, json.dumps(known).encode())
        return known

    def _rows(self, plan: str, decoder: str) -> list[dict[str, Any]]:
        path = self._path(plan, decoder)
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines]

    def _path(self, plan: str, decoder: str) -> Path:
        return self._folder / f"{plan}-{decoder}.jsonl"


def ask(model: LanguageModel, items: Sequence[Item], decoder: DecoderSettings) -> list[Trial]:
    """Ask questions at once."""
    pending = [
        submit(
            model,
            item.question,
            decoder=decoder,
            kind=item.kind,
            seed=question_seed(SEED, item),
            calibrator=None,  # one may need attention
        )
        for item in items
    ]
    trials = []
    for item, one in zip(items, pending, strict=True):
        request = one.request
        request.result()
        record, _, _ = record_of(item, one)
        alone = len(items) == 1
        trials.append(
            Trial(record, request.steps if alone else None, request.seconds if alone else None)
        )
    return trials


def decode(
    model: LanguageModel,
    trials: Trials,
    plans: Sequence[Plan],
    names: Sequence[str],
    *,
    count: int,
    at_once: int,
) -> None:
    """Ask what is not there yet."""
    for plan in plans:
        items = sample(plan.items(), count, seed=SAMPLE_SEED)
        for start in range(0, len(items), at_once):
            for name in names:
                known = trials.get(plan.name, name)
                alone = {item for item, one in known.items() if one.steps is not None}
                done = alone if at_once == 1 else known.keys()
                todo = [one for one in items[start : start + at_once] if one.id not in done]
                for trial in ask(model, todo, DECODERS[name]):
                    trials.add(plan.name, name, trial)
                if todo:
                    _say(f"{plan.name} {name}: {start + at_once} of {count}")


def decode_queued(
    model: LanguageModel, trials: Trials, plans: Sequence[Plan], names: Sequence[str], repeats: int
) -> None:
    """Ask twelve questions at once, by every decoder in turn."""
    for turn in range(repeats):
        for plan in plans:
            items = sample(plan.items(), QUEUED, seed=SAMPLE_SEED)
            for name in names:
                if len(trials.queued(plan.name, name)) <= turn:
                    began = time.perf_counter()
                    ask(model, items, DECODERS[name])
                    taken = time.perf_counter() - began
                    trials.queued(plan.name, name, taken)
                    _say(f"{plan.name} {name}: {QUEUED} at once, {taken:.1f} s")


@dataclass(frozen=True)
class Costs:
    """What a decoder's steps and tokens cost, in seconds."""

    per_step: float
    per_token: float

    def of(self, steps: Doubles, tokens: Doubles) -> Doubles:
        """Seconds."""
        return self.per_step * steps + self.per_token * tokens


def fitted(trials: Sequence[Trial]) -> Costs:
    """Costs by least squares of relative errors over questions asked alone."""
    seconds = np.array([one.seconds for one in trials], dtype=np.float64)
    rows = [[one.steps, one.record.tokens_decoded] for one in trials]
    (per_step, per_token), *_ = np.linalg.lstsq(
        np.array(rows) / seconds[:, None], np.ones_like(seconds)
    )
    return Costs(float(per_step), float(per_token))


class ChainCosts:
    """Steps and tokens of fewer chains than were decoded, per question.

    Args:
        records: Questions with K chains each.
        counts: Resamples, float64 [R, questions].
    """

    def __init__(self, records: Sequence[QuestionRecord], counts: Doubles) -> None:
        lengths = np.sort([record.leaves.tokens for record in records], axis=1)
        self.most = lengths.shape[1]
        self._counts = counts / counts.sum(axis=1, keepdims=True)
        self._tokens = lengths.mean(axis=1)
        # The chance that the i-th shortest of K is the longest of k: C(i - 1, k - 1) / C(K, k).
        ranks = np.arange(1, self.most + 1)
        self._longest = np.array(
            [lengths @ _longest_of(k, ranks, self.most) for k in range(1, self.most + 1)]
        ).T

    def tokens(self, k: int) -> Doubles:
        """Tokens of k chains, float64 [R]."""
        found: Doubles = k * (self._counts @ self._tokens)
        return found

    def steps(self, k: int) -> Doubles:
        """Tokens of the longest of k chains; of all K where k is more, float64 [R]."""
        found: Doubles = self._counts @ self._longest[:, min(k, self.most) - 1]
        return found

    def equal(self, seconds: Doubles, seconds_of: Callable[[Doubles, Doubles], Doubles]) -> Doubles:
        """How many chains take so many seconds, float64 [R].

        Args:
            seconds: Seconds, float64 [R].
            seconds_of: Seconds of steps and tokens.
        """
        sizes = np.arange(1, 4 * self.most)
        table = np.array([seconds_of(self.steps(k), self.tokens(k)) for k in sizes.tolist()])
        return np.array(
            [np.interp(one, column, sizes) for one, column in zip(seconds, table.T, strict=True)]
        )


def _longest_of(k: int, ranks: Ints, most: int) -> Doubles:
    below = np.array([comb(int(rank) - 1, k - 1) for rank in ranks], dtype=np.float64)
    return below / comb(most, k)


def row(trials: Sequence[Trial], truth: Sequence[QuestionRecord], costs: Costs) -> dict[str, Any]:
    """The figures of one decoder on the questions of one or several sets."""
    size = len(trials)
    counts = Resamples(size, resamples=1000).counts
    records = [one.record for one in trials]
    tokens = np.array([float(one.tokens_decoded) for one in records])
    longest = np.array([float(one.longest) for one in trials])
    alone = [one for one in trials if one.steps is not None]
    # As long as none was asked alone, steps are those of the longest paths.
    ratio = 1.0
    if alone:
        ratio = sum(one.steps or 0 for one in alone) / sum(one.longest for one in alone)
    steps = np.array([ratio * one.longest if one.steps is None else one.steps for one in trials])
    worth, chains = worth_in_chains(records, truth, counts), ChainCosts(truth, counts)
    means = counts / counts.sum(axis=1, keepdims=True)
    right = np.array([one.correct for one in records])
    share = scores_of(records, find_estimator("top-share"))
    found = {
        "questions": size,
        "asked alone": len(alone),
        "steps": steps.mean(),
        "longest path": longest.mean(),
        "steps over longest path": ratio,
        "mean width": tokens.sum() / steps.sum(),
        "tokens": tokens.mean(),
        "leaves": float(np.mean([one.leaves.count.sum() for one in records])),
        "accuracy": interval(means @ right.astype(np.float64), size),
        "any leaf right": float(np.mean([one.leaf_right.any() for one in records])),
        "AUROC of the top share": interval(auroc(right, share, counts), size),
        "worth in chains": interval(worth, size),
        "worth over chains of equal tokens": interval(
            worth * chains.tokens(1) / (means @ tokens), size
        ),
        "seconds alone": float(np.mean([one.seconds or 0.0 for one in alone])) if alone else None,
    }
    seconds = means @ costs.of(steps, tokens)
    found["seconds by costs"] = seconds[0]
    found["worth over chains of equal seconds"] = interval(
        worth / chains.equal(seconds, costs.of), size
    )
    return {key: _plain(value) for key, value in found.items()}


def _plain(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, Interval):
        return [
            None if one is None else round(one, 3) for one in (value.value, value.low, value.high)
        ]
    return round(float(value), 3)


def study(trials: Trials, plans: Sequence[Plan], names: Sequence[str]) -> dict[str, Any]:
    """The figures of all decoders, on the questions that all have, and each on all that it has."""
    truth = {
        plan.name: {one.item: one for one in finished(plan, "multi-chain")[1]} for plan in plans
    }
    known = {(p.name, n): trials.get(p.name, n) for p in plans for n in names}
    every = [one for found in known.values() for one in found.values()]
    costs = fitted([one for one in every if one.steps is not None])
    rows: dict[str, Any] = {}
    for common in (True, False):
        for name in names:
            pairs = []
            for plan in plans:
                others = [known[plan.name, other] for other in (names if common else [name])]
                for item, trial in known[plan.name, name].items():
                    if item in truth[plan.name] and all(item in other for other in others):
                        pairs.append((trial, truth[plan.name][item]))
            if pairs:
                label = f"{name}, questions of all decoders" if common else name
                rows[label] = row([one for one, _ in pairs], [one for _, one in pairs], costs)
    queued = {
        name: {
            plan.name: [round(one, 1) for one in trials.queued(plan.name, name)] for plan in plans
        }
        for name in names
    }
    return {
        "machine": describe(),
        "model": MODEL,
        "decoders": {name: described(DECODERS[name]) for name in names},
        "seconds per step and token": [round(costs.per_step, 5), round(costs.per_token, 6)],
        "rows": rows,
        f"seconds of {QUEUED} questions at once": queued,
    }


HEADER: Final = (
    "decoder",
    "questions",
    "tokens",
    "steps = longest paths",
    "width",
    "seconds alone",
    "by costs",
    "worth over chains of equal tokens",
    "worth over chains of equal seconds",
    "accuracy",
)


def line(name: str, row: Mapping[str, Any]) -> list[str]:
    """A row of the table in docs/experiments.md."""
    alone = row["seconds alone"]
    found = [name, str(int(row["questions"])), f"{row['tokens']:.0f}"]
    if row["asked alone"]:
        found += [
            f"{row['steps']:.0f} = {row['steps over longest path']:.2f}",
            f"{row['mean width']:.1f}",
            f"{alone:.1f}",
            f"{row['seconds by costs']:.1f}",
        ]
    else:
        found += ["-"] * 4
    for key in ("worth over chains of equal tokens", "worth over chains of equal seconds"):
        value, low, high = row[key]
        known = row["asked alone"] or key.endswith("tokens")
        found.append(shown(Interval(value, low, high, 0), digits=2) if known else "-")
    return [*found, f"{row['accuracy'][0]:.2f}"]


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for what is finished")
    parser.add_argument("--sets", default="svamp,gsm8k", help="names of plans, by comma")
    parser.add_argument("--questions", type=int, default=20, help="of each set, alone")
    parser.add_argument("--at-once", type=int, default=1, help="questions asked together")
    parser.add_argument("--queued", type=int, default=3, help="times that twelve are asked at once")
    parser.add_argument("--decoders", default=",".join(DECODERS))
    options = parser.parse_args()
    plans = [plan for plan in PLANS if plan.name in options.sets.split(",")]
    names, trials = options.decoders.split(","), Trials(options.folder)
    with load_model(MODEL) as model:
        warm = sample(plans[0].items(), 1, seed=SAMPLE_SEED + 1)
        ask(model, warm, MultiChain(leaves=8, max_tokens=32))
        decode(model, trials, plans, names, count=options.questions, at_once=options.at_once)
        decode_queued(model, trials, plans, names, options.queued)
    found = study(trials, plans, [name for name in DECODERS if name in names])
    write_atomically(OUT, (json.dumps(found, indent=1) + "\n").encode())
    lines = table(HEADER, [line(name, found["rows"][name]) for name in names])
    put("docs/experiments.md", "critical-path", lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
