import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from et_agent.errors import DataError
from et_agent.evaluation.archive import ArchivedRun, RunArchive, import_runs
from et_agent.evaluation.exchange import export_run
from et_agent.evaluation.store import RunStore
from tests.evaluation.conftest import record, table


def run(name: str = "a", questions: int = 2) -> ArchivedRun:
    leaves = table([0, -1], weight=[0.1, 0.9], rauq=[np.nan, -0.0])
    records = [record("x/0", leaves, [True], answers=("ä\n\u2028",), extras={"p-true": None})]
    records += [
        record(f"x/{one}", table(range(one)), [False] * one, extras={"p-true": 1 / 3})
        for one in range(1, questions)
    ]
    return ArchivedRun(name, {"seed": 1, "name": name}, records, min(1, questions))


def as_text(one: ArchivedRun) -> str:
    """Everything a run holds, each number in the shortest form that tells it from all others."""
    rows = [(record.as_json(), dict(record.extras)) for record in one.records]
    return json.dumps([one.name, one.config, rows, one.unbroken])


def test_runs_come_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "runs.jsonl.xz"
    given = {"a": run("a"), "b": run("b", 5), "none": run("none", 0)}
    RunArchive(path).put(given)
    archive = RunArchive(path)
    assert list(archive) == ["a", "b", "none"]
    assert len(archive) == 3
    assert {key: as_text(one) for key, one in archive.items()} == {
        key: as_text(one) for key, one in given.items()
    }
    assert np.signbit(archive["a"].records[0].leaves.rauq[1])
    assert archive.get("c") is None


def test_a_run_replaces_the_one_of_its_key(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl.xz"
    archive, other = RunArchive(path), RunArchive(path)
    archive.put({"b": run("b"), "a": run("a")})
    other.put({"a": run("a", 3)})  # knew nothing of the first two
    assert [len(one.records) for one in RunArchive(path).values()] == [3, 2]
    assert [len(one.records) for one in other.values()] == [3, 2]
    assert [one.name for one in tmp_path.iterdir()] == ["runs.jsonl.xz"]


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    one, other = RunArchive(tmp_path / "one.xz"), RunArchive(tmp_path / "other.xz")
    one.put({"a": run("a"), "b": run("b")})
    other.put({"b": run("b", 1)})
    other.put({"a": run("a")})
    other.put({"b": run("b")})
    assert one.path.read_bytes() == other.path.read_bytes()
    before = one.path.stat().st_mtime_ns
    one.put({"a": run("a")})
    assert one.path.stat().st_mtime_ns == before


@pytest.mark.fault("disk full")
def test_a_write_that_fails_leaves_the_old_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = RunArchive(tmp_path / "runs.jsonl.xz")
    archive.put({"a": run()})
    before = archive.path.read_bytes()

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match="No space"):
        archive.put({"a": run("a", 3)})
    assert [one.name for one in tmp_path.iterdir()] == ["runs.jsonl.xz"]
    assert archive.path.read_bytes() == before
    assert len(archive["a"].records) == 2


@pytest.mark.fault("flipped bytes")
def test_damaged_archives(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl.xz"
    RunArchive(path).put({"a": run("a"), "b": run("b")})
    whole = path.read_bytes()
    head, first, second = lzma.decompress(whole).decode().splitlines()
    cases = {
        "no xz": b"hello",
        "cut off": whole[:100],
        "flipped": whole[:200] + bytes([whole[200] ^ 1]) + whole[201:],
        "empty": lzma.compress(b""),
        "other": lzma.compress(b'{"format": "other", "runs": []}\n'),
        "no header": lzma.compress(b"[]\n"),
        "deep header": lzma.compress(b"[" * 100_000),
        "a run is missing": lzma.compress(f"{head}\n{first}\n".encode()),
    }
    for content in cases.values():
        path.write_bytes(content)
        with pytest.raises(
            DataError, match=r"runs\.jsonl\.xz is not an archive.*Fetch the file again"
        ):
            RunArchive(path)
    damages = {
        "JSON": first[:40],
        "extras": first.replace('"extras"', '"extra"'),
        "rauqq": first.replace('"rauq"', '"rauqq"'),
        "another length": first.replace('"leaves per question":[2,1]', '"leaves per question":[2]'),
        "argument": first.replace('"item":["x/0","x/1"]', '"item":["x/0"]'),
        "str": "[]",
        "nested too deeply": "[" * 100_000,
    }
    for name, line in damages.items():
        path.write_bytes(lzma.compress(f"{head}\n{line}\n{second}\n".encode()))
        archive = RunArchive(path)
        assert len(archive["b"].records) == 2
        with pytest.raises(
            DataError, match=r"runs\.jsonl\.xz, run a: .*Fetch the file again"
        ) as info:
            archive["a"]
        assert name in str(info.value) or name == "JSON"


def test_files_of_either_sort_go_into_a_store(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl.xz"
    RunArchive(path).put({"x-a": run("a"), "x-b": run("b", 3)})
    with RunStore(tmp_path / "runs.sqlite") as store:
        found = import_runs(store, path)
        assert [(one.name, one.questions) for one in found] == [("a", 2), ("b", 3)]
        assert [one.questions for one in import_runs(store, path)] == [2, 3]
        assert store.records(found[0])[1].extras == {"p-true": 1 / 3}
        single = tmp_path / "b.jsonl.gz"
        export_run(store, found[1], single)
        with RunStore(tmp_path / "other.sqlite") as other:
            assert [one.name for one in import_runs(other, single)] == ["b"]
        with pytest.raises(DataError, match=r"absent\.xz"):
            import_runs(store, tmp_path / "absent.xz")
