"""Hostile words, values and bytes, drawn at random."""

import json
import math
import random
from pathlib import Path
from typing import Any, Final

import numpy as np

WORDS: Final = (
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

_SIGNS: Final = tuple(b"0123456789-.e\"'\n,:")


def text(draw: random.Random) -> str:
    """A text of hostile words."""
    return "".join(draw.choice(WORDS) for _ in range(draw.randrange(12)))


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


def reshaped(draw: random.Random, data: bytes) -> bytes:
    """JSON with a part of it replaced, left out or given twice; anything else as `flipped` has it."""
    try:
        whole: Any = [json.loads(data)]
    except ValueError:
        return flipped(draw, data)
    for _ in range(draw.randrange(1, 3)):
        at = whole
        while True:
            places = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not places:
                break
            place = draw.choice(places)
            if isinstance(at[place], dict | list) and at[place] and draw.random() < 0.8:
                at = at[place]
                continue
            match draw.randrange(5):
                case 0 if at is not whole:
                    del at[place]
                case 1 if isinstance(at, list) and at is not whole:
                    at.append(at[place])
                case 2 if isinstance(at, dict):
                    at[draw.choice([text(draw), "kind", "model"])] = at[place]
                case _:
                    at[place] = json_value(draw)
            break
    return json.dumps(whole[0]).encode()


def json_value(draw: random.Random, depth: int = 0) -> Any:
    """Any JSON, and numbers that are none."""
    match draw.randrange(8 if depth < 3 else 6):
        case 0:
            return draw.choice([None, True, False, "", [], {}])
        case 1:
            return draw.choice([0, 1, -1, 2, 7, 100, 2**31, 2**63, 10**400])
        case 2:
            return draw.choice([0.5, 0.0, -0.5, 1.5, 1e308, math.nan, math.inf, 5e-324])
        case 3:
            return text(draw)
        case 4:
            return draw.choice(["a", "4", "0.5", "user", "x" * 3000, "../x", "http://x"])
        case 5:
            return deep(draw.choice([3, 300]))
        case 6:
            return [json_value(draw, depth + 1) for _ in range(draw.randrange(4))]
        case _:
            return {text(draw): json_value(draw, depth + 1) for _ in range(draw.randrange(4))}


def flipped(draw: random.Random, data: bytes) -> bytes:
    """Bytes with some of them changed, without a part of them, or with a part twice."""
    changed = bytearray(data)
    for _ in range(draw.randrange(1, 4)):
        if changed:
            # Mostly what can stand in a text, which would else be refused as none.
            odd = [draw.randrange(256), 0, 0xFF, *_SIGNS, *(draw.randrange(32, 127) for _ in "abc")]
            changed[draw.randrange(len(changed))] = draw.choice(odd)
    low, high = sorted(draw.randrange(len(changed) + 1) for _ in range(2))
    match draw.randrange(10):
        case 0:
            return bytes(changed[:low])
        case 1:
            return bytes(changed[:low] + changed[high:])
        case 2:
            return bytes(changed[:high] + changed[low:])
        case 3:
            word = draw.choice(WORDS).encode("utf-8", "surrogatepass")
            return bytes(changed[:low]) + word * draw.choice([1, 1, 200]) + bytes(changed[low:])
    return bytes(changed)
