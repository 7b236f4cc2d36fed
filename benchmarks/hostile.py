"""Hostile input over all surfaces, counted: crashes, hangs and exceptions that are none of ours.

    python -m benchmarks.hostile --count 100000

Each surface runs in a process of its own, so that a crash is counted and not the end. The counts go to
benchmarks/results/hostile.json, from which docs/reliability.md has its table.
"""

import argparse
import collections
import contextlib
import inspect
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from et_agent.errors import EtAgentError

RESULTS: Final = Path(__file__).parent / "results" / "hostile.json"
PAGE: Final = Path(__file__).parent.parent / "docs" / "reliability.md"
HANG: Final = 5.0
"""Seconds."""
_SHARES: Final = {
    "public functions": 0.3,
    "JSON": 0.3,
    "questions": 0.05,
    "answers": 0.2,
    "policies": 0.1,
    "calibrators": 0.04,
    "stores of runs": 0.01,
}
_WORDS: Final = (
    *("4", "\\boxed{", "}", "{", "answer", "is", "A)", "none", "<tool_call>", "<|im_end|>", "\n"),
    *("\0", "\ud800", "\u200b", "1e999", "9" * 400, "-", "½", "日本", "$", "\\frac{1}{", "(", ","),
    *(
        "{{ 7 * 7 }}",
        "[",
        "]",
        '"',
        "'",
        "\\",
        "NaN",
        "None",
        "<think>",
        "</think>",
        "  ",
        "\t",
        "%",
    ),
)


def text(draw: random.Random) -> str:
    """A text of hostile words."""
    return "".join(draw.choice(_WORDS) for _ in range(draw.randrange(12)))


def value(draw: random.Random, depth: int = 0) -> Any:
    """Any value, JSON or not."""
    kinds = 12 if depth < 4 else 9
    match draw.randrange(kinds):
        case 0:
            return draw.choice([None, True, False])
        case 1:
            return draw.choice([0, 1, -1, 7, 2**63, 10**400, -(10**5000)])
        case 2:
            return draw.choice([0.5, -0.0, 1e308, math.nan, math.inf, -math.inf])
        case 3 | 4:
            return text(draw)
        case 5:
            return draw.choice([b"", b"\xff", object(), int, {1, 2}, range(3), np.zeros((2, 2))])
        case 6:
            return "x" * draw.choice([1, 3000])
        case 7:
            return draw.choice([Path("/proc/self/status/x"), Path("\udcff"), lambda *_: None])
        case 8:
            return deep(draw.choice([3, 300, 3000]))
        case 9 | 10:
            return [value(draw, depth + 1) for _ in range(draw.randrange(4))]
        case _:
            keys = [
                draw.choice([text(draw), 1, None, ("a",), "a"]) for _ in range(draw.randrange(4))
            ]
            return {key: value(draw, depth + 1) for key in keys}


def deep(levels: int) -> Any:
    """Nested arrays."""
    made: Any = None
    for _ in range(levels):
        made = [made]
    return made


def flipped(draw: random.Random, data: bytes) -> bytes:
    """Bytes with some of them changed, or without their end."""
    changed = bytearray(data)
    for _ in range(draw.randrange(1, 4)):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed[: draw.randrange(len(changed))] if draw.random() < 0.1 else changed)


Work = Callable[[random.Random], object]


def public_functions(folder: Path) -> Work:
    """Every public callable, one argument hostile."""
    from tests.test_boundary import PUBLIC, leaves_cleanly, sound_arguments

    sound = sound_arguments(folder)
    callables = {
        name: found
        for name, found in PUBLIC.items()
        if [one for one in inspect.signature(found).parameters.values() if one.kind in (1, 3)]
        # These render, draw or decode for seconds as they should.
        if name.rpartition(".")[2] not in ("write_report", "run_pilot")
    }
    names = sorted(callables)

    def work(draw: random.Random) -> object:
        name = draw.choice(names)
        parameters = inspect.signature(callables[name]).parameters.values()
        taken = [one for one in parameters if one.kind in (1, 3)]
        hostile = draw.choice(taken).name
        arguments = {hostile: value(draw)}
        for one in taken:
            if one.name != hostile and one.default is one.empty:
                arguments[one.name] = sound.get(one.name) or value(draw)
        told = leaves_cleanly(name, callables[name], arguments)
        if told is not None:
            raise EtAgentError(told)
        return name

    return work


def json_values(_: Path) -> Work:
    """Values where JSON is wanted, and schemas."""
    from et_agent.grammar import json_rule
    from et_agent.validation import plain_json

    keys = ("type", "enum", "anyOf", "items", "properties", "minimum", "pattern", "$ref", "const")

    def work(draw: random.Random) -> object:
        if draw.random() < 0.9:
            return plain_json(value(draw), "the value")
        return json_rule({draw.choice(keys): value(draw) for _ in range(draw.randrange(1, 3))})

    return work


def questions(_: Path) -> Work:
    """Questions, conversations, tools and schemas for a model."""
    from et_agent import MultiChain, ScriptedModel, ask

    model = ScriptedModel.from_texts({"So \\boxed{4}": 0.7, '{"a": 1}': 0.3}, context=1024)
    chains = MultiChain(leaves=2, max_tokens=16)

    def work(draw: random.Random) -> object:
        roles = ("user", "assistant", "system", "tool", text(draw))
        said = [
            {"role": draw.choice(roles), "content": draw.choice([text(draw), value(draw)])}
            for _ in range(draw.randrange(1, 4))
        ]
        question: Any = draw.choice([text(draw), value(draw), said])
        name = draw.choice(["schema", "tools", "context", "kind", "stop", "system_prompt", "seed"])
        changes: dict[str, Any] = {name: value(draw)} if draw.random() < 0.5 else {}
        return ask(model, question, decoder=chains, **changes)

    return work


def answers(_: Path) -> Work:
    """Texts that answers are read from."""
    from et_agent.answers import AnswerKind, extract, guess_kind

    kinds = [one for one in AnswerKind if one is not AnswerKind.AUTO]

    def work(draw: random.Random) -> object:
        said = text(draw) * draw.choice([1, 1, 1, 30])
        return guess_kind(said), extract(said, draw.choice(kinds), question=text(draw))

    return work


def policies(folder: Path) -> Work:
    """TOML files of policies, damaged and odd."""
    from et_agent.gate import GatePolicy

    sound = b"[gate]\nanswer_at = 0.8\ntimeout = 5.0\n[gate.topics.pay]\nanswer_at = 0.9\n"
    path = folder / "gate.toml"

    def work(draw: random.Random) -> object:
        odd = f"answer_at = {draw.choice(_WORDS)}\n{text(draw)}".encode("utf-8", "surrogatepass")
        path.write_bytes(flipped(draw, sound) if draw.random() < 0.7 else odd)
        return GatePolicy.from_toml(path)

    return work


def calibrators(_: Path) -> Work:
    """Files of calibrators, damaged."""
    from et_agent.calibration import Calibrator

    shipped = resources.files("et_agent.calibration") / "shipped"
    sound = [one.read_bytes() for one in shipped.iterdir() if one.name.endswith(".json")]

    def work(draw: random.Random) -> object:
        return Calibrator.from_json(flipped(draw, draw.choice(sound)), "a calibrator")

    return work


def stores(folder: Path) -> Work:
    """Stores of runs, damaged: what is read is what was stored."""
    from et_agent.evaluation import RunStore
    from tests.evaluation.conftest import record, table

    path = folder / "runs.sqlite"
    with RunStore(path) as store:
        run = store.begin("a", {"seed": 1})
        for at in range(3):
            kept = record(f"x/{at}", table([0]), [True])
            store.add(run, kept, ["text"], {"tokens": np.arange(3)})
        stored = {one.item: one.as_json() for one in store.records(run)}
    sound = path.read_bytes()

    def work(draw: random.Random) -> object:
        path.write_bytes(flipped(draw, sound))
        with RunStore(path) as store:
            found = {one.item: one.as_json() for one in store.records(run)}
            assert found.items() <= stored.items(), "another record than was stored"
            return store.texts(run, "x/1"), store.traces(run, "x/1")

    return work


SURFACES: Final[dict[str, Callable[[Path], Work]]] = {
    "public functions": public_functions,
    "JSON": json_values,
    "questions": questions,
    "answers": answers,
    "policies": policies,
    "calibrators": calibrators,
    "stores of runs": stores,
}


def thrown(surface: str, count: int, seed: int, seconds: float) -> dict[str, Any]:
    """Throw inputs at a surface, and count what comes back."""
    warnings.simplefilter("ignore")
    draw, raw, hangs = random.Random(seed), collections.Counter[str](), 0
    done = refused = 0
    longest = 0.0
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ |= {"ET_AGENT_CACHE": folder, "ET_AGENT_CONFIG": f"{folder}/config.toml"}
        work = SURFACES[surface](Path(folder))
        last = time.perf_counter() + seconds
        while done < count and time.perf_counter() < last:
            began = time.perf_counter()
            try:
                work(draw)
            except EtAgentError:
                refused += 1
            except BaseException as error:
                where = list(_frames(error))[-1]
                raw[f"{type(error).__name__}: {str(error)[:80]!r} at {where}"] += 1
            took = time.perf_counter() - began
            longest, hangs = max(longest, took), hangs + (took > HANG)
            done += 1
    return {
        "inputs": done,
        "refused": refused,
        "raw exceptions": sum(raw.values()),
        "hangs": hangs,
        "longest seconds": round(longest, 2),
        "raw": dict(raw.most_common(20)),
    }


def _frames(error: BaseException) -> Iterator[str]:
    at = error.__traceback__
    while at is not None:
        yield f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}"
        at = at.tb_next


def main() -> None:
    """Throw inputs at all surfaces and write the counts, or at one and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600.0, help="of each surface at most")
    parser.add_argument("--surface", choices=sorted(SURFACES))
    given = parser.parse_args()
    if given.surface:
        # Surfaces may print.
        found = thrown(given.surface, given.count, given.seed, given.seconds)
        sys.stdout.write("\n" + json.dumps(found) + "\n")
        sys.stdout.flush()
        os._exit(0)
    results: dict[str, dict[str, Any]] = {}
    for surface, share in _SHARES.items():
        count = max(1, round(given.count * share))
        command = [sys.executable, "-m", __spec__.name, "--surface", surface]
        command += [
            "--count",
            str(count),
            "--seed",
            str(given.seed),
            "--seconds",
            str(given.seconds),
        ]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        crashed = ended.returncode != 0
        said = {} if crashed else json.loads(ended.stdout.splitlines()[-1])
        results[surface] = {"crashes": int(crashed), **said}
        print(surface, results[surface], flush=True)
    names = ("inputs", "refused", "crashes", "hangs", "raw exceptions")
    total = {name: sum(one.get(name, 0) for one in results.values()) for name in names}
    RESULTS.write_text(json.dumps({"total": total, "surfaces": results}, indent=1) + "\n")
    print(total)
    _write_table(results, total)


def _write_table(results: dict[str, dict[str, Any]], total: dict[str, int]) -> None:
    begin, end = "<!-- hostile: made by benchmarks/hostile.py -->", "<!-- hostile: end -->"
    lines = [
        "| surface | inputs | refused | crashes | hangs | raw exceptions |",
        "|---|" + "---:|" * 5,
    ]
    for name, one in [*results.items(), ("all", total)]:
        keys = ("inputs", "refused", "crashes", "hangs", "raw exceptions")
        lines.append(f"| {name} | " + " | ".join(f"{one.get(key, 0):,}" for key in keys) + " |")
    before, _, rest = PAGE.read_text("utf-8").partition(begin)
    table = "\n".join(lines)
    PAGE.write_text(f"{before}{begin}\n\n{table}\n\n{end}{rest.partition(end)[2]}", "utf-8")


if __name__ == "__main__":
    main()
