"""The original files, where they are at hand: every row is read, every accepted answer too."""

import os
import random
import time
from pathlib import Path

import pytest

from et_agent.answers.worker import shared_worker
from et_agent.evaluation.datasets import DATASETS, load_items
from et_agent.evaluation.grading import gold_answers, is_right

FOLDER = os.environ.get("ET_AGENT_DATA")
ROWS = {
    "svamp": 300,
    "svamp:train": 700,
    "gsm8k": 1319,
    "gsm8k:train": 7473,
    "math500": 500,
    "aime24": 30,
    "aime25": 30,
    "scibench": 580,
    "mmlu": 14042,
    "mmlu:val": 1531,
    "mmlu:dev": 285,
    "nq-open": 1500,
    "nq-open:train": 2110,
}
pytestmark = pytest.mark.skipif(FOLDER is None, reason="ET_AGENT_DATA is not set")


@pytest.fixture(autouse=True)
def _original_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FOLDER is not None
    monkeypatch.setenv("ET_AGENT_DATA", FOLDER)


@pytest.mark.parametrize("spec", ROWS)
def test_every_row_is_read(spec: str) -> None:
    name = spec.partition(":")[0]
    assert FOLDER is not None
    files = DATASETS[name].splits[spec.partition(":")[2] or "test"]
    if not all((Path(FOLDER) / file.path).is_file() for file in files):
        pytest.skip(f"{name} is not in ET_AGENT_DATA")
    items = load_items(spec)
    assert len(items) == ROWS[spec]
    assert len({item.id for item in items}) == len(items)
    for item in items:
        found = gold_answers(item)
        assert found
        if item.kind.value != "math":
            assert is_right(found[0].value, item), item.id


def test_mathematics_compares_as_it_should() -> None:
    """Every accepted answer equals itself, wrong ones differ, and nothing takes long."""
    assert FOLDER is not None
    if not (Path(FOLDER) / DATASETS["math500"].splits["test"][0].path).is_file():
        pytest.skip("math500 is not in ET_AGENT_DATA")
    items = load_items("math500")
    rng = random.Random(0)
    pairs = [(item, item.golds[0], True) for item in items]
    while len(pairs) < len(items) + 200:
        item, other = rng.sample(items, 2)
        if gold_answers(item)[0].key != gold_answers(other)[0].key:
            pairs.append((item, other.golds[0], False))
    worker = shared_worker()
    worker.equal("x", "y")  # starts the process, whose time does not count
    for item, answer, right in pairs:
        began = time.monotonic()
        # By math-verify itself, too: equal texts never reach it.
        assert worker.equal(item.golds[0], answer) in (right, None), (item.id, answer)
        assert is_right(answer, item) is right, (item.id, answer)
        assert time.monotonic() - began < 2.0, (item.id, answer)
