"""The runs behind the tables: resumable, and gone on with from the results that are committed.

    ET_AGENT_DATA=…/raw python -m benchmarks.runs STORE [--only svamp,gsm8k] [--minutes 60]

A plan may be given a number of its questions to stop at (`--only svamp:48,gsm8k:32`), so that all sets
grow evenly over several calls. On two cores two calls, each with a store of its own and
`taskset -c 0` or `1` before it, decode as many tokens as one call with both cores.

Results of one model and set, training splits included, are one archive (`et_agent.evaluation.archive`);
a run that is made again replaces the one before.

Every run is a beginning of the same seeded shuffle of its data set, so that longer runs hold shorter
ones. Tuning never sees the questions of `PLANS`: it uses the train splits, as the calibrators do,
whose questions are those of `TRAINING`.
"""

import argparse
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from benchmarks.answerable import joined
from et_agent.decoding.base import DecoderSettings
from et_agent.engines.base import DEFAULT_WIDTH
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.loading import load_model
from et_agent.evaluation.archive import ArchivedRun, RunArchive, import_runs
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.decoders import parse_decoder
from et_agent.evaluation.items import Item, sample
from et_agent.evaluation.planning import begin_run
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.running import EvaluationProgress, evaluate
from et_agent.evaluation.store import RunInfo, RunStore

RESULTS: Final = Path(__file__).parent / "results" / "runs"
SAMPLE_SEED: Final = 0
SMALL, LARGER = "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"
PARAMETERS: Final = {
    SMALL: 630_167_424,
    LARGER: 1_777_088_000,
    "smollm2-135m": 134_515_008,
    "gemma-3-270m": 268_098_176,
}
"""Weights of the models, as llama.cpp counts them."""


DECODERS: Final = {
    "multi-chain": "multi-chain",
    "entropy-tree": "entropy-tree:schedule=rounds",
    "greedy": "greedy",
    "breadth-first": "entropy-tree:schedule=breadth_first",
    "waves": "entropy-tree:batch=2,stop_above=0.6",
    "direct": "direct",
}


@dataclass(frozen=True)
class Plan:
    """A data set, and how many of its questions each decoder gets."""

    name: str
    data: str
    questions: Mapping[str, int]
    model: str = SMALL
    leaves: int = 16
    max_tokens: int = 320
    seed: int = 0
    """Of the decoding; the sample is the same for all."""
    apart_from: str | None = None
    """A data set: questions that begin as one of it, numbers aside, are left out."""

    def decoder(self, name: str) -> DecoderSettings:
        return parse_decoder(DECODERS[name], leaves=self.leaves, max_tokens=self.max_tokens)

    def items(self) -> list[Item]:
        found = load_items(self.data)
        if self.apart_from is None:
            return found
        told = {_story(item) for item in load_items(self.apart_from)}
        return [item for item in found if _story(item) not in told]


def _story(item: Item) -> str:
    return re.sub(r"\d+", "#", item.question).partition(".")[0].lower()


_TREE: Final = "entropy-tree"


def _both(count: int) -> dict[str, int]:
    return {"multi-chain": count, _TREE: count}


PLANS: Final = (
    Plan(
        "svamp",
        "svamp",
        {"multi-chain": 200, _TREE: 300, "greedy": 100, "breadth-first": 100, "waves": 200},
    ),
    Plan("gsm8k", "gsm8k", {"multi-chain": 100, _TREE: 200, "greedy": 100, "waves": 100}),
    Plan("mmlu", "mmlu", {"direct": 300, "multi-chain": 150, _TREE: 400, "greedy": 150}),
    Plan("nq-open", "nq-open", _both(1000)),
    Plan("math500", "math500", _both(50), max_tokens=512),
    Plan("scibench", "scibench", _both(20), leaves=8, max_tokens=512),
    Plan("aime24", "aime24", _both(30), leaves=8, max_tokens=512),
    Plan("aime25", "aime25", _both(30), leaves=8, max_tokens=512),
    Plan("svamp-1.5b", "svamp", {"multi-chain": 40, _TREE: 100, "waves": 40}, LARGER, leaves=12),
    Plan("gsm8k-1.5b", "gsm8k", {"multi-chain": 40, _TREE: 100, "waves": 40}, LARGER, leaves=12),
    Plan("mmlu-1.5b", "mmlu", {"direct": 300, _TREE: 150}, model=LARGER, leaves=12),
    Plan("nq-open-1.5b", "nq-open", {"multi-chain": 200, _TREE: 400}, model=LARGER, leaves=12),
    Plan("math500-1.5b", "math500", _both(50), model=LARGER, leaves=8, max_tokens=512),
    Plan("scibench-1.5b", "scibench", _both(20), model=LARGER, leaves=8, max_tokens=512),
    Plan("aime24-1.5b", "aime24", _both(30), model=LARGER, leaves=8, max_tokens=512),
    Plan("aime25-1.5b", "aime25", _both(30), model=LARGER, leaves=8, max_tokens=512),
)

REPEATS: Final = (Plan("mmlu-again", "mmlu", _both(64), seed=1),)
"""Questions decoded once more, to tell a fault from luck in the draw."""

TRAINING: Final = (
    Plan("train-gsm8k", "gsm8k:train", {_TREE: 200}),
    Plan("train-svamp", "svamp:train", {_TREE: 200}, apart_from="svamp"),
    Plan("train-mmlu", "mmlu:val", {"direct": 400, _TREE: 400}),
    Plan("train-nq-open", "nq-open:train", {_TREE: 2110}),
    Plan("train-gsm8k-1.5b", "gsm8k:train", {_TREE: 120}, model=LARGER),
    Plan("train-svamp-1.5b", "svamp:train", {_TREE: 120}, model=LARGER, apart_from="svamp"),
    Plan("train-mmlu-1.5b", "mmlu:val", {"direct": 300, _TREE: 120}, model=LARGER),
    Plan("train-nq-open-1.5b", "nq-open:train", {_TREE: 600}, model=LARGER),
)
"""What the shipped calibrators are fitted on."""


@cache
def _archive(path: Path) -> RunArchive:
    return RunArchive(path)


def archive_of(plan: Plan) -> RunArchive:
    """The results of all plans of one model and one set, training splits included."""
    data, _, _ = plan.data.partition(":")
    return _archive(RESULTS / f"{plan.model}-{data}.jsonl.xz")


def key_of(plan: Plan, decoder: str) -> str:
    """The key of one decoder's results in the plan's archive."""
    return f"{plan.name}-{decoder}"


def finished(plan: Plan, decoder: str) -> tuple[Mapping[str, Any], list[QuestionRecord]]:
    """A committed run's configuration, and the beginning of its sample that has no gap.

    A call that was stopped has finished the quick ones of the questions in work: with those, and
    without the slow ones, the sample would be of easier questions.
    """
    run = archive_of(plan).get(key_of(plan, decoder))
    if run is None:
        return {}, []
    return run.config, joined(plan.model, plan.data, run.records[: run.unbroken])


@dataclass
class _Clock:
    """Stops the work when its time is over; what is finished is kept."""

    minutes: float | None
    began: float = field(default_factory=time.monotonic)

    def note(self, progress: EvaluationProgress) -> None:
        print(
            f"{time.strftime('%H:%M:%S')} {progress.run}: {progress.done}/{progress.total}, "
            f"{progress.tokens_per_second:.0f} tokens/s, accuracy {progress.accuracy or 0:.3f}, "
            f"{(progress.seconds_left or 0) / 60:.0f} min left",
            file=sys.stderr,
            flush=True,
        )
        if self.minutes is not None and time.monotonic() - self.began > 60 * self.minutes:
            raise KeyboardInterrupt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--only", help="names of plans, by comma; NAME:N stops at N questions")
    parser.add_argument("--decoders", help="names of decoders, by comma")
    parser.add_argument("--minutes", type=float, help="stop after about as long")
    parser.add_argument(
        "--replace",
        action="store_true",
        help="keep results in place of those of other settings even if these hold more questions",
    )
    parser.add_argument(
        "--dequantize",
        action="store_true",
        help="decode from float16 weights (et_agent.engines.llama_cpp.dequantizing)",
    )
    parser.add_argument("--width", type=int, default=DEFAULT_WIDTH, help="rows in a batch")
    options = parser.parse_args()
    load = partial(load_model, dequantize=options.dequantize, best_width=options.width)
    plans = {plan.name: plan for plan in (*PLANS, *REPEATS, *TRAINING)}
    chosen = _chosen(options.only.split(",") if options.only else list(plans), plans, parser)
    clock = _Clock(options.minutes)
    # As Ctrl-C: results are kept on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with RunStore(options.store) as store:
        for path in sorted(RESULTS.glob("*.jsonl.xz")):
            import_runs(store, path)
        try:
            for plan in chosen:
                decoders = options.decoders.split(",") if options.decoders else None
                _work(store, plan, decoders, clock, load, replaces=options.replace)
        except KeyboardInterrupt:
            print("stopped; the same call goes on", file=sys.stderr)


def _chosen(
    wanted: list[str], plans: Mapping[str, Plan], parser: argparse.ArgumentParser
) -> list[Plan]:
    """The plans that were asked for, each with no more questions than its number after a colon."""
    found = []
    for one in wanted:
        name, _, most = one.partition(":")
        if name not in plans:
            parser.error(f"unknown plan {name}: choose from {', '.join(plans)}")
        if most and not most.isdecimal():
            parser.error(f"{one}: write a number of questions after the colon")
        plan = plans[name]
        if most:
            capped = {key: min(count, int(most)) for key, count in plan.questions.items()}
            plan = replace(plan, questions=capped)
        found.append(plan)
    return found


def _work(
    store: RunStore,
    plan: Plan,
    decoders: list[str] | None,
    clock: _Clock,
    load: Callable[[str], LlamaCppModel],
    *,
    replaces: bool,
) -> None:
    wanted = {
        name: count
        for name, count in plan.questions.items()
        if decoders is None or name in decoders
    }
    if not wanted:
        return
    items = plan.items()
    order = [item.id for item in sample(items, None, seed=SAMPLE_SEED)]
    with load(plan.model) as model:
        runs = {
            name: begin_run(store, model, plan.decoder(name), name, data=plan.data, seed=plan.seed)
            for name in wanted
        }
        try:
            # Levels, so that the questions that all decoders get come first.
            for count in sorted(set(wanted.values())):
                evaluate(
                    model,
                    sample(items, count, seed=SAMPLE_SEED),
                    {name: plan.decoder(name) for name in wanted if wanted[name] >= count},
                    store,
                    data=plan.data,
                    seed=plan.seed,
                    on_progress=clock.note,
                )
        finally:
            _keep(
                plan,
                {n: _in_order(store, run, order) for n, run in runs.items()},
                replaces=replaces,
            )


def _in_order(store: RunStore, run: RunInfo, order: Sequence[str]) -> ArchivedRun:
    """A run with its questions in the order of the sample, those after its first gap last."""
    waiting = {record.item: record for record in store.records(run)}
    first = [waiting.pop(item) for item in takewhile(waiting.__contains__, order)]
    return ArchivedRun(run.name, run.config, [*first, *waiting.values()], len(first))


def _keep(plan: Plan, found: Mapping[str, ArchivedRun], *, replaces: bool) -> None:
    """Put runs into the plan's archive, but for empty ones and those that hold fewer questions."""
    archive = archive_of(plan)
    kept = {}
    for decoder, run in found.items():
        key = key_of(plan, decoder)
        held = archive.get(key)
        if held is not None and len(run.records) < len(held.records) and not replaces:
            print(
                f"{archive.path} holds more questions of {key}: give --replace to replace them",
                file=sys.stderr,
            )
        elif run.records:
            kept[key] = run
    archive.put(kept)


if __name__ == "__main__":
    main()
