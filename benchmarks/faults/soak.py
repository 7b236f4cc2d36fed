"""Many questions with random settings through a server: what is left, and whether it slows down.

Each tenth asks the same questions with the same settings, so that tenths can be compared. One more
comes first, uncounted: caches fill up, and threads and the processes of limited work start.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

__all__ = ["soak"]

_CLIENTS: Final = 4
_WORDS: Final = ("river", "stone", "light", "house", "paper", "window", "garden", "number")
_SCHEMA: Final = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["n"],
}
_TOOL: Final = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}


def _asked(number: int) -> tuple[str, dict[str, Any], float | None]:
    """Path, body and the seconds after which the client leaves, for a question of a tenth."""
    draw = random.Random(number)
    words = " ".join(draw.sample(_WORDS, draw.randint(1, 3)))
    question = draw.choice(
        (f"{draw.randint(1, 99)}+{draw.randint(1, 99)}?", f"Is {words} one word?", f"A {words} is")
    )
    body: dict[str, Any] = {"model": "small", "max_tokens": draw.randint(1, 8)}
    body["seed"] = draw.randrange(1000)
    if draw.random() < 0.7:
        body["temperature"] = draw.choice((0.0, 0.5, 1.0, 1.5))
    leaves = draw.choice((1, 1, 2, 3, 4))
    leaving = draw.uniform(0.01, 0.4) if draw.random() < 0.08 else None
    shape = draw.random()
    if shape < 0.2:
        body |= {"prompt": question, "n": draw.randint(1, 2), "stream": draw.random() < 0.3}
        return "/v1/completions", body, leaving
    if shape < 0.28:
        body.pop("temperature", None)
        return "/v1/score", {**body, "question": question, "answer": words}, leaving
    if shape < 0.55:
        body |= {"question": question, "leaves": leaves}
        body["kind"] = draw.choice(("auto", "number", "yes_no", "text"))
        if draw.random() < 0.4:
            body |= {"answer_at": draw.random(), "on_doubt": draw.choice(("abstain", "mark"))}
        elif draw.random() < 0.3:
            body["context"] = [f"The {words} is {draw.randint(1, 9)}."]
        if draw.random() < 0.15:
            body.pop("kind")
            body["schema"] = _SCHEMA
        return "/v1/ask", body, leaving
    body |= {"messages": [{"role": "user", "content": question}]}
    body["stream"] = draw.random() < 0.4
    if draw.random() < 0.3:
        body["n"] = draw.randint(2, 3)
    else:
        body["et_agent"] = {"leaves": leaves}
    if draw.random() < 0.2:
        body["stop"] = [draw.choice((".", "\n", "a"))]
    if draw.random() < 0.1:
        body["logprobs"] = True
    if draw.random() < 0.1:
        body["tools"] = [_TOOL]
    return "/v1/chat/completions", body, leaving


def _ask(client: httpx.Client, number: int) -> str:
    path, body, leaving = _asked(number)
    try:
        while True:
            response = client.post(path, json=body, timeout=leaving or 300.0)
            if response.status_code != 429:
                return str(response.status_code)
            time.sleep(0.1)
    except httpx.TimeoutException:
        return "left" if leaving is not None else "hung"


@contextmanager
def _server(model: str, threads: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.faults._soak_server", model, str(threads)]
        process = subprocess.Popen(
            [*command, folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline()).removesuffix("/v1")
        finally:
            process.terminate()
            process.wait(60)


def _held(url: str) -> dict[str, Any]:
    """What the server holds once nothing is decoded."""
    for _ in range(600):
        found: dict[str, Any] = httpx.get(f"{url}/held", timeout=120).json()
        if not found["pending"]:
            break
        time.sleep(0.05)
    return found


def _tokens(url: str) -> float:
    """Tokens that the server has read and generated for replies."""
    lines = httpx.get(f"{url}/metrics", timeout=60).text.splitlines()
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if line.startswith("et_agent_tokens_total")
    )


def soak(questions: int, model: str, threads: int, progress: Path) -> dict[str, Any]:
    """Ask; returns what a row per tenth has, and what was left.

    Args:
        questions: How many are counted.
        model: Name of the model.
        threads: CPU threads of the server.
        progress: File that gets a line per tenth.
    """
    each = questions // 10
    tenths: list[dict[str, Any]] = []
    statuses: Counter[str] = Counter()
    with (
        _server(model, threads) as url,
        httpx.Client(base_url=url) as client,
        ThreadPoolExecutor(_CLIENTS) as pool,
    ):
        before, counted = _held(url), _tokens(url)
        for tenth in range(11):
            began = time.perf_counter()
            told = Counter(pool.map(lambda number: _ask(client, number), range(each)))
            seconds = time.perf_counter() - began
            after, tokens = _held(url), _tokens(url)
            row = {
                **after,
                "seconds": round(seconds, 2),
                "tokens": tokens - counted,
                "cpu_ms_per_token": round(
                    1e3 * (after["cpu_seconds"] - before["cpu_seconds"]) / (tokens - counted), 4
                ),
            }
            before, counted = after, tokens
            with progress.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"tenth": tenth, "statuses": told, **row}) + "\n")
            if tenth:
                statuses.update(told)
                tenths.append(row)
            else:
                start = row
    return {
        "questions": 10 * each,
        "statuses": dict(sorted(statuses.items())),
        "start": start,
        "tenths": tenths,
    }
