"""Runs the search, and goes on where it stopped.

    ET_AGENT_DATA=…/raw python -m benchmarks.search FOLDER --questions 24 --settings r4,r4-random

Questions come from the train splits of SVAMP and GSM8K, which no test uses.
"""

import argparse
import queue
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.search.grow import SETTINGS
from benchmarks.search.pool import Pool, PoolDecoder
from et_agent.asking import submit
from et_agent.asking.pending import PendingAnswer
from et_agent.decoding import EntropyTree, MultiChain
from et_agent.decoding.base import DecoderSettings
from et_agent.engines.base import LanguageModel
from et_agent.engines.loading import load_model
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.items import Item, sample
from et_agent.evaluation.running import question_seed, record_of
from et_agent.evaluation.store import RunInfo, RunStore

SETS = ("svamp:train", "gsm8k:train")
SAMPLE_SEED = 7
CHAINS = 24
ALONE: dict[str, DecoderSettings] = {
    "stratified": EntropyTree(schedule="stratified", leaves=16),
    "stratified8": EntropyTree(schedule="stratified", leaves=8),
    "tree": EntropyTree(schedule="rounds", leaves=16),
    "online": EntropyTree(schedule="online", roots=4, leaves=16, importance="none"),
    "cold": MultiChain(leaves=16, temperature=0.5),
    "hot": MultiChain(leaves=16, temperature=1.0),
}
"""Settings that cannot start from the pool's chains."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the store and the pool")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--questions", type=int, default=24, help="of each set")
    parser.add_argument("--settings", default=",".join(SETTINGS))
    parser.add_argument("--at-once", type=int, default=8, help="questions in work together")
    options = parser.parse_args()
    (options.folder / "pool").mkdir(parents=True, exist_ok=True)
    # Sets take turns, so that a search that was stopped has as many questions of each.
    samples = [sample(load_items(name), options.questions, seed=SAMPLE_SEED) for name in SETS]
    items = [item for row in zip(*samples, strict=True) for item in row]
    with RunStore(options.folder / "runs.sqlite") as store, load_model(options.model) as model:
        search = _Search(model, store, options.folder / "pool", options.at_once)
        search.work("pool", items)
        for name in options.settings.split(","):
            search.work(name, items)


class _Search:
    def __init__(self, model: LanguageModel, store: RunStore, pool: Path, at_once: int) -> None:
        self._model, self._store, self._pool, self._at_once = model, store, pool, at_once

    def work(self, name: str, items: list[Item]) -> None:
        run = self._store.begin(f"search-{name}", {"search": name, "model": self._model.info.name})
        done = self._store.finished(run)
        todo = [item for item in items if item.id not in done]
        ended: queue.SimpleQueue[PendingAnswer] = queue.SimpleQueue()
        waiting: dict[PendingAnswer, Item] = {}
        while todo or waiting:
            while todo and len(waiting) < self._at_once:
                item = todo.pop(0)
                pending = self._submit(name, item)
                waiting[pending] = item
                pending.add_done_callback(ended.put)
            pending = ended.get()
            self._keep(name, run, waiting.pop(pending), pending)
            left = len(todo) + len(waiting)
            print(f"{time.strftime('%H:%M:%S')} {name}: {left} left", file=sys.stderr, flush=True)

    def _submit(self, name: str, item: Item) -> PendingAnswer:
        decoder: DecoderSettings
        if name == "pool":
            decoder = PoolDecoder(leaves=CHAINS)
        elif name in ALONE:
            decoder = ALONE[name]
        else:
            with np.load(self._path(item), allow_pickle=False) as arrays:
                decoder = SETTINGS[name].decoder(dict(arrays))
        seed = question_seed(SAMPLE_SEED, item)
        return submit(
            self._model,
            item.question,
            decoder=decoder,
            kind=item.kind,
            seed=seed,
            calibrator=None,
            attention=True,
        )

    def _keep(self, name: str, run: RunInfo, item: Item, pending: PendingAnswer) -> None:
        record, texts, traces = record_of(item, pending)
        if name == "pool":
            grown = pending.request.result()
            assert isinstance(grown, Pool)
            path = self._path(item)
            np.savez_compressed(path.with_suffix(".part.npz"), **grown.arrays())  # type: ignore[arg-type]
            path.with_suffix(".part.npz").replace(path)
        self._store.add(run, record, texts, traces)

    def _path(self, item: Item) -> Path:
        return self._pool / f"{item.id.replace('/', '-')}.npz"


if __name__ == "__main__":
    main()
