"""How soon the first text of a stream comes: et-agent's, llama-cpp-python's and llama.cpp's server's.

    python -m benchmarks.first_token [--model NAME] [--threads N] [--rounds 3] [--repeats 5]
        [--server LLAMA_SERVER]

All get the same prompts, as tokens, and none has a beginning of one in its cache. et-agent's seconds
begin with the question as a text, those of the others with the tokens. In each round the systems take
turns, each in a process of its own: llama.cpp has no kernels of ours attached. Writes
benchmarks/results/first_token.json, in place of what was measured there with the same CPU, model and
number of threads.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import describe
from benchmarks.peers.server import Settings, free_port, serving, version_of
from et_agent.storage import write_atomically
from et_agent.weights.catalog import DEFAULT_MODEL, locate

OUT: Final = Path(__file__).parent / "results" / "first_token.json"
SHORT: Final = (
    "Natalia sold clips to 48 friends in April, and half as many in May. How many in all?"
)
QUESTIONS: Final = {
    "short": SHORT,
    "long": " ".join(f"On day {day} she sold {7 * day % 40} clips." for day in range(1, 61))
    + SHORT,
}
CONTEXT: Final = 4096
TOKENS: Final = 24
"""Tokens that a reply may have: only the first is timed."""
SYSTEMS: Final = ("tree", "greedy", "llama-cpp-python")

Ask = Callable[[str], float]
"""Name of a question to seconds until its first text."""


def et_agent(name: str, model: str, threads: int | None) -> tuple[Ask, dict[str, list[int]]]:
    """et-agent's stream with its default tree or one chain, and the prompts as tokens."""
    from et_agent import EntropyTree, Greedy, load_model, stream
    from et_agent.asking.options import AskOptions
    from et_agent.asking.prompting import PreparedPrompt

    loaded = load_model(model, context=CONTEXT, threads=threads, prefix_memory=0)
    decoder = EntropyTree(max_tokens=TOKENS) if name == "tree" else Greedy(max_tokens=TOKENS)
    options = AskOptions(decoder=decoder, kind="number")

    def ask(question: str) -> float:
        began = time.perf_counter()
        with stream(loaded, QUESTIONS[question], options) as events:
            next(iter(events))
            taken = time.perf_counter() - began
        with contextlib.suppress(Exception):  # what was cancelled has to be over
            events.pending.request.result(60)
        return taken

    prompts = {
        question: PreparedPrompt.of(loaded, text, options).prompt
        for question, text in QUESTIONS.items()
    }
    return ask, prompts


def llama_cpp_python(model: str, threads: int | None, prompts: dict[str, list[int]]) -> Ask:
    """llama-cpp-python's own stream of tokens."""
    import llama_cpp

    loaded = llama_cpp.Llama(
        str(locate(model).path),
        n_ctx=CONTEXT,
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
    )

    def ask(question: str) -> float:
        loaded.reset()  # it would take the beginning from its cache
        began = time.perf_counter()
        chunks = loaded.create_completion(
            prompts[question], max_tokens=TOKENS, temperature=0.0, stream=True
        )
        assert not isinstance(chunks, dict)
        next(chunk for chunk in chunks if chunk["choices"][0]["text"])
        return time.perf_counter() - began

    return ask


def over_http(url: str, prompts: dict[str, list[int]]) -> Ask:
    """A llama.cpp server's stream of tokens."""

    def ask(question: str) -> float:
        body = {
            "prompt": prompts[question],
            "n_predict": TOKENS,
            "temperature": 0.0,
            "stream": True,
            "cache_prompt": False,
        }
        request = urllib.request.Request(
            f"{url}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        began = time.perf_counter()
        with urllib.request.urlopen(request, timeout=300) as reply:
            for line in reply:
                data = line.removeprefix(b"data: ").strip()
                if data and json.loads(data).get("content"):
                    break
            return time.perf_counter() - began

    return ask


def timed(ask: Ask, repeats: int) -> dict[str, list[float]]:
    """Seconds of each question, after one that is not counted."""
    ask("short")
    found: dict[str, list[float]] = {question: [] for question in QUESTIONS}
    for _ in range(repeats):
        for question, seconds in found.items():
            seconds.append(round(ask(question), 4))
    return found


def child(system: str, model: str, threads: int | None, repeats: int) -> dict[str, Any]:
    """What a process of its own measures; it gets the prompts on its standard input."""
    if system == "llama-cpp-python":
        return {"seconds": timed(llama_cpp_python(model, threads, json.load(sys.stdin)), repeats)}
    ask, prompts = et_agent(system, model, threads)
    return {"seconds": timed(ask, repeats), "prompts": prompts}


def measured_apart(options: argparse.Namespace, system: str, prompts: Any) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.first_token", "--system", system]
    command += ["--model", options.model, "--repeats", str(options.repeats)]
    command += [] if options.threads is None else ["--threads", str(options.threads)]
    given = json.dumps(prompts)
    done = subprocess.run(command, input=given, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextlib.contextmanager
def served(options: argparse.Namespace, prompts: dict[str, list[int]]) -> Iterator[Ask]:
    threads = options.threads or describe()["cores"]
    assert isinstance(threads, int)
    path = str(locate(options.model).path)
    asked = Settings(path, threads, TOKENS, uncut=False, port=free_port())
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(options.server, asked, Path(folder) / "log", xllamacpp=False) as (url, _),
    ):
        yield over_http(url, prompts)


def summary(runs: Sequence[dict[str, list[float]]]) -> dict[str, Any]:
    together = {
        question: [seconds for run in runs for seconds in run[question]] for question in QUESTIONS
    }
    return {
        question: {"median": round(statistics.median(seconds), 4), "seconds": seconds}
        for question, seconds in together.items()
    }


def keep(measured: dict[str, Any]) -> None:
    """Add to the results, in the place of what the same CPU, model and threads had."""

    def key(one: dict[str, Any]) -> tuple[str, str, int | None]:
        return one["machine"]["cpu"], one["model"], one["threads"]

    known = json.loads(OUT.read_text())["measured"] if OUT.is_file() else []
    others = [one for one in known if key(one) != key(measured)]
    document = {"questions": QUESTIONS, "measured": [*others, measured]}
    write_atomically(OUT, json.dumps(document, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="as for load_model")
    parser.add_argument("--threads", type=int, help="CPU threads; all cores unless given")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each system")
    parser.add_argument("--repeats", type=int, default=5, help="times that each asks a question")
    parser.add_argument("--server", help="path of llama-server, to measure that too")
    parser.add_argument("--system", choices=SYSTEMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.system:
        found = child(options.system, options.model, options.threads, options.repeats)
        print(json.dumps(found))
        return
    runs: dict[str, list[dict[str, list[float]]]] = {}
    prompts: dict[str, list[int]] = {}
    for _ in range(options.rounds):
        for system in SYSTEMS:
            told = measured_apart(options, system, prompts)
            prompts = told.get("prompts", prompts)
            runs.setdefault(system, []).append(told["seconds"])
        if options.server:
            with served(options, prompts) as ask:
                runs.setdefault("llama-server", []).append(timed(ask, options.repeats))
        print({name: made[-1] for name, made in runs.items()}, flush=True)
    keep(
        {
            "machine": describe(),
            "model": options.model,
            "threads": options.threads,
            "server": version_of(options.server, xllamacpp=False) if options.server else None,
            "prompt_tokens": {question: len(tokens) for question, tokens in prompts.items()},
            **{name: summary(made) for name, made in runs.items()},
        }
    )


if __name__ == "__main__":
    main()
