"""Ten million questions on many nodes: measured rates, and a simulation of failures and stragglers.

    python -m benchmarks.cluster [--only simulated]

Measured here: what a stored question weighs, how fast one process writes them, what a waiting question
takes of the driver's memory. From committed results: tokens per question and per second. Assumed, and
named so: the nodes, their price, and how often they fail. The simulation hands out batches as
`et_agent_ray.pool.Pool` does. Writes `benchmarks/results/cluster.json`.
"""

import argparse
import heapq
import json
import tempfile
import time
import tracemalloc
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.machine import describe
from et_agent import MultiChain, load_model
from et_agent.evaluation import RunStore, load_items, sample
from et_agent.evaluation.archive import import_runs
from et_agent.evaluation.items import Item
from et_agent.evaluation.packing import PackedQuestion
from et_agent.evaluation.running import evaluate

RESULTS: Final = Path(__file__).parent / "results"
RUN: Final = "svamp-qwen2.5-coder-0.5b-entropy-tree"
BATCH: Final = 16
QUESTIONS: Final = 10_000_000
_END, _FAIL, _BACK = range(3)


@dataclass(frozen=True)
class Assumed:
    """What nobody measured here."""

    actors_per_node: int = 8
    """Of two threads each: nodes of 16 cores, on which eight actors decode as fast as one alone."""
    price: float = 0.64
    """Euros per node and hour, 4 cents per core."""
    failures: float = 1 / 48
    """Per node and hour."""
    replaced: float = 600.0
    """Seconds until another node has taken its place and loaded the model."""
    noticed: float = 10.0
    """Seconds until a lost node is noticed, in which its batches stand still."""
    spread: float = 0.1
    """Standard deviation of the logarithm of a node's speed."""
    stragglers: float = 0.02
    """Share of nodes that are three times as slow."""


def measure_store(folder: Path) -> dict[str, float]:
    """Bytes per question of a store, per token and besides; seconds to write one."""
    items = sample(load_items("svamp-sample"), 12)
    with load_model("smollm2-135m", threads=1) as model, RunStore(folder / "a.sqlite") as store:
        sizes, tokens = [], []
        packed: list[PackedQuestion] = []
        decoders = {f"{n}": MultiChain(leaves=n, max_tokens=96) for n in (2, 8)}
        runs, _ = evaluate(model, items, decoders, store, data="svamp-sample")
        for run in runs:
            for record in store.records(run):
                texts, traces = store.texts(run, record.item), store.traces(run, record.item)
                one = PackedQuestion.of(record, texts, traces)
                packed.append(one)
                sizes.append(len(one.record) + len(one.extras) + len(one.texts) + len(one.traces))
                tokens.append(record.tokens_decoded)
    per_token, fixed = np.polyfit(tokens, sizes, 1)
    written, seconds, size = _written(folder / "b.sqlite", packed)
    return {
        "bytes per token": float(per_token),
        "bytes besides": float(fixed),
        "file over contents": size / (float(np.mean(sizes)) * written),
        "seconds to write a question": seconds / written,
    }


def _written(file: Path, packed: list[PackedQuestion]) -> tuple[int, float, int]:
    """Questions written in batches as the engine does, the seconds, the file's bytes."""
    batches = [
        [
            PackedQuestion(**{**asdict(packed[(16 * n + k) % len(packed)]), "item": f"{n}/{k}"})
            for k in range(BATCH)
        ]
        for n in range(200)
    ]
    with RunStore(file) as store:
        run = store.begin("written", {"seed": 0})
        started = time.perf_counter()
        for batch in batches:
            store.add_packed(run, batch)
            for one in batch:
                one.unpacked()
        seconds = time.perf_counter() - started
    return BATCH * len(batches), seconds, file.stat().st_size


def measure_waiting() -> float:
    """Bytes of the driver's memory that a question takes before it is decoded."""
    known = load_items("svamp-sample")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    made = [
        Item(
            id=f"x/{n}",
            question=f"{known[n % len(known)].question} {n}",
            kind=known[0].kind,
            golds=(str(n),),
        )
        for n in range(20_000)
    ]
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return taken / len(made)


def committed(folder: Path) -> tuple[list[int], float]:
    """Tokens of each question of the run, and tokens per second of a core."""
    with RunStore(folder / "c.sqlite") as store:
        for info in import_runs(store, RESULTS / "runs" / "qwen2.5-coder-0.5b-svamp.jsonl.xz"):
            if info.name == RUN:
                tokens = [one.tokens_decoded for one in store.records(info)]
    speed = json.loads((RESULTS / "speed.json").read_text("utf-8"))["against_chains"]
    rates = [one["tree"]["tokens_per_second"] for one in speed["runs"]]
    return tokens, float(np.median(rates)) / int(speed["machine"]["cores"])


@dataclass
class Outcome:
    """What a simulated run came to; `wasted` is the share of decoding that was done in vain."""

    hours: float
    tail_hours: float
    wasted: float
    nodes_lost: int
    writer_busy: float
    euros: float


class Simulation:
    """Nodes that decode batches, fail and come back; one writer.

    An actor is a server of batches, one after the other, since two in flight share its rate.
    """

    def __init__(
        self,
        nodes: int,
        tokens: list[int],
        rate: float,
        write: float,
        assumed: Assumed,
        *,
        repeats: bool,
        seed: int = 0,
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._nodes, self._assumed, self._repeats = nodes, assumed, repeats
        self._write = write * BATCH
        count = -(-QUESTIONS // BATCH)
        seconds = np.array(tokens) / (2 * rate)
        # Sums of a batch's questions, drawn from those that were measured.
        self._work = (
            self._rng.choice(seconds, (count // 8 + 1, BATCH)).sum(axis=1).repeat(8)[:count]
        )

    def run(self) -> Outcome:
        """Simulate until every batch is written."""
        assumed = self._assumed
        size = self._nodes * assumed.actors_per_node
        speed = self._speeds(self._nodes)
        waiting = deque(range(len(self._work)))
        done = np.zeros(len(self._work), bool)
        copies: dict[int, int] = {}
        job = np.full(size, -1)
        begun = np.zeros(size)
        epoch = np.zeros(
            size, int
        )  # of the actor: what was planned before its node was lost is void
        idle: set[int] = set()
        late: deque[int] = deque()  # handed out once, the oldest first
        events: list[tuple[float, int, int, int]] = []  # time, what, whom, epoch
        left, lost, wasted, useful = len(self._work), 0, 0.0, 0.0
        written, drained = 0.0, 0.0

        def hand(actor: int, now: float) -> None:
            if waiting:
                batch = waiting.popleft()
            else:
                if self._repeats and not late:
                    late.extend(b for b, n in copies.items() if n == 1)
                while late and copies.get(late[0]) != 1:
                    late.popleft()
                if not late:
                    idle.add(actor)
                    return
                batch = late.popleft()
            copies[batch] = copies.get(batch, 0) + 1
            job[actor], begun[actor] = batch, now
            took = self._work[batch] / speed[actor // assumed.actors_per_node]
            heapq.heappush(events, (now + took, _END, actor, int(epoch[actor])))

        def drop(actor: int, now: float) -> None:
            """A copy ends in vain."""
            nonlocal wasted
            wasted += now - begun[actor]
            job[actor] = -1
            epoch[actor] += 1

        for actor in range(size):
            hand(actor, 0.0)
        for node in range(self._nodes):
            heapq.heappush(events, (self._failure(), _FAIL, node, 0))
        last_handed = 0.0
        while left:
            now, what, whom, when = heapq.heappop(events)
            if what == _END:
                if when != epoch[whom]:
                    continue
                batch = int(job[whom])
                useful += now - begun[whom]
                job[whom] = -1
                done[batch] = True
                left -= 1
                # One writer: a batch waits until those before it are written.
                written = max(written, now) + self._write
                drained += self._write
                others = [] if copies.pop(batch) == 1 else np.flatnonzero(job == batch).tolist()
                for other in others:
                    drop(other, now)
                if waiting:
                    last_handed = now
                for actor in (whom, *others):
                    hand(actor, now)
            elif what == _FAIL:
                lost += 1
                first = whom * assumed.actors_per_node
                for actor in range(first, first + assumed.actors_per_node):
                    idle.discard(actor)
                    if job[actor] >= 0:
                        batch = int(job[actor])
                        drop(actor, now)
                        copies[batch] -= 1
                        if not copies[batch]:
                            del copies[batch]
                            waiting.append(batch)
                    epoch[actor] += 1
                speed[whom] = self._speeds(1)[0]
                heapq.heappush(events, (now + assumed.noticed + assumed.replaced, _BACK, whom, 0))
                for actor in list(idle) if waiting else ():
                    idle.discard(actor)
                    hand(actor, now + assumed.noticed)
            else:
                first = whom * assumed.actors_per_node
                for actor in range(first, first + assumed.actors_per_node):
                    hand(actor, now)
                heapq.heappush(events, (now + self._failure(), _FAIL, whom, 0))
        hours = max(now, written) / 3600
        return Outcome(
            hours=round(float(hours), 2),
            tail_hours=round(float(hours - last_handed / 3600), 3),
            wasted=round(float(wasted / (wasted + useful)), 5),
            nodes_lost=lost,
            writer_busy=round(float(drained / 3600 / hours), 4),
            euros=round(hours * self._nodes * assumed.price),
        )

    def _failure(self) -> float:
        return float(self._rng.exponential(3600 / self._assumed.failures))

    def _speeds(self, count: int) -> Any:
        speeds = self._rng.lognormal(0.0, self._assumed.spread, count)
        slow = self._rng.random(count) < self._assumed.stragglers
        return np.where(slow, speeds / 3, speeds)


def simulate(measured: dict[str, Any]) -> dict[str, Any]:
    """The table of sizes, and the same with failures and stragglers alone."""
    with tempfile.TemporaryDirectory() as folder:
        tokens, rate = committed(Path(folder))
    write = measured["store"]["seconds to write a question"]
    cases = {
        **{f"{nodes} nodes": (nodes, Assumed(), True) for nodes in (10, 100, 1000)},
        "100 nodes, nothing repeated": (100, Assumed(), False),
        "100 nodes, none fails or is slow": (100, Assumed(failures=1e-9, stragglers=0), True),
        "100 nodes, one failure per node in two hours": (100, Assumed(failures=0.5), True),
    }
    found = {}
    for name, (nodes, assumed, repeats) in cases.items():
        ran = Simulation(nodes, tokens, rate, write, assumed, repeats=repeats).run()
        found[name] = asdict(ran)
        print(name, found[name], flush=True)
    store = measured["store"]
    each = store["bytes per token"] * float(np.mean(tokens)) + store["bytes besides"]
    return {
        "questions": QUESTIONS,
        "assumed": asdict(Assumed()),
        "from committed results": {
            "run": RUN,
            "tokens per question": round(float(np.mean(tokens)), 1),
            "tokens per second and core": round(rate, 2),
            "questions per second and core": round(rate / float(np.mean(tokens)), 5),
        },
        "bytes per stored question": round(each),
        "store, GB": round(each * store["file over contents"] * QUESTIONS / 1e9, 1),
        "driver, GB for questions that wait": round(
            measured["bytes per waiting question"] * QUESTIONS / 1e9, 2
        ),
        "questions per second that one writer keeps": round(1 / write, 1),
        "cores that one writer keeps busy": round(float(np.mean(tokens)) / rate / write),
        "runs": found,
    }


def main() -> None:
    """Measure and simulate, or only the second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["simulated"])
    only = parser.parse_args().only
    file = RESULTS / "cluster.json"
    if only is None:
        with tempfile.TemporaryDirectory() as folder:
            store = measure_store(Path(folder))
        measured = {
            "store": store,
            "bytes per waiting question": round(measure_waiting(), 1),
            "machine": describe(),
        }
    else:
        measured = json.loads(file.read_text("utf-8"))["measured"]
    results = {"measured": measured, "simulated": simulate(measured)}
    file.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(json.dumps(results["simulated"], indent=1))


if __name__ == "__main__":
    main()
