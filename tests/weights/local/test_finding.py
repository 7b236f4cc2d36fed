import json
import os
import time
from pathlib import Path

import pytest

from et_agent.errors import ModelFileError
from et_agent.weights.catalog import locate
from et_agent.weights.local import base
from et_agent.weights.local.base import Surroundings
from et_agent.weights.local.finding import LocalModels, find_local, find_local_models, store_of
from tests.weights.gguf_builder import gguf_bytes
from tests.weights.local.stores import (
    ADAPTER,
    CONTENT,
    MODEL,
    PROJECTOR,
    blob,
    manifest,
    pulled,
    put,
    surroundings,
)

LIBRARY = "registry.ollama.ai/library"


@pytest.fixture
def ollama(tmp_path: Path) -> Path:
    return tmp_path / "ollama"


@pytest.fixture
def here(tmp_path: Path, ollama: Path) -> Surroundings:
    return surroundings(tmp_path / "home", OLLAMA_MODELS=str(ollama))


def names(found: LocalModels) -> list[str]:
    return [one.spec for one in found.models]


def problems(found: LocalModels) -> dict[str, str]:
    return {one.name or one.path.name: one.what for _, one in found.problems}


def path_of(spec: str, here: Surroundings) -> Path:
    named = store_of(spec)
    assert named is not None
    return find_local(*named, here).path


def test_a_machine_without_any(here: Surroundings) -> None:
    assert find_local_models(here) == LocalModels((), (), ())
    with pytest.raises(ModelFileError, match=r"ollama:llama3\.2 is not there.*models list --local"):
        path_of("ollama:llama3.2", here)


def test_tags_namespaces_and_hosts_of_ollama(here: Surroundings, ollama: Path) -> None:
    latest = pulled(ollama, f"{LIBRARY}/llama3.2/latest")
    small = pulled(ollama, f"{LIBRARY}/llama3.2/1b", CONTENT + b"1")
    own = pulled(ollama, "registry.ollama.ai/ada/mine/latest", CONTENT + b"2")
    hub = pulled(ollama, "hf.co/bartowski/Qwen-GGUF/Q4_K_M", CONTENT + b"3")
    assert names(find_local_models(here)) == [
        "ollama:ada/mine:latest",
        "ollama:hf.co/bartowski/Qwen-GGUF:Q4_K_M",
        "ollama:llama3.2:1b",
        "ollama:llama3.2:latest",
    ]
    for spec, expected in {
        "ollama:llama3.2": latest,
        "Ollama:Llama3.2:LATEST": latest,
        "ollama:library/llama3.2": latest,
        "ollama:registry.ollama.ai/library/llama3.2:1b": small,
        "ollama:llama3.2:1b": small,
        "ollama:ada/mine": own,
        "ollama:hf.co/bartowski/Qwen-GGUF:q4_k_m": hub,
    }.items():
        assert path_of(spec, here) == expected, spec
    with pytest.raises(ModelFileError, match=r"no 'llama3\.2:8b'.*ollama:llama3\.2:1b, ollama:ll"):
        path_of("ollama:llama3.2:8b", here)
    for spec in ("ollama:", "ollama:mine", "ollama:a/b/c/d", "ollama:../x", "ollama:x:y:z"):
        with pytest.raises(ModelFileError, match="Ollama has no"):
            path_of(spec, here)


def test_the_newer_layout_of_ollama(here: Surroundings, ollama: Path) -> None:
    digest = blob(ollama, CONTENT)
    where = manifest(
        ollama, "ollama.com/library/plain/latest", (MODEL, digest), root="manifests-v2"
    )
    child = blob(ollama, where.read_bytes())
    listed = {
        "manifests": [
            {"digest": "sha256:" + "0" * 64, "runner": "mlx", "format": "safetensors"},
            {"digest": child, "runner": "llamacpp", "format": "gguf"},
        ]
    }
    put(ollama / "manifests-v2/ollama.com/library/listed/latest", json.dumps(listed))
    # What an earlier version left behind stands for the same model.
    manifest(ollama, f"{LIBRARY}/plain/latest", (MODEL, "sha256:" + "1" * 64))
    found = find_local_models(here)
    assert names(found) == ["ollama:listed:latest", "ollama:plain:latest"]
    assert found.problems == ()
    assert path_of("ollama:listed", here) == path_of("ollama:plain", here)


def test_projectors_and_adapters_of_ollama(here: Surroundings, ollama: Path) -> None:
    model, projector = blob(ollama, CONTENT), blob(ollama, gguf_bytes({"general.type": "mmproj"}))
    manifest(ollama, f"{LIBRARY}/llava/latest", (PROJECTOR, projector), (MODEL, model))
    manifest(ollama, f"{LIBRARY}/tuned/latest", (MODEL, model), (ADAPTER, projector))
    assert path_of("ollama:llava", here).name == model.replace(":", "-")
    tuned = find_local_models(here).models[1]
    assert tuned.spec == "ollama:tuned:latest"
    assert "adapter" in str(tuned.why_not)
    with pytest.raises(ModelFileError, match="adapter beside it, which is not supported"):
        path_of("ollama:tuned", here)


def test_nothing_bad_in_a_store_hides_the_rest(here: Surroundings, ollama: Path) -> None:
    good = pulled(ollama, f"{LIBRARY}/good/latest")
    manifest(ollama, f"{LIBRARY}/missing/latest", (MODEL, "sha256:" + "0" * 64))
    manifest(ollama, f"{LIBRARY}/odd/latest", (MODEL, "../../etc/passwd"))
    manifest(ollama, f"{LIBRARY}/cloud/latest")
    manifest(ollama, f"{LIBRARY}/tensors/latest", ("application/vnd.ollama.image.tensor", "x"))
    for name, content in {
        "damaged": b"{",
        "list": b"[]",
        "layers": b'{"layers": 3}',
        "deep": b"[" * 100_000,
        "binary": b"\xff\xfe\0",
        "empty": b"",
    }.items():
        put(ollama / "manifests" / LIBRARY / name / "latest", content)
    put(ollama / "manifests" / "stray.json", "{}")
    (ollama / "manifests" / LIBRARY / "gone").symlink_to("nowhere")
    (ollama / "manifests" / LIBRARY / "self").symlink_to("self")
    (ollama / "manifests" / LIBRARY / "round").symlink_to("..")
    os.mkfifo(ollama / "manifests" / LIBRARY / "pipe")
    found = find_local_models(here)
    assert [one.path for one in found.models] == [good]
    told = problems(found)
    assert told.keys() == {
        *("missing:latest", "odd:latest", "cloud:latest", "tensors:latest", "damaged:latest"),
        *("list:latest", "layers:latest", "deep:latest", "binary:latest", "empty:latest"),
        *("stray.json", "gone", "self"),
    }
    assert "is missing" in told["missing:latest"]
    assert "no blob by a SHA-256" in told["odd:latest"]
    assert "no weights here" in told["cloud:latest"]
    assert "not a GGUF file" in told["tensors:latest"]
    assert told["gone"] == "is a link to nowhere"
    with pytest.raises(ModelFileError, match=r"cannot be used: .*damaged.*is not JSON"):
        path_of("ollama:damaged", here)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_closed_folder_is_named(here: Surroundings, ollama: Path) -> None:
    pulled(ollama, f"{LIBRARY}/good/latest")
    (ollama / "manifests").chmod(0)
    try:
        assert problems(find_local_models(here)) == {"manifests": "no permission to read it"}
    finally:
        (ollama / "manifests").chmod(0o755)


def test_a_folder_that_refuses_to_be_read_is_named(
    here: Surroundings, ollama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled(ollama, f"{LIBRARY}/good/latest")
    pulled(ollama, f"{LIBRARY}/closed/latest", CONTENT + b"1")
    scan = os.scandir

    def refusing(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = find_local_models(here)
    assert names(found) == ["ollama:good:latest"]
    assert problems(found) == {"closed": "no permission to read it"}


def test_files_of_lm_studio(tmp_path: Path, here: Surroundings) -> None:
    folder = tmp_path / "home" / ".lmstudio" / "models" / "qwen" / "Qwen3-GGUF"
    model = put(folder / "Qwen3-Q4_K_M.gguf")
    put(folder / "mmproj-Qwen3.gguf", gguf_bytes({"general.architecture": "clip"}))
    put(folder / "notes.txt", "no model")
    (folder / "loop").symlink_to("..")
    found = find_local_models(here)
    assert {one.spec: one.why_not is None for one in found.models} == {
        "lmstudio:qwen/Qwen3-GGUF/Qwen3-Q4_K_M.gguf": True,
        "lmstudio:qwen/Qwen3-GGUF/mmproj-Qwen3.gguf": False,
    }
    for given in (
        "qwen/Qwen3-GGUF/Qwen3-Q4_K_M.gguf",
        "qwen/qwen3-gguf/qwen3-q4_k_m",
        "qwen/Qwen3-GGUF",
        "Qwen3-Q4_K_M",
        "qwen",
    ):
        assert path_of(f"lmstudio:{given}", here) == model, given
    for given in ("", "/", "en3-GGUF", "qwen/Qwen3"):
        with pytest.raises(ModelFileError, match="LM Studio has no"):
            path_of(f"lmstudio:{given}", here)
    put(folder / "Qwen3-Q8_0.gguf")
    with pytest.raises(
        ModelFileError, match=r"may be any of 2 files.*Q4_K_M\.gguf, .*Q8_0\.gguf\."
    ):
        path_of("lmstudio:qwen/Qwen3-GGUF", here)


def test_a_split_model_is_one(tmp_path: Path, here: Surroundings) -> None:
    folder = tmp_path / "home" / ".lmstudio" / "models" / "a" / "b"
    for number in (1, 2):
        parts = {"split.count": 2, "split.no": number - 1}
        put(folder / f"m-{number:05d}-of-00002.gguf", gguf_bytes(parts))
    put(folder / "n-00001-of-00002.gguf", gguf_bytes({"split.count": 2, "split.no": 0}))
    found = find_local_models(here).models
    assert [one.spec.rpartition("/")[2] for one in found] == [
        "m-00001-of-00002.gguf",
        "n-00001-of-00002.gguf",
    ]
    assert found[0].why_not is None
    assert "missing" in str(found[1].why_not)


@pytest.mark.parametrize(
    ("metadata", "tensors", "says"),
    [
        ({"general.architecture": "bert"}, None, "embedding"),
        ({"general.architecture": "clip"}, None, "companion"),
        ({"general.type": "mmproj"}, None, "a projector"),
        ({"general.type": "adapter"}, None, "LoRA adapter"),
        ({"general.type": "imatrix"}, None, "importance matrix"),
        ({}, {}, "vocabulary without weights"),
        ({"general.architecture": "mamba"}, None, "recurrent"),
    ],
)
def test_what_is_no_chat_model_is_not_offered(
    tmp_path: Path,
    here: Surroundings,
    metadata: dict[str, str],
    tensors: dict[str, tuple[int, ...]] | None,
    says: str,
) -> None:
    content = gguf_bytes(metadata) if tensors is None else gguf_bytes(metadata, tensors)
    put(tmp_path / "home/.cache/llama.cpp/x.gguf", content)
    (found,) = find_local_models(here).models
    assert says in str(found.why_not)


def test_snapshots_of_the_hub(tmp_path: Path, here: Surroundings) -> None:
    hub = tmp_path / "home/.cache/huggingface/hub"
    repository = hub / "models--Qwen--Qwen3-GGUF"
    put(repository / "blobs" / "aaaa", CONTENT)
    for commit in ("old", "new"):
        link = repository / "snapshots" / commit / "q" / "m.gguf"
        link.parent.mkdir(parents=True)
        link.symlink_to(repository / "blobs" / "aaaa")
    put(repository / "refs" / "main", "old")
    put(hub / "datasets--x--y" / "snapshots" / "c" / "no.gguf")
    (repository / "snapshots" / "new" / "dangling.gguf").symlink_to("nowhere")
    found = find_local_models(here)
    assert names(found) == ["hf-cache:Qwen/Qwen3-GGUF/q/m.gguf"]
    assert path_of("hf-cache:Qwen/Qwen3-GGUF", here).parts[-3] == "old"
    assert problems(found) == {"dangling.gguf": "is a link to nowhere"}


def test_files_of_llama_cpp_and_gpt4all(tmp_path: Path, here: Surroundings) -> None:
    flat = put(tmp_path / "home/.cache/llama.cpp/ggml-org_x-GGUF_x-Q4_0.gguf")
    put(tmp_path / "home/.cache/llama.cpp/manifest=ggml-org=x=latest.json", "{}")
    put(tmp_path / "home/.cache/llama.cpp/y.gguf.downloadInProgress", "half")
    other = put(tmp_path / "home/.cache/gpt4all/Llama.Q4_0.gguf")
    assert path_of("llamacpp:ggml-org_x-GGUF_x-Q4_0", here) == flat
    assert path_of("gpt4all:Llama.Q4_0.gguf", here) == other
    assert len(find_local_models(here).models) == 2


def test_models_of_jan(tmp_path: Path, here: Surroundings) -> None:
    models = tmp_path / "home/.local/share/Jan/data/llamacpp/models"
    inside = put(models / "janhq/Jan-v1-4B/model.gguf")
    put(
        models / "janhq/Jan-v1-4B/model.yml",
        "model_path: llamacpp/models/janhq/Jan-v1-4B/model.gguf",
    )
    outside = put(tmp_path / "mine.gguf")
    put(models / "mine/model.yml", f"name: mine\nmodel_path: {outside}\n")
    put(models / "gone/model.yml", "model_path: /nowhere/x.gguf")
    put(models / "broken/model.yml", "a: [")
    put(models / "other/model.yml", "- 3")
    found = find_local_models(here)
    assert names(found) == ["jan:janhq/Jan-v1-4B", "jan:mine"]
    assert path_of("jan:Jan-v1-4B", here) == inside
    assert path_of("jan:mine", here) == outside
    assert problems(found).keys() == {"gone", "model.yml"}


def test_a_name_that_is_in_two_folders_is_that_of_the_first(
    tmp_path: Path, here: Surroundings
) -> None:
    first = put(tmp_path / "home/.local/share/nomic.ai/GPT4All/x.gguf")
    put(tmp_path / "home/.cache/gpt4all/x.gguf")
    assert path_of("gpt4all:x", here) == first
    assert names(find_local_models(here)) == ["gpt4all:x.gguf"]


def test_thousands_of_files(
    tmp_path: Path, here: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "home/.cache/llama.cpp"
    put(folder / "a.gguf")
    for number in range(5000):
        (folder / f"file{number}.json").touch()
    began = time.perf_counter()
    assert names(find_local_models(here)) == ["llamacpp:a.gguf"]
    assert time.perf_counter() - began < 5
    monkeypatch.setattr(base, "MOST_ENTRIES", 1000)
    found = find_local_models(here)
    assert names(found) == ["llamacpp:a.gguf"]
    assert "more than 1,000 files" in problems(found)["llama.cpp"]


def test_a_model_of_another_program_is_located_where_it_is(
    ollama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pulled(ollama, f"{LIBRARY}/tiny/latest")
    before = sorted(ollama.rglob("*"))
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama))
    found = locate("ollama:tiny")
    assert (found.path, found.name, found.entry) == (path, "ollama:tiny", None)
    assert sorted(ollama.rglob("*")) == before


def test_a_name_without_its_prefix_is_guessed(
    tmp_path: Path, ollama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled(ollama, f"{LIBRARY}/llama3.2/latest")
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ModelFileError, match=r"Did you mean ollama:llama3\.2:latest\?"):
        locate("llama3.2")
    for spec in ("ollama/llama3.2", "library/llama3.2"):
        with pytest.raises(ModelFileError, match=r"No such file.*Did you mean ollama:llama3\.2"):
            locate(spec)
