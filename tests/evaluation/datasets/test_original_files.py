"""The original files, where they are at hand: every row is read, every accepted answer too."""

import os
from pathlib import Path

import pytest

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
