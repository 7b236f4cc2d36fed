"""Does one job in a system's own python: reads it from stdin, writes what it found to stdout.

Standard library only, besides what the system itself imports.
"""

import json
import os
import platform
import sys
import time
import urllib.request
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from benchmarks.peers.jobs import Job
from benchmarks.peers.systems import SYSTEMS, Ask


def work(job: Job) -> dict[str, Any]:
    """Seconds, tokens and replies of each batch, and what ran."""
    began = time.perf_counter()
    ask = SYSTEMS[job.system](job)
    started = time.perf_counter() - began
    batches = [_timed(ask, batch, job.url) for batch in job.batches]
    versions = {name: version(name) for name in job.packages}
    return {
        "start_seconds": started,
        "batches": batches,
        "versions": {"python": platform.python_version(), **versions},
    }


def _timed(ask: Ask, questions: list[str], url: str) -> dict[str, Any]:
    before = predicted(url) if url else 0
    began = time.perf_counter()
    replies = ask(questions)
    seconds = time.perf_counter() - began
    tokens = predicted(url) - before if url else sum(reply.tokens for reply in replies)
    return {"seconds": seconds, "tokens": tokens, "replies": [asdict(reply) for reply in replies]}


def predicted(url: str) -> int:
    """Tokens that a server has generated; `usage` in its replies counts the first choice only."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as reply:
        for line in reply.read().decode().splitlines():
            name, _, value = line.partition(" ")
            if name == "llamacpp:tokens_predicted_total":
                return int(float(value))
    raise RuntimeError("the server's metrics do not count tokens")


def main() -> None:
    job = Job(**json.load(sys.stdin))
    # Libraries print as they like: only the result may go to stdout.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        json.dump(work(job), out)


if __name__ == "__main__":
    main()
