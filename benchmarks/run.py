"""`make bench`: measures the speed figures, prints them with their targets, keeps the results.

Each figure is written as soon as it is there, so a run can be interrupted and single figures redone:
`make bench ARGS="--only memory"`.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import speed
from benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results" / "speed.json"


def _rows(figures: dict[str, Any]) -> list[tuple[str, float, str, float]]:
    """(figure, measured, direction, target) of what has been measured."""
    rows: list[tuple[str, float, str, float]] = []

    def add(name: str, figure: str, *keys: str, direction: str, target: float) -> None:
        found = figures.get(figure)
        for key in keys:
            found = None if found is None else found[key]
        if found is not None:
            rows.append((name, float(found), direction, target))

    bare = "tree over bare llama_decode"
    add(f"{bare}, attention off", "overhead", "no attention", "median", direction="<=", target=1.08)
    add(f"{bare}, attention on", "overhead", "attention", "median", direction="<=", target=1.08)
    one, many = "one question, ratio of sums", "all at once"
    add("one question: Llama's chains over tree", "against_llama", one, direction=">=", target=2.5)
    add("all questions at once", "against_llama", many, "median", direction=">=", target=3.5)
    chains = "tree over multi-chain of 20"
    add(f"tokens: {chains}", "against_chains", "tokens", "median", direction="<=", target=0.75)
    add(f"time: {chains}", "against_chains", "wall time", "median", direction="<=", target=0.90)
    with_attention = "time with over without"
    add("attention on over off", "attention", with_attention, "median", direction="<=", target=1.05)
    add("peak MB above the model file", "memory", "above_mb", direction="<=", target=600)
    return rows


def table(figures: dict[str, Any]) -> str:
    """The figures as a text table."""
    lines = [f"{'figure':<46}{'measured':>10}{'target':>12}"]
    for name, measured, direction, target in _rows(figures):
        reached = measured <= target if direction == "<=" else measured >= target
        mark = "" if reached else "   not reached"
        lines.append(
            f"{name:<46}{measured:>10.3g}{direction + ' ' + format(target, 'g'):>12}{mark}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=list(_FIGURES), help="one figure")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--questions", type=int, default=len(speed.QUESTIONS), help="fewer for a quick look"
    )
    options = parser.parse_args()
    del speed.QUESTIONS[options.questions :]
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in options.only or _FIGURES:
        _say(f"{name}: {_FIGURES[name].__doc__}")
        figure = _FIGURES[name](options.repeats)
        kept[name] = {
            **figure,
            "questions": len(speed.QUESTIONS),
            "repeats": options.repeats,
            "machine": describe(),
        }
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    print(table(kept))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _memory(_repeats: int) -> dict[str, Any]:
    """Peak memory above the model file."""
    return speed.memory(_say)


def _overhead(repeats: int) -> dict[str, Any]:
    """Wall time of trees over the bare llama_decode calls of the same batches."""
    return speed.overhead(_say, repeats)


def _attention(repeats: int) -> dict[str, Any]:
    """Extra time for attention."""
    return speed.attention(_say, repeats)


def _against_chains(repeats: int) -> dict[str, Any]:
    """Tree of 20 leaves over our own multi-chain of 20, 10 questions at once."""
    return speed.against_chains(_say, repeats)


def _against_llama(repeats: int) -> dict[str, Any]:
    """Tree of 20 leaves against 20 chains one after another with llama_cpp.Llama."""
    return speed.against_llama(_say, repeats)


_FIGURES: dict[str, Callable[[int], dict[str, Any]]] = {
    "memory": _memory,
    "overhead": _overhead,
    "attention": _attention,
    "against_chains": _against_chains,
    "against_llama": _against_llama,
}

if __name__ == "__main__":
    main()
