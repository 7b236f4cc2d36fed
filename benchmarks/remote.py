"""A model behind llama.cpp's server beside the same model in this process, on the same questions.

    python -m benchmarks.remote decode --server PATH_OF_LLAMA_SERVER [--questions 20] [--leaves 8]
    python -m benchmarks.remote decode --xllamacpp PYTHON_THAT_HAS_XLLAMACPP …
    python -m benchmarks.remote table

`python -m benchmarks.peers --help` says how to get either. Both ways take `MultiChain` with the
same settings. The server does not cut unlikely tokens off, so that both sample from the same
distribution; their random numbers differ. Writes benchmarks/results/remote.json after every
question; the same call goes on. The figures go into docs/models.md. Seconds are worth something on
an idle machine only.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.documents import put
from benchmarks.machine import describe
from benchmarks.peers.server import Settings, free_port, serving, version_of
from et_agent import MultiChain, OpenAICompatibleModel, ask, load_model
from et_agent.decoding.naming import described
from et_agent.engines.sampled import AnyModel
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.grading import is_right
from et_agent.evaluation.items import Item, sample
from et_agent.evaluation.metrics import ece, value_of
from et_agent.evaluation.report import table
from et_agent.storage import write_atomically
from et_agent.weights.catalog import locate

OUT: Final = Path(__file__).parent / "results" / "remote.json"
MODEL: Final = "qwen2.5-coder-0.5b"
SEED: Final = 0
WAYS: Final = ("in this process", "behind the server")
UNCUT: Final = {"top_k": 0, "min_p": 0.0, "samplers": ["temperature"]}
"""What a request needs so that the server samples from the whole distribution."""


def program_of(options: argparse.Namespace) -> tuple[str, bool]:
    """The server's program, and whether it is xllamacpp's."""
    return options.server or options.xllamacpp, options.server is None


@contextlib.contextmanager
def opened(way: str, options: argparse.Namespace) -> Iterator[AnyModel]:
    """The model, one way or the other."""
    if way == WAYS[0]:
        with load_model(MODEL, threads=options.threads) as model:
            yield model
        return
    program, inside = program_of(options)
    settings = Settings(
        model=str(locate(MODEL).path),
        threads=options.threads,
        max_tokens=options.max_tokens,
        uncut=True,
        port=free_port(),
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(program, settings, Path(folder) / "log", xllamacpp=inside) as (url, _),
        OpenAICompatibleModel(f"{url}/v1", extra_body=UNCUT) as served,
    ):
        yield served


def answered(model: AnyModel, item: Item, decoder: MultiChain) -> dict[str, Any]:
    """What a question's result says."""
    began = time.perf_counter()
    result = ask(model, item.question, decoder=decoder, kind=item.kind, seed=SEED)
    return {
        "id": item.id,
        "answer": result.answer,
        "right": is_right(result.answer, item),
        "share": result.share,
        "confidence": result.confidence,
        "tokens": result.usage.tokens_decoded,
        "seconds": time.perf_counter() - began,
        "features": result.features,
    }


def decode(options: argparse.Namespace) -> None:
    """Answer all questions both ways."""
    items = sample(load_items("svamp"), options.questions, seed=SEED)
    decoder = MultiChain(leaves=options.leaves, max_tokens=options.max_tokens)
    head = {"model": MODEL, "decoder": described(decoder), "threads": options.threads}
    held = json.loads(OUT.read_text()) if OUT.is_file() else {**head, "runs": {}}
    if any(held[name] != value for name, value in head.items()):
        raise SystemExit(f"{OUT} was decoded with other settings: move it away to begin anew")
    held["machine"] = describe()
    program, inside = program_of(options)
    version = version_of(program, xllamacpp=inside)
    held["server"] = f"{'xllamacpp' if inside else 'llama-server'} {version}"
    for way in WAYS:
        rows = held["runs"].setdefault(way, [])
        left = [item for item in items if item.id not in {row["id"] for row in rows}]
        with opened(way, options) as model:
            for item in left:
                rows.append(answered(model, item, decoder))
                write_atomically(OUT, json.dumps(held, indent=1) + "\n")
                print(f"{way}: {len(rows)}/{len(items)}", file=sys.stderr, flush=True)


def write() -> None:
    """The figures as a table of docs/models.md."""
    held = json.loads(OUT.read_text())
    rows = []
    for way, found in held["runs"].items():
        given = [row for row in found if row["confidence"] is not None]
        right = np.array([row["right"] for row in given])
        confidence = np.array([row["confidence"] for row in given])
        error = value_of(ece, right, confidence)
        rows.append(
            [
                way,
                str(len(found)),
                str(sum(row["right"] for row in found)),
                f"{confidence.mean():.2f}" if given else "none",
                "none" if error is None else f"{error:.2f}",
                f"{sum(row['tokens'] for row in found):,}",
            ]
        )
    header = ["model", "questions", "right", "mean confidence", "ECE", "tokens"]
    one, other = ({row["id"]: row["answer"] for row in held["runs"][way]} for way in WAYS)
    both = [key for key in one if None not in (one[key], other.get(key))]
    if not both:
        raise SystemExit("no question has an answer both ways: decode more, with longer replies")
    same = sum(one[key] == other[key] for key in both)
    said = (
        f"{held['model']}, {held['server']}, {held['machine']['cpu']}. Of {len(one)} questions, "
        f"{len(both)} have an answer both ways, and {same} of these are equal."
    )
    put("docs/models.md", "remote", [*table(header, rows), "", said])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("decode")
    servers = made.add_mutually_exclusive_group(required=True)
    servers.add_argument("--server", help="llama-server's path")
    servers.add_argument("--xllamacpp", help="a python that has xllamacpp")
    made.add_argument("--questions", type=int, default=20)
    made.add_argument("--leaves", type=int, default=8)
    made.add_argument("--max-tokens", type=int, default=256)
    made.add_argument("--threads", type=int, default=2)
    commands.add_parser("table")
    options = parser.parse_args()
    if options.command == "decode":
        decode(options)
    else:
        write()


if __name__ == "__main__":
    main()
