"""Speed and memory of trees against bare llama.cpp, `llama_cpp.Llama` and our own multi-chain.

Machines are shared and noisy: every figure is a ratio of times taken in one run, in turn.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.recording import recorded, replay
from et_agent.asking import ask
from et_agent.decoding import EntropyTree, MultiChain
from et_agent.decoding.base import DecoderSettings
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.loading import load_model
from et_agent.results import AskResult
from et_agent.weights.catalog import locate

MODEL = "qwen2.5-coder-0.5b"
LEAVES = 20
MAX_TOKENS = 320
QUESTIONS = [
    line
    for line in (Path(__file__).parent / "questions" / "speed.txt").read_text().splitlines()
    if line.strip()
]
SEED = 11

Say = Callable[[str], None]


def tree_settings(**other: Any) -> EntropyTree:
    """A tree of `rounds` with the benchmark's leaves and token limit."""
    return EntropyTree(schedule="rounds", leaves=LEAVES, max_tokens=MAX_TOKENS, **other)


@contextmanager
def loaded(**settings: Any) -> Iterator[LlamaCppModel]:
    """The benchmark's model. Prompts are decoded every time, also in a replay."""
    with load_model(MODEL, prefix_memory=0, **settings) as model:
        yield model


def spread(values: list[float]) -> dict[str, float | list[float]]:
    """Median and all values."""
    return {
        "median": round(statistics.median(values), 4),
        "all": [round(value, 4) for value in values],
    }


def _ask_one(model: LlamaCppModel, question: str, *, attention: bool = False) -> float:
    """Seconds that the tree takes."""
    started = time.perf_counter()
    ask(
        model,
        question,
        decoder=tree_settings(),
        kind="number",
        seed=SEED,
        calibrator=None,  # a calibrator may need attention
        attention=attention,
    )
    return time.perf_counter() - started


def _ask_all(
    model: LlamaCppModel, decoder: DecoderSettings, *, attention: bool = False
) -> tuple[float, list[AskResult]]:
    started = time.perf_counter()
    results = ask(
        model,
        QUESTIONS,
        decoder=decoder,
        kind="number",
        seed=SEED,
        calibrator=None,
        attention=attention,
    )
    return time.perf_counter() - started, results


def overhead(say: Say, repeats: int) -> dict[str, Any]:
    """Wall time of trees over the bare llama_decode calls of the same batches, replayed."""
    ratios: dict[str, list[float]] = {"attention": [], "no attention": []}
    for name, values in ratios.items():
        reads = name == "attention"
        with loaded(attention=reads) as model, loaded(attention=False) as bare:
            _ask_one(model, QUESTIONS[0], attention=reads)
            for repeat in range(repeats):
                question = QUESTIONS[repeat % len(QUESTIONS)]
                with recorded(model) as recording:
                    first = _ask_one(model, question, attention=reads)
                replayed = replay(bare, recording)
                taken = 0.5 * (first + _ask_one(model, question, attention=reads))
                values.append(taken / replayed)
                say(f"  {name}: {taken:.2f} s over {replayed:.2f} s = {values[-1]:.3f}")
    return {name: spread(values) for name, values in ratios.items()}


def against_llama(say: Say, repeats: int) -> dict[str, Any]:
    """Trees against chains one after another with `llama_cpp.Llama`."""
    import llama_cpp

    with loaded() as model:
        prompts = [_prompt_of(model, question) for question in QUESTIONS]
        threads = int(llama_cpp.llama_n_threads(model._native.context))
        alone: list[float] = []
        chains: list[float] = []
        counts: list[int] = []
        llama = llama_cpp.Llama(
            str(locate(MODEL).path),
            n_ctx=2048,
            n_threads=threads,
            n_threads_batch=threads,
            verbose=False,
        )
        for question, prompt in zip(QUESTIONS, prompts, strict=True):
            alone.append(_ask_one(model, question))
            count, seconds = _chains_with_llama(llama, prompt)
            chains.append(seconds)
            counts.append(count)
            say(
                f"  tree {alone[-1]:.1f} s, {LEAVES} chains with Llama {seconds:.1f} s "
                f"({count / seconds:.0f} tokens/s)"
            )
        llama.close()
        together = [_ask_all(model, tree_settings())[0] for _ in range(repeats)]
        say(f"  all at once: {[round(t, 1) for t in together]} s against {sum(chains):.1f} s")
    return {
        "one question, ratio by question": spread(
            [slow / fast for slow, fast in zip(chains, alone, strict=True)]
        ),
        "one question, ratio of sums": round(sum(chains) / sum(alone), 3),
        "all at once": spread([sum(chains) / seconds for seconds in together]),
        "llama tokens a second": round(sum(counts) / sum(chains), 1),
    }


def _prompt_of(model: LlamaCppModel, question: str) -> list[int]:
    from et_agent.answers import AnswerKind, instruction

    system = instruction(AnswerKind.NUMBER)
    return model.chat_tokens(
        [{"role": "system", "content": system}, {"role": "user", "content": question}]
    )


def _chains_with_llama(llama: Any, prompt: list[int]) -> tuple[int, float]:
    """Tokens and seconds of chains one after another; `Llama` keeps the prompt between them."""
    tokens = 0
    started = time.perf_counter()
    for chain in range(LEAVES):
        answer = llama.create_completion(
            prompt, max_tokens=MAX_TOKENS, temperature=0.7, seed=SEED + chain
        )
        tokens += answer["usage"]["completion_tokens"]
    return tokens, time.perf_counter() - started


def against_chains(say: Say, repeats: int) -> dict[str, Any]:
    """Trees against our own multi-chain of as many leaves, all questions at once."""
    tokens: list[float] = []
    times: list[float] = []
    rows = []
    with loaded() as model:
        for repeat in range(repeats):
            tree_seconds, trees = _ask_all(model, tree_settings())
            chain_seconds, chains = _ask_all(
                model, MultiChain(leaves=LEAVES, max_tokens=MAX_TOKENS)
            )
            tree_tokens = sum(result.usage.tokens_decoded for result in trees)
            chain_tokens = sum(result.usage.tokens_decoded for result in chains)
            tokens.append(tree_tokens / chain_tokens)
            times.append(tree_seconds / chain_seconds)
            rows.append(
                {
                    "tree": _summary(trees, tree_seconds),
                    "chains": _summary(chains, chain_seconds),
                }
            )
            say(
                f"  round {repeat + 1}: tokens {tree_tokens}/{chain_tokens} = {tokens[-1]:.3f}, "
                f"time {tree_seconds:.1f}/{chain_seconds:.1f} s = {times[-1]:.3f}, "
                f"leaves {[r.usage.leaves for r in trees]}"
            )
    return {"tokens": spread(tokens), "wall time": spread(times), "runs": rows}


def _summary(results: list[AskResult], seconds: float) -> dict[str, Any]:
    tokens = sum(result.usage.tokens_decoded for result in results)
    return {
        "seconds": round(seconds, 2),
        "tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 1),
        "leaves": [result.usage.leaves for result in results],
        "ess": [round(result.ess, 2) for result in results],
        "answers": [result.answer for result in results],
        "top_share": [round(result.distribution[0].share, 3) for result in results],
    }


def attention(say: Say, repeats: int) -> dict[str, Any]:
    """Extra time for reading attention: the same trees with and without."""
    ratios: list[float] = []
    with loaded() as reading, loaded(attention=False) as blind:
        decoder = tree_settings(importance="none")
        for repeat in range(repeats):
            order = [reading, blind] if repeat % 2 == 0 else [blind, reading]
            taken = {
                id(model): _ask_all(model, decoder, attention=model is reading) for model in order
            }
            (on, seen), (off, unseen) = taken[id(reading)], taken[id(blind)]
            count_on = sum(result.usage.tokens_decoded for result in seen)
            count_off = sum(result.usage.tokens_decoded for result in unseen)
            # A token more or less must not pass for a cost of attention.
            ratios.append((on / count_on) / (off / count_off))
            say(f"  {on:.1f} s with, {off:.1f} s without: {ratios[-1]:.3f} a token")
    return {"time with over without": spread(ratios)}


def memory(say: Say) -> dict[str, Any]:
    """Peak memory above the model file, context 8,192, in a process of its own."""
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed"], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(child.stdout)
    say(f"  peak {found['peak_mb']} MB, file {found['file_mb']} MB, above {found['above_mb']} MB")
    return found


def _memory_child() -> None:
    located = locate(MODEL)
    with loaded(context=8192) as model:
        ask(model, QUESTIONS[0], decoder=tree_settings(), kind="number", seed=SEED)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = located.path.stat().st_size
    print(
        json.dumps(
            {
                "peak_mb": round(peak / 1e6),
                "file_mb": round(size / 1e6),
                "above_mb": round((peak - size) / 1e6),
            }
        )
    )


if __name__ == "__main__":
    _memory_child()
