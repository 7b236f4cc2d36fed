"""How often the text that a stream shows while it decodes is the reply.

    nice python -m benchmarks.leading [--model NAME] [--leaves 8] [--questions 16] [--threads N]
        [--data svamp-sample text-sample]

A stream shows the leading path of the tree; if another answer wins, the reply is another text, and
the stream's end says so. Counts both on short questions, with numbers and with short texts as answers,
as the server decodes them. No time is measured, so that the machine may be busy. Writes
benchmarks/results/leading.json, in the place of what the same model and leaves had.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import describe
from et_agent import EntropyTree, load_model, stream
from et_agent.asking.streaming import StreamEnd
from et_agent.calibration.evidence import wilson
from et_agent.engines.base import LanguageModel
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.items import Item, sample
from et_agent.storage import write_atomically
from et_agent.weights.catalog import DEFAULT_MODEL

OUT: Final = Path(__file__).parent / "results" / "leading.json"
DATA: Final = ("text-sample", "svamp-sample")


def streamed(model: LanguageModel, item: Item, leaves: int) -> dict[str, Any]:
    """Whether the reply is what was shown, and how sure the tree is of its answer."""
    decoder = EntropyTree(leaves=leaves)
    *shown, end = stream(model, item.question, decoder=decoder, kind=item.kind.value, seed=0)
    assert isinstance(end, StreamEnd)
    found = {
        "item": item.id,
        "confirmed": end.agrees,
        "share": round(end.result.share, 3),
        "answers": len(end.result.distribution),
        "pieces shown": len(shown),
    }
    print(found, file=sys.stderr, flush=True)
    return found


def counted(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many were confirmed, with the central 90 % interval by Wilson."""
    confirmed = sum(row["confirmed"] for row in rows)
    low, high = wilson(confirmed / len(rows), len(rows))
    return {
        "questions": len(rows),
        "confirmed": confirmed,
        "share": round(confirmed / len(rows), 3),
        "interval": [round(low, 3), round(high, 3)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="as for load_model")
    parser.add_argument("--leaves", type=int, default=8, help="8 is the server's")
    parser.add_argument("--questions", type=int, default=16, help="of each data set")
    parser.add_argument("--threads", type=int, help="CPU threads; all cores unless given")
    parser.add_argument("--data", nargs="+", default=DATA, metavar="NAME", help="of `eval data`")
    options = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = {}
    with load_model(options.model, threads=options.threads) as model:
        for data in options.data:
            items = sample(load_items(data), options.questions)
            rows[data] = [streamed(model, item, options.leaves) for item in items]
    every = [row for one in rows.values() for row in one]
    measured = {
        "machine": describe(),
        "model": options.model,
        "leaves": options.leaves,
        "all": counted(every),
        "by data": {data: counted(one) for data, one in rows.items()},
        "rows": every,
    }
    known = json.loads(OUT.read_text("utf-8")) if OUT.is_file() else []
    key = ("model", "leaves")
    others = [one for one in known if any(one[name] != measured[name] for name in key)]
    write_atomically(OUT, json.dumps([*others, measured], indent=1) + "\n")
    print(json.dumps({"all": measured["all"], **measured["by data"]}, indent=1))


if __name__ == "__main__":
    main()
