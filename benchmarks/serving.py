"""The server under load, its first token beside llama.cpp's, and what is left by clients that go away.

    python -m benchmarks.serving [--model NAME] [--server LLAMA_SERVER | --xllamacpp PYTHON]

- load: 50 clients at once, each with a connection that it keeps, asking for n = 8 samples several
  times, against `et-agent serve` in a process of its own; tokens per second beside the same questions
  handed to the scheduler of a process at once, in turn, several times. Requests that get 429 are sent
  again after `Retry-After`. The clients share the server's cores: their CPU seconds are told.
- cancels: 500 connections that are closed at different moments; what is decoded and waits, open files
  and memory of the server's process afterwards.
- first token: seconds to the first text of a stream for prompts that no server has seen, one request
  at a time, beside llama.cpp's server with the same model, threads and length of prompts.

Writes benchmarks/results/serving.json; what `--only` leaves out stays as it was measured by the same
processor and with the same model. The machine must be idle; its load at the start is kept.
"""

import argparse
import contextlib
import json
import os
import re
import select
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from benchmarks.machine import describe
from benchmarks.peers.server import Settings, free_port, serving, version_of
from et_agent import MultiChain, load_model, submit_all
from et_agent.storage import write_atomically
from et_agent.weights.catalog import locate

OUT: Final = Path(__file__).parent / "results" / "serving.json"
CLIENTS: Final = 50
SAMPLES: Final = 8
CANCELS: Final = 500
MOST_TOKENS: Final = 32
WORDS: Final = [
    *("river", "stone", "light", "house", "early", "market"),
    *("paper", "window", "garden", "silver", "number", "winter"),
]


class Server:
    """`et-agent serve` in a process of its own, and the lines of its log."""

    def __init__(self, options: argparse.Namespace, *more: str) -> None:
        command = [sys.executable, "-m", "et_agent.cli.main", "serve", "--model", options.model]
        command += ["--port", "0", "--threads", str(options.threads), *more]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.lines: list[dict[str, Any]] = []
        assert self.process.stderr is not None
        self.url = self._url()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _url(self) -> str:
        assert self.process.stderr is not None
        while select.select([self.process.stderr], [], [], 300)[0]:
            line = self.process.stderr.readline()
            if found := re.search(r"http://\S+(?=/v1)", line):
                return found[0]
            if not line:
                break
        raise RuntimeError("et-agent serve did not start")

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with contextlib.suppress(ValueError):
                self.lines.append(json.loads(line))

    def figures(self) -> dict[str, float]:
        """Its figures without labels."""
        found = httpx.get(f"{self.url}/metrics", timeout=60).text
        return {
            name: float(value) for name, value in re.findall(r"^(et_agent_\w+) (\S+)$", found, re.M)
        }

    def files(self) -> int:
        """Open files and sockets."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def memory(self) -> float:
        """Resident memory, MiB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def wait_idle(self, seconds: float = 60.0) -> float:
        """Seconds until nothing is decoded or waits."""
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            now = self.figures()
            if not now["et_agent_decoding"] and not now["et_agent_waiting"]:
                return time.perf_counter() - began
            time.sleep(0.05)
        raise RuntimeError("the server is still at work")

    def stop(self) -> None:
        """Tell it to stop, and wait."""
        self.process.terminate()
        self.process.wait(60)
        self._reading.join()


@contextlib.contextmanager
def served(options: argparse.Namespace, *more: str) -> Iterator[Server]:
    server = Server(options, *more)
    try:
        yield server
    finally:
        server.stop()


def questions(count: int) -> list[str]:
    return [f"What is {number} plus {number * 7 % 90}?" for number in range(10, 10 + count)]


def body(question: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}], "seed": 0, **fields}


def asked(client: httpx.Client, sent: dict[str, Any]) -> list[int]:
    """The status codes of a request that is sent again as long as the server is busy."""
    codes = []
    while True:
        response = client.post("/v1/chat/completions", json=sent)
        codes.append(response.status_code)
        if response.status_code != 429:
            return codes
        time.sleep(float(response.headers["Retry-After"]))


def connected(server: Server) -> httpx.Client:
    """Connections to the server that are kept, one for each client."""
    return httpx.Client(
        base_url=server.url, timeout=900, limits=httpx.Limits(max_connections=CLIENTS)
    )


def under_load(options: argparse.Namespace) -> dict[str, Any]:
    """The server and the scheduler alone in turn; that with the median ratio is told whole."""
    pairs = []
    for _ in range(options.repeats):
        alone = scheduled(options)
        pairs.append({**through_server(options), "scheduler": alone})
        pairs[-1]["of_the_scheduler"] = pairs[-1]["tokens_per_second"] / alone["tokens_per_second"]
    pairs.sort(key=lambda one: float(one["of_the_scheduler"]))
    ratios = [one["of_the_scheduler"] for one in pairs]
    return {**pairs[(len(pairs) - 1) // 2], "ratios": ratios}


def through_server(options: argparse.Namespace) -> dict[str, Any]:
    told = questions(CLIENTS * options.rounds)
    limits = {"max_tokens": MOST_TOKENS, "temperature": 0.7}
    with (
        served(options, "--concurrent", str(options.concurrent)) as server,
        connected(server) as client,
    ):
        asked(client, body("warm up", model=options.model, n=2, **limits))
        began, cpu = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(CLIENTS) as clients:
            sent = (body(one, model=options.model, n=SAMPLES, **limits) for one in told)
            codes = Counter(
                code
                for found in clients.map(lambda one: asked(client, one), sent)
                for code in found
            )
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        server.wait_idle()
        time.sleep(0.2)
    lines = [one for one in server.lines if one.get("status") == 200][1:]
    tokens = sum(one["output_tokens"] for one in lines)
    waited = np.array([one["queue_seconds"] for one in lines])
    took = np.array([one["seconds"] for one in lines])
    return {
        "clients": CLIENTS,
        "samples": SAMPLES,
        "requests": len(told),
        "concurrent": options.concurrent,
        "codes": {str(code): count for code, count in sorted(codes.items())},
        "seconds": seconds,
        "clients_cpu_seconds": cpu,
        "tokens": tokens,
        "tokens_per_second": tokens / seconds,
        "queue_seconds": {f"p{at}": float(np.percentile(waited, at)) for at in (50, 90, 99)},
        "request_seconds": {f"p{at}": float(np.percentile(took, at)) for at in (50, 90, 99)},
    }


def scheduled(options: argparse.Namespace) -> dict[str, Any]:
    """The same questions, all handed to the scheduler at once."""
    told = questions(CLIENTS * options.rounds)
    decoder = MultiChain(leaves=SAMPLES, max_tokens=MOST_TOKENS, temperature=0.7)
    settings: dict[str, Any] = {"decoder": decoder, "seed": 0, "system_prompt": ""}
    with load_model(options.model, threads=options.threads) as model:
        submit_all(model, ["warm up"], **settings)[0].result()
        began = time.perf_counter()
        results = [one.result() for one in submit_all(model, told, **settings)]
        seconds = time.perf_counter() - began
    tokens = sum(one.usage.tokens_decoded for one in results)
    return {"seconds": seconds, "tokens": tokens, "tokens_per_second": tokens / seconds}


def cancelled(options: argparse.Namespace) -> dict[str, Any]:
    with served(options, "--queue", "600") as server:
        sent = body("Tell a long story.", model=options.model, max_tokens=200)
        with connected(server) as client:
            asked(client, {**sent, "max_tokens": 4})
        server.wait_idle()
        before = {"files": server.files(), "memory_mib": server.memory()}

        def come_and_go(number: int) -> None:
            wanted = {**sent, "stream": number % 2 == 0, "n": 1 + number % 3}
            limit = httpx.Timeout(5.0, read=0.01 + 0.06 * (number % 11))
            with contextlib.suppress(httpx.HTTPError), httpx.Client(timeout=limit) as client:
                address = f"{server.url}/v1/chat/completions"
                with client.stream("POST", address, json=wanted) as response:
                    for count, _ in enumerate(response.iter_lines()):
                        if count > number % 17:
                            break

        with ThreadPoolExecutor(20) as clients:
            list(clients.map(come_and_go, range(CANCELS)))
        seconds = server.wait_idle()
        time.sleep(0.5)
        after = {"files": server.files(), "memory_mib": server.memory()}
        with connected(server) as client:
            codes = asked(client, {**sent, "max_tokens": 4})
        tokens = sum(one["output_tokens"] for one in server.lines)
    return {
        "connections": CANCELS,
        "before": before,
        "after": after,
        "idle_after_seconds": seconds,
        "answered_tokens": tokens,
        "next_request": codes[-1],
    }


def prompts(count: int, words: int) -> list[str]:
    """Texts that begin differently, so that no cache helps."""
    generator = np.random.default_rng(0)
    return [
        f"{number}. Continue: " + " ".join(generator.choice(WORDS, words))
        for number in range(count)
    ]


def first_text(url: str, sent: dict[str, Any]) -> float:
    """Seconds to the first text of a stream."""
    began, seconds = time.perf_counter(), None
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=sent, timeout=300) as response:
        for line in response.iter_lines():
            if seconds is not None or not line.startswith("data: {"):
                continue
            choices = json.loads(line[6:]).get("choices") or [{}]
            if choices[0].get("delta", {}).get("content"):
                seconds = time.perf_counter() - began
    if seconds is None:
        raise RuntimeError("the stream has no text")
    return seconds


def median_first(url: str, told: Sequence[str], **fields: Any) -> dict[str, float]:
    first_text(url, body("warm up", **fields))
    seconds = [first_text(url, body(one, **fields)) for one in told]
    return {"median": statistics.median(seconds), "p90": float(np.percentile(seconds, 90))}


def first_tokens(options: argparse.Namespace) -> dict[str, Any]:
    # The tree may not find the prompts of the one path in the cache. llama.cpp's server gets those too.
    told = prompts(2 * options.prompts, options.words)
    first, others = told[: options.prompts], told[options.prompts :]
    limits = {"max_tokens": 8, "temperature": 0, "stream": True}
    found: dict[str, Any] = {"prompts": options.prompts, "words": options.words}
    with served(options) as server:
        name = {"model": options.model}
        found["one path"] = median_first(server.url, first, **limits, **name)
        tree = {**limits, "temperature": 0.7}
        found["tree of 8 leaves"] = median_first(server.url, others, **tree, **name)
    program = options.server or options.xllamacpp
    if program is None:
        return found
    inside = options.server is None
    settings = Settings(
        model=str(locate(options.model).path),
        threads=options.threads,
        max_tokens=MOST_TOKENS,
        uncut=False,
        port=free_port(),
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(program, settings, Path(folder) / "log", xllamacpp=inside) as (url, _),
    ):
        found["llama.cpp's server"] = median_first(url, first, **limits)
    found["version"] = version_of(program, xllamacpp=inside)
    found["ratio"] = found["one path"]["median"] / found["llama.cpp's server"]["median"]
    return found


def known(model: str) -> dict[str, Any]:
    """What was measured of other parts, with the same processor and model."""
    if not OUT.is_file():
        return {}
    found: dict[str, Any] = json.loads(OUT.read_text("utf-8"))
    now = describe()
    same = all(
        found["machine"][name] == now[name] for name in ("cpu", "cores", "llama_cpp_features")
    )
    return found if same and found["model"] == model else {}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure the server.")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=2, help="requests of each client")
    parser.add_argument("--repeats", type=int, default=3, help="of the load and the scheduler")
    parser.add_argument("--concurrent", type=int, default=16)
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--words", type=int, default=200, help="words of a prompt")
    parser.add_argument("--server", help="path of llama-server")
    parser.add_argument("--xllamacpp", help="python that has xllamacpp")
    parser.add_argument("--only", nargs="+", choices=["load", "cancels", "first_text_seconds"])
    options = parser.parse_args(arguments)
    found = {**known(options.model), "machine": describe(), "model": options.model}
    found["load_average_before"] = os.getloadavg()[0]
    parts = {"load": under_load, "cancels": cancelled, "first_text_seconds": first_tokens}
    for name in options.only or parts:
        found[name] = parts[name](options)
        print(name, json.dumps(found[name]), flush=True)
        write_atomically(OUT, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
