"""Decoding a series in parts: what is decoded is kept after every few, and the same call goes on."""

import json
import lzma
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.naming import described
from et_agent.engines.base import LanguageModel
from et_agent.storage import write_atomically

__all__ = ["Row", "decode", "head_of", "read", "read_lines", "rounded", "write_lines"]

Row = dict[str, Any]


def head_of(model: LanguageModel, decoder: DecoderSettings, seed: int) -> Row:
    """How a series is decoded, the first line of its file."""
    return {
        "model": {
            "name": model.info.name,
            "fingerprint": model.info.fingerprint,
            "parameters": model.info.parameters,
            "library": model.info.library,
        },
        "decoder": described(decoder),
        "seed": seed,
        "machine": describe(),
    }


def decode(
    path: Path,
    head: Row,
    count: int,
    decoded: Callable[[Sequence[int]], Iterable[Row]],
    told: Callable[[Sequence[Row]], str],
    *,
    at_once: int,
    minutes: float | None,
) -> None:
    """Decode those of the first `count` of a series that a file lacks.

    Another machine may go on with it: the file names the libraries of all.

    Args:
        path: The file.
        head: How they are decoded.
        count: How many there are to be.
        decoded: Decodes those with these numbers together; each row has its "number" and "tokens".
        told: What is to be told of all rows so far.
        at_once: How many share the model's batches.
        minutes: Stop after about as long; None for never.
    """
    began = time.monotonic()
    held, rows = read(path) or (head, [])
    libraries = held["model"]["library"].split("; ")
    if head["model"]["library"] not in libraries:
        libraries.append(head["model"]["library"])
    model = {**head["model"], "library": held["model"]["library"]}
    if held != {**head, "model": model, "machine": held["machine"]}:
        raise SystemExit(f"{path} was decoded with other settings: move it away to begin anew")
    held["model"]["library"] = "; ".join(libraries)
    done = {row["number"] for row in rows}
    left = [number for number in range(count) if number not in done]
    for at in range(0, len(left), at_once):
        if minutes is not None and time.monotonic() - began > 60 * minutes:
            print("stopped; the same call goes on", file=sys.stderr)
            return
        numbers = left[at : at + at_once]
        rows += decoded(numbers)
        write_lines(path, [held, *rows])
        print(
            f"{time.strftime('%H:%M:%S')} {len(rows)}/{count}, {told(rows)}, "
            f"{sum(row['tokens'] for row in rows[-len(numbers) :])} tokens",
            file=sys.stderr,
            flush=True,
        )


def rounded(features: Mapping[str, float | None]) -> dict[str, float | None]:
    """Features with six digits."""
    return {name: None if one is None else float(f"{one:.6g}") for name, one in features.items()}


def read(path: Path) -> tuple[Row, list[Row]] | None:
    """How a file was decoded, and its rows in order; None if there is no file."""
    if not path.is_file():
        return None
    head, *rows = read_lines(path)
    return head, sorted(rows, key=lambda row: int(row["number"]))


def read_lines(path: Path) -> list[Row]:
    """The lines of an xz-compressed file of JSON."""
    return [json.loads(line) for line in lzma.decompress(path.read_bytes()).decode().splitlines()]


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write such a file, atomically; the same lines give the same bytes."""
    texts = (json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in lines)
    text = "".join(f"{line}\n" for line in texts)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
