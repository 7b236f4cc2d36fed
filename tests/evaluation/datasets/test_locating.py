"""Fetching, against a server on this machine."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from et_agent.errors import DataError
from et_agent.evaluation.datasets.base import DataFile, Dataset
from et_agent.evaluation.datasets.locating import locate_files


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def dataset(*files: DataFile) -> Dataset:
    return Dataset("toy", "", "", "", {"test": files}, lambda paths, split: iter(()))


def test_a_file_is_fetched_checked_and_kept(server: tuple[Path, str]) -> None:
    folder, url = server
    (folder / "a.json").write_text("[1]")
    sha256 = hashlib.sha256(b"[1]").hexdigest()
    toy = dataset(DataFile("toy/a.json", (f"{url}/missing.json", f"{url}/a.json"), sha256))
    (path,) = locate_files(toy, "test")
    assert path.read_text() == "[1]"
    (folder / "a.json").unlink()
    assert locate_files(toy, "test") == [path]


def test_a_changed_file_is_refused(server: tuple[Path, str]) -> None:
    folder, url = server
    (folder / "a.json").write_text("[2]")
    toy = dataset(DataFile("toy/a.json", (f"{url}/a.json",), "0" * 64))
    with pytest.raises(DataError, match=r"has changed.*\n.*set ET_AGENT_DATA"):
        locate_files(toy, "test")


def test_no_network_and_nothing_kept() -> None:
    toy = dataset(DataFile("toy/a.json", ("http://127.0.0.1:9/a.json",)))
    with pytest.raises(DataError, match="Check the network"):
        locate_files(toy, "test")


def test_the_users_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_DATA", str(tmp_path / "mine"))
    own = tmp_path / "mine" / "toy" / "a.json"
    own.parent.mkdir(parents=True)
    own.write_text("[]")
    toy = dataset(DataFile("toy/a.json", ("http://127.0.0.1:9/a.json",), "0" * 64))
    assert locate_files(toy, "test") == [own]


def test_an_archive_is_unpacked_and_its_odd_names_are_not(server: tuple[Path, str]) -> None:
    folder, url = server
    with tarfile.open(folder / "data.tar", "w") as archive:
        for name in (
            "data/test/x.csv",
            "data/test/y.csv",
            "../evil.csv",
            "/evil.csv",
            "data/z.txt",
        ):
            content = name.encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    files = [DataFile(f"toy/test/{name}.csv", (f"{url}/data.tar",), archived=True) for name in "xy"]
    paths = locate_files(dataset(*files), "test")
    assert [path.read_text() for path in paths] == ["data/test/x.csv", "data/test/y.csv"]
    root = paths[0].parents[2]
    assert sorted(p.name for p in root.rglob("*") if p.is_file()) == ["x.csv", "y.csv"]
