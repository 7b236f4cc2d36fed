"""Each surface that reads bytes, for moments; `make fuzz` goes on for as long as it is let.

What once went wrong is kept in `tests/fuzz_corpus/<surface>/` and read again each time.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.hostile.drawing import flipped, reshaped
from benchmarks.hostile.files import READ, Surface, opened
from et_agent.errors import EtAgentError

CORPUS = Path(__file__).parent / "fuzz_corpus"
INPUTS = 40


@pytest.fixture(scope="module", params=sorted(READ))
def surface(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Surface]]:
    with opened(request.param, tmp_path_factory.mktemp("surface")) as found:
        yield request.param, found


def refuses(surface: Surface, data: bytes) -> bool:
    try:
        surface.read(data)
    except EtAgentError:
        return True
    return False


def test_what_is_sound_is_read(surface: tuple[str, Surface]) -> None:
    _, reading = surface
    assert [seed for seed in reading.seeds if refuses(reading, seed)] == []


def test_what_is_damaged_is_read_or_refused(surface: tuple[str, Surface]) -> None:
    name, reading = surface
    draw = random.Random(name)
    for number in range(INPUTS):
        changed = (flipped, reshaped)[number % 2]
        refuses(reading, changed(draw, draw.choice(reading.seeds)))
    for data in (
        b"",
        b"\0",
        b"[" * 100_000,
        b"{" * 3000,
        "\ud800".encode("utf-8", "surrogatepass"),
    ):
        refuses(reading, data)


def test_what_once_went_wrong_is_read_or_refused(surface: tuple[str, Surface]) -> None:
    name, reading = surface
    for path in sorted((CORPUS / name.replace(" ", "_")).glob("*")):
        refuses(reading, path.read_bytes())
