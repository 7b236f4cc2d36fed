"""Whether a change of the code changes what is answered: 42 questions, decoded anew, bit for bit.

    python -m benchmarks.snapshot write before.json     # in a checkout of the code as it was
    python -m benchmarks.snapshot compare before.json   # in the changed one, on the same machine

It needs the public API alone, so that old checkouts run it. Every schedule and baseline takes part,
with questions of every kind; the last ones are constrained by a schema or by tools.
"""

import argparse
import inspect
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from et_agent import EntropyTree, Greedy, MultiChain, ask, load_model
from et_agent.gate import Gate, GatePolicy

NUMBERS = (
    "A farmer has 17 sheep and buys 8 more. He sells 5. How many sheep has he?",
    "A train goes 240 km in 3 hours. How many km does it go in 5 hours at the same speed?",
    "Tom has 4 boxes with 12 pencils each and gives away 15 pencils. How many are left?",
    "A shirt costs 25 euros and is reduced by 20 %. What does it cost in euros?",
    "Three friends share 84 cards equally. How many does each get?",
    "A tank holds 150 litres and loses 6 litres a day. How many litres are left after 9 days?",
    "Lena reads 35 pages a day. How many pages does she read in two weeks?",
    "A bakery makes 360 rolls and packs 8 in a bag. How many bags is that?",
    "A rectangle is 14 m long and 9 m wide. What is its perimeter in metres?",
    "Ben is 12 and his sister is 5 years younger. How old are they together?",
)
CHOICES = (
    "Which planet is the largest?\nA) Mars\nB) Jupiter\nC) Venus\nD) Earth",
    "What is the boiling point of water at sea level?\nA) 50 C\nB) 75 C\nC) 100 C\nD) 150 C",
    "Which gas do plants take up for photosynthesis?\nA) oxygen\nB) nitrogen\nC) carbon dioxide\n"
    "D) helium",
    "Who wrote Faust?\nA) Schiller\nB) Goethe\nC) Heine\nD) Kafka",
)
TEXTS = (
    "What is the capital of Australia?",
    "Who painted the Mona Lisa?",
    "In which country is the city of Porto?",
    "What is the chemical symbol of gold?",
)
FORMULAS = (
    "Simplify the expression $2(x + 3) - x$.",
    "Solve for x: $x^2 = 49$. Give all solutions.",
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 30},
        "population": {"type": "integer"},
        "capital": {"type": "boolean"},
    },
    "required": ["city", "population", "capital"],
    "additionalProperties": False,
}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
            "required": ["city"],
        },
    },
}


def cases() -> list[tuple[str, str, Any, dict[str, Any]]]:
    """(name, question, decoder, other arguments) of 42 questions."""
    small: dict[str, Any] = {"leaves": 8, "max_tokens": 160}
    decoders: dict[str, Any] = {
        "rounds": EntropyTree(schedule="rounds", **small),
        "stratified": EntropyTree(schedule="stratified", **small),
        "online": EntropyTree(schedule="online", roots=4, **small),
        "breadth-first": EntropyTree(schedule="breadth_first", leaves=5, max_tokens=160),
        "received": EntropyTree(value="mass_per_token", roots=4, **small),
        "early": EntropyTree(**_early(), **small),
        "multi-chain": MultiChain(leaves=6, max_tokens=160),
        "greedy": Greedy(max_tokens=160),
    }
    made: list[tuple[str, str, Any, dict[str, Any]]] = []
    for number, question in enumerate(NUMBERS):
        names = list(decoders) if number < 1 else ["rounds"]
        names += [list(decoders)[1 + number % 5]] if number else []
        made += [(f"number {number} {name}", question, decoders[name], {}) for name in names]
    for number, question in enumerate((*CHOICES, *TEXTS)):
        made.append((f"words {number} rounds", question, decoders["rounds"], {}))
    for number, question in enumerate(FORMULAS):
        made.append((f"formula {number} rounds", question, decoders["rounds"], {}))
    made.append(("text early", TEXTS[0], decoders["early"], {}))
    made.append(("conversation", "And of Spain?", decoders["rounds"], {"before": TEXTS[0]}))
    few = EntropyTree(schedule="rounds", leaves=4, max_tokens=100)
    made.append(("schema", "Describe Paris.", few, {"schema": SCHEMA}))
    made.append(("schema 2", "Describe Porto.", few, {"schema": SCHEMA}))
    for choice in ("auto", "any"):
        extra = {"tools": [TOOL], "tool_choice": choice}
        made.append((f"tool {choice}", "Weather in Rome?", few, extra))
    return made


def _early() -> dict[str, Any]:
    from et_agent.gate import EARLY

    return dict(EARLY)


def decoded(only: str = "") -> dict[str, Any]:
    """What every question gave, seconds aside."""
    found: dict[str, Any] = {}
    gate = Gate(GatePolicy(answer_at=0.8, uncalibrated="share"))
    # Bits depend on how a prompt was cut into batches. Old checkouts keep no prefixes.
    keeps = "prefix_memory" in inspect.signature(load_model).parameters
    settings: dict[str, Any] = {"prefix_memory": 0} if keeps else {}
    with load_model("qwen2.5-coder-0.5b", **settings) as model:
        for name, text, decoder, extra in cases():
            if only and only not in name:
                continue
            extra = dict(extra)
            before = extra.pop("before", None)
            question: Any = text
            if before is not None:
                question = [
                    {"role": "user", "content": before},
                    {"role": "assistant", "content": "Canberra"},
                    {"role": "user", "content": text},
                ]
            began = time.perf_counter()
            result = ask(model, question, decoder=decoder, seed=7, **extra)
            decision = gate.decide(result)
            data = result.model_dump(mode="json")
            leaves = data["tree"]["leaves"]
            found[name] = {
                "answer": data["answer"],
                "confidence": data["confidence"],
                "distribution": data["distribution"],
                "entropy": data["predictive_entropy"],
                "entropy by count": data["predictive_entropy_by_count"],
                "cut off": data["cut_off_share"],
                "features": list(data["features"].values()),
                "ess": data["ess"],
                "margin": data["margin"],
                "calls": data["tool_calls"],
                "kind": data["kind"],
                "weights": [[leaf["weight"], leaf["count"], leaf["answer"]] for leaf in leaves],
                "texts": [leaf["text"] for leaf in leaves],
                "tokens": data["usage"]["tokens_decoded"],
                "steps": data["usage"]["steps"],
                "action": decision.action,
                "decision confidence": decision.confidence,
            }
            seconds = time.perf_counter() - began
            print(f"{seconds:6.1f} s  {name}: {result.answer}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Write a snapshot, or compare with one and end with code 1 where they differ."""
    warnings.simplefilter("error")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("command", choices=("write", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", default="", help="the cases whose names hold this text")
    asked = parser.parse_args()
    found = decoded(asked.only)
    if asked.command == "write":
        asked.file.write_text(json.dumps(found, indent=1), "utf-8")
        return
    before = json.loads(asked.file.read_text("utf-8"))
    after = json.loads(json.dumps(found))
    wanted = {name: one for name, one in before.items() if name in after}
    differing = {
        name: [key for key in one if one[key] != after[name][key]] for name, one in wanted.items()
    }
    differing = {name: keys for name, keys in differing.items() if keys}
    for name, keys in differing.items():
        print(f"{name}: {', '.join(keys)} differ")
    print(f"{len(wanted) - len(differing)} of {len(wanted)} questions give the same, bit for bit")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
