import dataclasses
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from et_agent.decoding import EntropyTree, MultiChain
from et_agent.decoding.naming import described
from et_agent.errors import StoreError
from et_agent.evaluation.packing import PackedQuestion
from et_agent.evaluation.store import RunInfo, RunStore, default_store_path
from tests.evaluation.conftest import record, table

TRACES: dict[str, NDArray[Any]] = {
    "tokens": np.arange(5, dtype=np.int32),
    "entropies": np.ones(5, dtype=np.float16),
}


def decode_one(store: RunStore, name: str) -> RunInfo:
    """A run of its own with one question."""
    run = store.begin(name, {"seed": name})
    store.add(run, record("x/1", table([0]), [True]), ["t"], TRACES)
    return store.again(run)


def test_a_question_is_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "runs.sqlite"
    with RunStore(path) as store:
        run = store.begin("a", {"seed": 1})
        one = record("x/1", table([0]), [True], extras={"lexical-similarity": 0.5})
        store.add(run, one, ["text: ü"], TRACES)
    with RunStore(path) as store:
        run = store.run("a")
        assert run.questions == 1
        assert run.config == {"seed": 1}
        assert store.finished(run) == {"x/1"}
        (again,) = store.records(run)
        assert again.as_json() == one.as_json()
        assert again.extras == {"lexical-similarity": 0.5}
        assert store.texts(run, "x/1") == ["text: ü"]
        traces = store.traces(run, "x/1")
        assert traces["tokens"].tolist() == [0, 1, 2, 3, 4]
        assert traces["entropies"].dtype == np.float16
        store.add_extra(run, "x/1", "p-true", 0.75)
        assert store.records(run)[0].extras["p-true"] == 0.75


def test_the_same_configuration_is_the_same_run(tmp_path: Path) -> None:
    with RunStore(tmp_path / "runs.sqlite") as store:
        one = store.begin("a", {"seed": 1, "x": 2})
        assert store.begin("other name", {"x": 2, "seed": 1}).id == one.id
        assert store.begin("a", {"seed": 2}).name == "a-2"
        assert store.begin("a", {"seed": 3}).name == "a-3"
        assert [run.name for run in store.runs()] == ["a", "a-2", "a-3"]


def test_a_run_of_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    flat = {"name": "EntropyTree", "schedule": "rounds", "temperature": 0.7, "max_tokens": 320}
    flat |= {"leaves": 16, "roots": 8, "branching": 2, "tau": None, "percentile": None}
    flat |= {"importance": "auto", "delta": None, "importance_percentile": 25.0, "gap": 16}
    flat |= {"exchangeable": False, "value": "worth", "least_worth": 1.0, "settle": None}
    rounds = EntropyTree(schedule="rounds")
    with RunStore(tmp_path / "runs.sqlite") as store:
        old = store.begin("tree", {"seed": 1, "decoder": flat})
        assert store.begin("now", {"seed": 1, "decoder": described(rounds)}).id == old.id
        assert store.again(old).config["decoder"] == flat
        for other in (
            {"seed": 2, "decoder": described(rounds)},
            {"seed": 1, "decoder": described(EntropyTree(schedule="rounds", leaves=8))},
            {"seed": 1, "decoder": described(EntropyTree())},
            {"seed": 1, "decoder": described(EntropyTree(stop_above=0.8))},
            {"seed": 1, "decoder": described(MultiChain())},
        ):
            assert store.begin("other", other).id != old.id


def test_finding_runs(tmp_path: Path) -> None:
    with RunStore(tmp_path / "runs.sqlite") as store:
        with pytest.raises(StoreError, match="none yet"):
            store.run("a")
        for name in ("svamp-tree", "svamp-chains"):
            decode_one(store, name)
        assert store.run("svamp-t").name == "svamp-tree"
        with pytest.raises(StoreError, match="is a prefix of several runs"):
            store.run("svamp")
        with pytest.raises(StoreError, match="svamp-tree, svamp-chains"):
            store.run("gsm8k")


def test_a_run_without_a_question_does_not_count(tmp_path: Path) -> None:
    with RunStore(tmp_path / "runs.sqlite") as store:
        failed = store.begin("svamp-tree", {"seed": 1})
        with pytest.raises(StoreError, match="no run 'svamp-tree' with a finished question"):
            store.run("svamp-tree")
        assert decode_one(store, "svamp-tree").name == "svamp-tree-2"
        for name in ("svamp", "svamp-tree", "svamp-tree-2"):
            assert store.run(name).name == "svamp-tree-2"
        # It is there nonetheless, to be gone on with.
        assert [run.questions for run in store.runs()] == [0, 1]
        store.add(failed, record("x/1", table([0]), [True]), ["t"], TRACES)
        assert store.again(failed).questions == 1
        assert store.run("svamp-tree").id == failed.id
        with pytest.raises(StoreError, match="prefix of several runs"):
            store.run("svamp")


def test_a_question_is_kept_once(tmp_path: Path) -> None:
    with RunStore(tmp_path / "runs.sqlite") as store:
        run = store.begin("a", {})
        store.add(run, record("x/1", table([0]), [True]), ["t"], TRACES)
        with pytest.raises(StoreError):
            store.add(run, record("x/1", table([0]), [False]), ["u"], TRACES)
        assert store.records(run)[0].correct
        with pytest.raises(StoreError, match="no finished question"):
            store.texts(run, "x/2")


def test_another_sort_of_file_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be looked at as one" * 20)
    with pytest.raises(StoreError, match="is not a store of runs"):
        RunStore(text)
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE things (id INTEGER)")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="another program"):
        RunStore(other)
    with pytest.raises(StoreError, match="cannot be opened"):
        RunStore(text / "below" / "a file")


def test_a_store_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    RunStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="upgrade et-agent"):
        RunStore(path)


@pytest.mark.fault("disk full")
def test_a_full_disk_keeps_what_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    with RunStore(path) as store:
        run = store.begin("a", {})
        store.add(run, record("x/1", table([0]), [True]), ["t"], TRACES)
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        rng = np.random.default_rng(0)
        noise = {"tokens": rng.integers(0, 2**30, 50_000, dtype=np.int64)}
        with pytest.raises(StoreError, match="free some space"):
            store.add(run, record("x/2", table([0]), [True]), ["t"], noise)
        assert store.finished(run) == {"x/1"}
    with RunStore(path) as store:
        assert store.finished(store.run("a")) == {"x/1"}


@pytest.mark.fault("two processes on one file")
def test_two_processes_on_one_run(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    script = (
        "import sys; from pathlib import Path; from et_agent.evaluation.store import RunStore\n"
        "store = RunStore(Path(sys.argv[1])); run = store.begin('a', {})\n"
        "with store.working_on(run):\n print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with RunStore(path) as store:
            run = store.begin("a", {})
            with (
                pytest.raises(StoreError, match="another process is decoding"),
                store.working_on(run),
            ):
                pass
            with store.working_on(store.begin("b", {"other": 1})):
                pass
            other.kill()
            other.wait()
            with store.working_on(run):
                pass


@pytest.mark.fault("two processes on one file")
def test_threads_open_a_new_store_at_once(tmp_path: Path) -> None:
    errors: list[Exception] = []

    def work() -> None:
        try:
            RunStore(tmp_path / "runs.sqlite").close()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_where_the_store_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ET_AGENT_RUNS", str(tmp_path / "x.sqlite"))
    assert default_store_path() == tmp_path / "x.sqlite"
    monkeypatch.delenv("ET_AGENT_RUNS")
    assert default_store_path().name == "runs.sqlite"


def store_of_three(path: Path) -> RunInfo:
    with RunStore(path) as store:
        run = store.begin("a", {"seed": 1})
        for at in range(3):
            one = record(f"x/{at}", table([0]), [True], extras={"p-true": 0.5})
            store.add(run, one, [f"text {at}"], TRACES)
        return store.again(run)


DAMAGE = {
    "a digit": "UPDATE questions SET record = replace(record, '1', '2') WHERE item = 'x/1'",
    "no JSON": "UPDATE questions SET record = '{' WHERE item = 'x/1'",
    "no UTF-8": "UPDATE questions SET record = CAST(x'ff7b7d' AS TEXT) WHERE item = 'x/1'",
    "deep": f"UPDATE questions SET record = '{'[' * 9999}' WHERE item = 'x/1'",
    "texts": "UPDATE questions SET texts = x'789c00' WHERE item = 'x/1'",
    "traces": "UPDATE questions SET traces = x'504b0304' WHERE item = 'x/1'",
    "texts of another": "UPDATE questions SET texts = (SELECT texts FROM questions WHERE item = 'x/0') "
    "WHERE item = 'x/1'",
    "null": "UPDATE questions SET texts = '' WHERE item = 'x/1'",
    "an extra": "UPDATE extras SET value = '{' WHERE item = 'x/1'",
}


def damaged_by(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute(statement).rowcount == 1
    connection.commit()
    connection.close()


@pytest.mark.fault("flipped bytes")
@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_question_is_named_and_the_others_stay(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "runs.sqlite"
    run = store_of_three(path)
    damaged_by(path, statement)
    with RunStore(path) as store:
        with pytest.raises(
            StoreError, match=r"runs.sqlite: 1 of 3 questions of the run a .*: x/1 \("
        ):
            store.records(run)
        assert store.right(run)[1] in (2, 3), "a list of runs is not stopped by one question"
        assert store.texts(run, "x/0") == ["text 0"]
        assert store.discard_damaged(run) == ("x/1",)
        assert [one.item for one in store.records(run)] == ["x/0", "x/2"]
        assert store.finished(run) == {"x/0", "x/2"}
        store.add(run, record("x/1", table([0]), [True]), ["anew"], TRACES)
        assert len(store.records(run)) == 3
        assert store.right(run) == (3, 3)
        assert store.discard_damaged(run) == ()


@pytest.mark.fault("flipped bytes")
@pytest.mark.parametrize("statement", [DAMAGE["texts"], DAMAGE["null"]])
def test_damaged_texts_of_a_question_are_told(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "runs.sqlite"
    run = store_of_three(path)
    damaged_by(path, statement)
    with RunStore(path) as store, pytest.raises(StoreError, match="x/1 of the run a is damaged"):
        store.texts(run, "x/1")


@pytest.mark.fault("flipped bytes")
@pytest.mark.parametrize("text", ["{", '{"seed": 2}', ""])
def test_a_damaged_configuration_is_mended_when_its_run_goes_on(tmp_path: Path, text: str) -> None:
    path = tmp_path / "runs.sqlite"
    run = store_of_three(path)
    damaged_by(path, f"UPDATE runs SET config = '{text}'")
    with RunStore(path) as store:
        assert store.runs() == []
        assert store.begin("b", {"seed": 2}).id != run.id
        again = store.begin("a", {"seed": 1})
        assert (again.id, again.questions) == (run.id, 3)
        assert len(store.records(again)) == 3


def test_a_question_of_before_digests_is_read(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    run = store_of_three(path)
    damaged_by(path, "UPDATE questions SET digest = NULL WHERE item = 'x/1'")
    with RunStore(path) as store:
        assert len(store.records(run)) == 3


@pytest.mark.fault("flipped bytes")
def test_flipped_bytes_never_give_another_error_or_another_record(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    run = store_of_three(path)
    with RunStore(path) as store:
        sound = {one.item: one.as_json() for one in store.records(run)}
    whole, random, told = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(150):
        data = bytearray(whole)
        data[random.integers(len(data))] ^= 1 << random.integers(8)
        path.write_bytes(data)
        try:
            with RunStore(path) as store:
                found = store.records(run)
                assert {one.item: one.as_json() for one in found}.items() <= sound.items()
                store.texts(run, "x/1")
                store.traces(run, "x/1")
        except StoreError:
            told += 1
    assert told > 10


def test_packed_questions_are_kept_once_and_all_or_none(tmp_path: Path) -> None:
    def packed(item: str, share: float) -> PackedQuestion:
        one = record(item, table([0]), [True], extras={"lexical-similarity": share})
        return PackedQuestion.of(one, [f"text of {item}"], TRACES)

    with RunStore(tmp_path / "runs.sqlite") as store:
        run = store.begin("a", {"seed": 1})
        assert store.add_packed(run, [packed("x/1", 0.5), packed("x/2", 0.5)]) == ["x/1", "x/2"]
        # A batch that is decoded again brings what is there and what is not.
        assert store.add_packed(run, [packed("x/2", 0.9), packed("x/3", 0.9)]) == ["x/3"]
        found = {one.item: one.extras["lexical-similarity"] for one in store.records(run)}
        assert found == {"x/1": 0.5, "x/2": 0.5, "x/3": 0.9}
        assert [one.item for one in store.each_record(run)] == ["x/1", "x/2", "x/3"]
        assert store.texts(run, "x/3") == ["text of x/3"]
        assert store.traces(run, "x/3")["tokens"].tolist() == [0, 1, 2, 3, 4]
        with pytest.raises(StoreError, match="has the question 'x/1' already"):
            store.add(run, packed("x/1", 0.1).unpacked(), [], {})
        broken = dataclasses.replace(packed("x/4", 0.1), extras="{")
        with pytest.raises(ValueError, match="Expecting"):
            store.add_packed(run, [packed("x/5", 0.1), broken])
        assert store.finished(run) == {"x/1", "x/2", "x/3"}
