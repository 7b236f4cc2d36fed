"""Where each program keeps its models, on each system."""

from pathlib import Path

import pytest

from et_agent.weights.local.finding import STORES
from tests.weights.local.stores import put, surroundings

HOME = Path("/home/ada")
BY_PREFIX = {store.prefix: store for store in STORES}
SERVICE = "/usr/share/ollama/.ollama/models"
LIBRARY = "/home/ada/Library"

PLACES = [
    ("ollama", "linux", {}, ["/home/ada/.ollama/models", SERVICE]),
    ("ollama", "darwin", {}, ["/home/ada/.ollama/models"]),
    ("ollama", "win32", {}, ["/home/ada/.ollama/models"]),
    ("ollama", "linux", {"OLLAMA_MODELS": "~/big"}, ["/home/ada/big"]),
    ("lmstudio", "linux", {}, ["/home/ada/.lmstudio/models"]),
    ("lmstudio", "win32", {}, ["/home/ada/.lmstudio/models"]),
    ("llamacpp", "linux", {}, ["/home/ada/.cache/llama.cpp"]),
    ("llamacpp", "linux", {"XDG_CACHE_HOME": "/c"}, ["/c/llama.cpp"]),
    ("llamacpp", "darwin", {}, [f"{LIBRARY}/Caches/llama.cpp"]),
    ("llamacpp", "win32", {"LOCALAPPDATA": "/local"}, ["/local/llama.cpp"]),
    ("llamacpp", "win32", {"LLAMA_CACHE": "/mine"}, ["/mine"]),
    ("hf-cache", "linux", {}, ["/home/ada/.cache/huggingface/hub"]),
    ("hf-cache", "darwin", {}, ["/home/ada/.cache/huggingface/hub"]),
    ("hf-cache", "linux", {"XDG_CACHE_HOME": "/c"}, ["/c/huggingface/hub"]),
    ("hf-cache", "linux", {"HF_HOME": "/hf"}, ["/hf/hub"]),
    ("hf-cache", "linux", {"HF_HOME": "/hf", "HF_HUB_CACHE": "/hub"}, ["/hub"]),
    ("hf-cache", "linux", {"HUGGINGFACE_HUB_CACHE": "/old"}, ["/old"]),
    ("gpt4all", "linux", {}, ["/home/ada/.local/share/nomic.ai/GPT4All"]),
    ("gpt4all", "darwin", {}, [f"{LIBRARY}/Application Support/nomic.ai/GPT4All"]),
    ("gpt4all", "win32", {}, ["/home/ada/AppData/Local/nomic.ai/GPT4All"]),
    ("jan", "linux", {}, ["/home/ada/.local/share/Jan/data/llamacpp/models"]),
    ("jan", "darwin", {}, [f"{LIBRARY}/Application Support/Jan/data/llamacpp/models"]),
    ("jan", "win32", {"APPDATA": "/roaming"}, ["/roaming/Jan/data/llamacpp/models"]),
    ("jan", "linux", {"JAN_DATA_FOLDER": "/jan"}, ["/jan/llamacpp/models"]),
]


@pytest.mark.parametrize(("prefix", "system", "environ", "expected"), PLACES)
def test_places(prefix: str, system: str, environ: dict[str, str], expected: list[str]) -> None:
    found = BY_PREFIX[prefix].folders(surroundings(HOME, system, **environ))
    assert [str(one) for one in found[: len(expected)]] == expected
    assert len(found) == len(expected) + (prefix in {"gpt4all", "jan"})


def test_lm_studio_follows_its_pointer_and_its_setting(tmp_path: Path) -> None:
    here, lm_studio = surroundings(tmp_path), BY_PREFIX["lmstudio"]
    (tmp_path / ".cache" / "lm-studio").mkdir(parents=True)
    assert lm_studio.folders(here) == [tmp_path / ".cache" / "lm-studio" / "models"]
    put(tmp_path / ".lmstudio-home-pointer", f"{tmp_path / 'elsewhere'}\n")
    assert lm_studio.folders(here) == [tmp_path / "elsewhere" / "models"]
    put(tmp_path / "elsewhere" / "settings.json", '{"downloadsFolder": "/big/models"}')
    assert lm_studio.folders(here) == [Path("/big/models")]
    for broken in ("{", "[]", '{"downloadsFolder": 3}', "[" * 100_000):
        put(tmp_path / "elsewhere" / "settings.json", broken)
        assert lm_studio.folders(here) == [tmp_path / "elsewhere" / "models"]


def test_gpt4all_follows_its_setting(tmp_path: Path) -> None:
    here, gpt4all = surroundings(tmp_path), BY_PREFIX["gpt4all"]
    ini = tmp_path / ".config" / "nomic.ai" / "GPT4All.ini"
    put(ini, "[General]\nmodelPath=/big/100%/models/\n")
    assert gpt4all.folders(here)[0] == Path("/big/100%/models")
    put(ini, "no section\n")
    assert gpt4all.folders(here)[0] == tmp_path / ".local/share/nomic.ai/GPT4All"


def test_jan_follows_its_setting(tmp_path: Path) -> None:
    put(tmp_path / ".local/share/Jan/settings.json", '{"data_folder": "/big/jan"}')
    found = BY_PREFIX["jan"].folders(surroundings(tmp_path))
    assert found == [Path("/big/jan/llamacpp/models"), Path("/big/jan/models")]
