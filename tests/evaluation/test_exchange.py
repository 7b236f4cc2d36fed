import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from et_agent.errors import DataError
from et_agent.evaluation.exchange import export_run, import_run, read_run
from et_agent.evaluation.store import RunStore
from tests.evaluation.conftest import record, table


def exported(folder: Path) -> Path:
    path = folder / "run.jsonl.gz"
    with RunStore(folder / "one.sqlite") as store:
        run = store.begin("a", {"seed": 1})
        store.add(run, record("x/1", table([0, 1]), [True, False], extras={"p-true": None}), [], {})
        leaves = table([0, -1], rauq=[np.nan, np.nan])
        store.add(run, record("x/2", leaves, [False], extras={"p-true": 0.5}), ["text"], {})
        assert export_run(store, run, path) == 2
    return path


def test_a_run_goes_to_another_store_and_on(tmp_path: Path) -> None:
    path = exported(tmp_path)
    with RunStore(tmp_path / "other.sqlite") as store:
        run = import_run(store, path)
        assert (run.name, run.config, run.questions) == ("a", {"seed": 1}, 2)
        one, other = store.records(run)
        assert one.extras == {"p-true": None}
        assert other.extras == {"p-true": 0.5}
        assert np.isnan(other.leaves.rauq).all()
        assert other.leaves.answer.tolist() == [0, -1]
        # Again, with one question more here: nothing is lost or doubled.
        store.add(run, record("x/3", table([0]), [True]), [], {})
        assert import_run(store, path).questions == 3
        export_run(store, run, tmp_path / "again.jsonl.gz")
    assert len(read_run(tmp_path / "again.jsonl.gz")[2]) == 3


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    path = exported(tmp_path)
    before = path.read_bytes()
    with RunStore(tmp_path / "one.sqlite") as store:
        export_run(store, store.run("a"), path)
    assert path.read_bytes() == before


@pytest.mark.fault("flipped bytes")
def test_damaged_files(tmp_path: Path) -> None:
    path = exported(tmp_path)
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    cases = {
        "no gzip": b"hello",
        "cut off": path.read_bytes()[:100],
        "no run": gzip.compress(b'{"format": "other"}\n'),
        "empty": gzip.compress(b""),
        "line 2: this is not valid JSON": gzip.compress(f"{lines[0]}\n{lines[1][:40]}\n".encode()),
        "line 2: this is not": gzip.compress(f"{lines[0]}\n{'[' * 100_000}\n".encode()),
        "line 2: .*extras": gzip.compress(f'{lines[0]}\n{{"item": "x"}}\n'.encode()),
        "line 3: .*rauqq": gzip.compress(
            "\n".join([*lines[:2], lines[2].replace('"rauq"', '"rauqq"')]).encode()
        ),
    }
    for name, content in cases.items():
        path.write_bytes(content)
        with pytest.raises(DataError, match=name if name.startswith("line") else "run.jsonl.gz"):
            read_run(path)
    with pytest.raises(DataError, match=r"absent\.jsonl\.gz"):
        read_run(tmp_path / "absent.jsonl.gz")
    assert json.loads(lines[0])["format"] == "et-agent run 1"


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with RunStore(tmp_path / "runs.sqlite") as store:
        run = store.begin("a", {"seed": 1})
        with pytest.raises(DataError, match="cannot be written"):
            export_run(store, run, tmp_path / "file" / "below" / "run.jsonl.gz")
