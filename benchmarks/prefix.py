"""What the prefix cache saves: tokens, time to the first token, and what it costs in memory.

    python -m benchmarks.prefix [--model qwen2.5-coder-0.5b] [--repeats 3]

Every repeat has a system prompt of its own, which was not decoded before. Ratios are of one run: the
first question decodes the system prompt, the second one starts from it. Memory is that of a process of
its own, above the size of the model file, at its highest. Writes benchmarks/results/prefix.json.
Nothing else may run meanwhile.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.machine import describe
from et_agent.asking import ask, submit
from et_agent.decoding import EntropyTree, Greedy
from et_agent.decoding.prefix_cache import common_prefix_length
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.loading import load_model
from et_agent.results import AskResult
from et_agent.templates.messages import Message
from et_agent.weights.catalog import locate

OUT: Final = Path(__file__).parent / "results" / "prefix.json"
QUESTIONS: Final = Path(__file__).parent / "questions" / "speed.txt"
SYSTEM_TOKENS: Final = 1000
WORDS: Final = (
    "river",
    "stone",
    "cloud",
    "paper",
    "green",
    "seven",
    "north",
    "quiet",
    "lamp",
    "field",
)
RESULT: Final = (
    "Sunny, 22 degrees Celsius, wind 10 km/h from the west, humidity 40 percent. Tomorrow: rain in the "
    "morning, 17 degrees, clearing in the afternoon. The day after tomorrow: 19 degrees and cloudy."
)


def system_prompt(model: LlamaCppModel, seed: int, tokens: int = SYSTEM_TOKENS) -> str:
    """Random words, so many tokens of them."""
    words = np.random.default_rng(seed).choice(WORDS, 2 * tokens).tolist()
    ids = model.tokenize("Answer in one short sentence. " + " ".join(words))[:tokens]
    return b"".join(map(model.token_bytes, ids)).decode("utf-8", "replace")


def first_token(model: LlamaCppModel, question: str, system: str) -> tuple[float, AskResult]:
    """Seconds from the question to its first token, and the result."""
    told: list[float] = []
    began = time.perf_counter()
    pending = submit(
        model,
        question,
        decoder=Greedy(max_tokens=8),
        system_prompt=system,
        kind="text",
        on_progress=lambda _: told.append(time.perf_counter() - began),
    )
    result = pending.result()
    return told[0], result


def decoded(results: Sequence[AskResult]) -> int:
    """Prompt tokens that were decoded."""
    return sum(one.usage.prompt_tokens - one.usage.cached_tokens for one in results)


def second_question(model: LlamaCppModel, seed: int) -> dict[str, float]:
    """Time to the first token of a second question with the same system prompt, over the first's."""
    system = system_prompt(model, seed)
    first, cold = first_token(model, "Name a colour.", system)
    second, warm = first_token(model, "Which planet is the largest?", system)
    return {
        "first, s": first,
        "second, s": second,
        "ratio": second / first,
        "first, tokens": decoded([cold]),
        "second, tokens": decoded([warm]),
    }


def four_at_once(model: LlamaCppModel, seed: int) -> dict[str, float]:
    """Prompt tokens of four questions that arrive together, over those of one prompt."""
    questions = [line for line in QUESTIONS.read_text().splitlines() if line.strip()][:4]
    system = system_prompt(model, seed)
    results = ask(
        model, questions, decoder=Greedy(max_tokens=8), system_prompt=system, kind="number"
    )
    one = max(result.usage.prompt_tokens for result in results)
    return {"tokens": decoded(results), "one prompt": one, "ratio": decoded(results) / one}


def tool(name: str, **properties: str) -> dict[str, Any]:
    """A tool with required parameters of these types."""
    parameters = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
    }
    function = {"name": name, "description": name.replace("_", " "), "parameters": parameters}
    return {"type": "function", "function": function}


TOOLS: Final = [
    tool("get_weather", city="string"),
    tool("add", a="number", b="number"),
    tool("search_the_web", query="string", limit="integer"),
]


def agent(model: LlamaCppModel, seed: int) -> dict[str, float]:
    """Tokens that the turns of an agent decode after the first, over those that are new to it."""
    city = ("Paris", "Rome", "Oslo", "Lima", "Cairo")[seed % 5]
    messages: list[Message] = [{"role": "user", "content": f"What is the weather in {city}?"}]
    before: list[int] = []
    found = {"turns": 0, "tokens": 0, "new": 0, "whole prompts": 0}
    for turn in range(4):
        pending = submit(
            model,
            messages,
            tools=TOOLS,
            tool_choice="any" if turn == 0 else "auto",
            decoder=EntropyTree(schedule="rounds", leaves=8, max_tokens=80),
            seed=seed,
        )
        result = pending.result()
        prompt = pending.request.prompt
        if turn:
            found["turns"] += 1
            found["tokens"] += decoded([result])
            found["new"] += len(prompt) - common_prefix_length(prompt, before)
            found["whole prompts"] += len(prompt)
        before = [*prompt, *_reply(result)]
        leaf = result.best_leaf
        assert leaf is not None
        said: Message = {"role": "assistant", "content": pending.content(leaf)}
        answer: Message = {"role": "user", "content": f"And tomorrow? {RESULT}"}
        if leaf.tool_calls:
            call = leaf.tool_calls[0]
            function = {"name": call.name, "arguments": call.arguments}
            said["tool_calls"] = [{"id": f"c{turn}", "type": "function", "function": function}]  # type: ignore[typeddict-item]
            answer = {"role": "tool", "tool_call_id": f"c{turn}", "content": RESULT}
        messages = [*messages, said, answer]
    return {**found, "ratio": found["tokens"] / found["new"]}


def _reply(result: AskResult) -> list[int]:
    """The tokens of the leaf that answered."""
    assert result.tree is not None
    assert result.best_leaf is not None
    node: int | None = result.best_leaf.node
    parts: list[int] = []
    while node is not None:
        parts = [*result.tree.nodes[node].tokens, *parts]
        node = result.tree.nodes[node].parent
    return parts


def from_file(spec: str, seed: int) -> dict[str, float]:
    """Time to the first token with a prompt of 3,000 tokens, without and with a prefix file.

    Loading the model is part of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prefixes"
        times: list[float] = []
        size = 0
        for _ in range(2):
            began = time.perf_counter()
            with load_model(spec, prefix_file=path) as model:
                system = system_prompt(model, seed, 3000)
                loaded = time.perf_counter() - began
                taken, _ = first_token(model, f"Name a colour. {len(times)}", system)
                times.append(loaded + taken)
            size = path.stat().st_size
    first, second = times
    return {"first, s": first, "second, s": second, "ratio": second / first, "file, MB": size / 1e6}


def memory(spec: str, fill: bool) -> dict[str, float]:
    """MB above the model file of three questions of 16 leaves, in this process."""
    questions = [line for line in QUESTIONS.read_text().splitlines() if line.strip()][:3]
    with load_model(spec) as model:
        ask(model, questions[0], decoder=Greedy(max_tokens=2))
        if fill:
            model.submit(lambda: _fill(model)).result()
        decoder = EntropyTree(schedule="rounds", leaves=16)
        ask(model, questions, decoder=decoder, kind="number")
        store = model.prefixes
        assert store is not None
        kept = store.bytes
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return {
        "peak above the model file, MB": (peak - locate(spec).path.stat().st_size) / 1e6,
        "kept, MB": kept / 1e6,
    }


def _fill(model: LlamaCppModel) -> None:
    """Fill the store with what no question begins with."""
    store = model.prefixes
    assert store is not None
    row = next(node for node in store.nodes()).rows.shape[1]
    number = 0
    while store.bytes < store.memory - 200 * row:
        store.insert([number] * 200, np.ones((200, row), dtype=np.uint8), prompt=200)
        number += 1


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Medians, and the ratio of every run."""
    found: dict[str, Any] = {
        key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]
    }
    if "ratio" in found:
        found["all"] = [round(run["ratio"], 4) for run in runs]
    print(found, file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", choices=["full", "empty"], help="only this, printed as JSON")
    options = parser.parse_args()
    if options.memory:
        print(json.dumps(memory(options.model, options.memory == "full")))
        return
    seeds = range(options.repeats)
    found: dict[str, Any] = {}
    with load_model(options.model) as model:
        ask(model, "Name a fruit.", decoder=Greedy(max_tokens=8), kind="text")
        found["second question with the same 1,000 tokens"] = summary(
            [second_question(model, seed) for seed in seeds]
        )
        found["four questions at once"] = summary([four_at_once(model, 100 + s) for s in seeds])
        found["turns of an agent with three tools"] = summary([agent(model, s) for s in seeds])
    found["prefix file, 3,000 tokens"] = summary([from_file(options.model, 200)])
    for fill in ("full", "empty"):
        command = [sys.executable, "-m", "benchmarks.prefix", "--model", options.model]
        told = subprocess.run(
            [*command, "--memory", fill], capture_output=True, text=True, check=True
        ).stdout
        found[f"memory, three questions of 16 leaves, store {fill}"] = summary([json.loads(told)])
    kept = json.loads(OUT.read_text(encoding="utf-8")) if OUT.is_file() else {}
    kept[options.model] = {**found, "machine": describe()}
    OUT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
