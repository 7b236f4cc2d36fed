"""Programs that keep GGUF files under their own names in folders: all but Ollama.

Sources of the places are named at each store.
"""

import configparser
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from et_agent.weights.local.base import (
    Finding,
    Problem,
    StoredFile,
    Surroundings,
    is_folder,
    is_later_part,
    read_small,
    walk,
    why_no_file,
)

__all__ = ["Gpt4All", "HuggingFace", "Jan", "LlamaCpp", "LmStudio"]


class _Folders:
    """Files by their path below the folder."""

    def find(self, folder: Path) -> Iterator[Finding]:
        """GGUF files by their path below `folder`; of a split model, its first part."""
        for found in walk(folder, self.enters):
            if isinstance(found, Problem):
                yield found
            elif found.name.lower().endswith(".gguf") and not is_later_part(found.name):
                yield StoredFile(self.name_of(found.relative_to(folder)), found)

    def enters(self, name: str) -> bool:
        """Whether a folder of this name may hold models."""
        return not name.startswith(".")

    def name_of(self, path: Path) -> str:
        """What the file at this path below the folder is called."""
        return path.as_posix()

    def matches(self, name: str, given: str) -> bool:
        """Whether `given` is the name, without its ending, or whole steps at either end of it."""
        full, part = (_without_ending(one).strip("/").lower() for one in (name, given))
        return bool(part) and (
            full == part or full.startswith(f"{part}/") or full.endswith(f"/{part}")
        )


def _without_ending(name: str) -> str:
    return name[:-5] if name.lower().endswith(".gguf") else name


class LmStudio(_Folders):
    """LM Studio: PUBLISHER/MODEL/FILE.gguf.

    Sources: lmstudio.ai/docs/basics/import-model (the folder and its levels); lmstudio.js,
    `findLMStudioHome` (the pointer and the former home). `downloadsFolder` in settings.json is where
    a folder that was chosen in the program is written.
    """

    prefix: Final = "lmstudio"
    title: Final = "LM Studio"

    def folders(self, here: Surroundings) -> list[Path]:
        """The folder that was chosen in the program, or `models` in its home."""
        pointer = read_small(here.home / ".lmstudio-home-pointer")
        former = here.home / ".cache" / "lm-studio"
        if isinstance(pointer, bytes) and (named := pointer.decode("utf-8", "replace").strip()):
            home = Path(named)
        else:
            home = former if is_folder(former) else here.home / ".lmstudio"
        chosen = _text(_json_file(home / "settings.json"), "downloadsFolder")
        return [Path(chosen) if chosen else home / "models"]


class _HubLayout(_Folders):
    """models--OWNER--REPO/snapshots/COMMIT/FILE, as huggingface_hub and llama.cpp lay it out."""

    def enters(self, name: str) -> bool:
        """Blobs have no names of their own, and data sets are no models."""
        other = name.startswith(("datasets--", "spaces--")) or name in {"blobs", "refs"}
        return not other and super().enters(name)

    def name_of(self, path: Path) -> str:
        """OWNER/REPO/FILE of a snapshot; the path itself of any other file."""
        match path.parts:
            case (repo, "snapshots", _, *file) if repo.startswith("models--") and file:
                return "/".join([*repo.removeprefix("models--").split("--"), *file])
        return path.as_posix()

    def find(self, folder: Path) -> Iterator[Finding]:
        """Files of all snapshots; of several with one name, the one that `main` or the last has."""
        newest: dict[str, tuple[float, StoredFile]] = {}
        for found in super().find(folder):
            if isinstance(found, Problem):
                yield found
                continue
            age = _age(found.path, folder)
            if found.name not in newest or newest[found.name][0] < age:
                newest[found.name] = (age, found)
        for _, found in newest.values():
            yield found


def _age(path: Path, folder: Path) -> float:
    """What orders snapshots: that of the branch main is the newest."""
    parts = path.relative_to(folder).parts
    if len(parts) < 4:
        return 0.0
    snapshot = folder / parts[0] / "snapshots" / parts[2]
    main = read_small(folder / parts[0] / "refs" / "main")
    if isinstance(main, bytes) and main.decode("utf-8", "replace").strip() == parts[2]:
        return float("inf")
    try:
        return snapshot.stat().st_mtime
    except OSError:
        return 0.0


class HuggingFace(_HubLayout):
    """The cache of huggingface_hub, which llama.cpp's `-hf` uses too.

    Sources: huggingface.co/docs/huggingface_hub/package_reference/environment_variables;
    llama.cpp, common/hf-cache.cpp (the same variables in the same order).
    """

    prefix: Final = "hf-cache"
    title: Final = "Hugging Face"

    def folders(self, here: Surroundings) -> list[Path]:
        """The first folder that a variable names, or the default, which all systems share."""
        hub = here.folder("HF_HUB_CACHE") or here.folder("HUGGINGFACE_HUB_CACHE")
        home = here.folder("HF_HOME")
        caches = here.folder("XDG_CACHE_HOME") or here.home / ".cache"
        return [hub or (home or caches / "huggingface") / "hub"]


class LlamaCpp(_HubLayout):
    """The cache of llama.cpp's programs: OWNER_REPO_FILE.gguf, or the hub's layout.

    Source: llama.cpp, common/common.cpp (`fs_get_cache_directory`) and common/hf-cache.cpp.
    """

    prefix: Final = "llamacpp"
    title: Final = "llama.cpp"

    def folders(self, here: Surroundings) -> list[Path]:
        """The folder that `LLAMA_CACHE` names, or `llama.cpp` among the system's caches."""
        return [here.folder("LLAMA_CACHE") or here.caches / "llama.cpp"]


class Gpt4All(_Folders):
    """GPT4All's download folder, and that of its Python package.

    Sources: docs.gpt4all.io, "Settings" (Download Path) and "Python Generation API";
    nomic-ai/gpt4all, gpt4all-chat/src/mysettings.cpp and main.cpp (the setting `modelPath`).
    """

    prefix: Final = "gpt4all"
    title: Final = "GPT4All"

    def folders(self, here: Surroundings) -> list[Path]:
        """The folder that was chosen in the program or its default, and the package's."""
        chosen = None
        content = read_small(here.settings / "nomic.ai" / "GPT4All.ini")
        if isinstance(content, bytes):
            parser = configparser.ConfigParser(interpolation=None, strict=False)
            try:
                parser.read_string(content.decode("utf-8", "replace"))
                chosen = parser.get("General", "modelPath", fallback=None)
            except configparser.Error:
                chosen = None
        program = Path(chosen) if chosen else here.local_data / "nomic.ai" / "GPT4All"
        return [program, here.home / ".cache" / "gpt4all"]


class Jan(_Folders):
    """Jan's data folder: llamacpp/models/ID/model.yml, with model.gguf beside it or elsewhere.

    Source: janhq/jan, src-tauri/src/core/app/commands.rs (the data folder) and
    extensions/llamacpp-extension/src (model.yml, its `model_path`).
    """

    prefix: Final = "jan"
    title: Final = "Jan"

    def folders(self, here: Surroundings) -> list[Path]:
        """Folders of models below the data folder: today's, and that of earlier versions."""
        data = here.folder("JAN_DATA_FOLDER")
        if data is None:
            chosen = _text(_json_file(here.data / "Jan" / "settings.json"), "data_folder")
            data = Path(chosen) if chosen else here.data / "Jan" / "data"
        return [data / "llamacpp" / "models", data / "models"]

    def name_of(self, path: Path) -> str:
        """The folder of `model.gguf` is the model's id."""
        return (path.parent if path.name == "model.gguf" and path.parent.name else path).as_posix()

    def find(self, folder: Path) -> Iterator[Finding]:
        """Files below the folder, and those elsewhere that a model.yml names."""
        seen: set[Path] = set()
        for found in super().find(folder):
            if isinstance(found, StoredFile):
                seen.add(found.path)
            yield found
        for note in walk(folder):
            if isinstance(note, Path) and note.name == "model.yml":
                finding = _elsewhere(note, folder)
                if isinstance(finding, Problem) or (finding and finding.path not in seen):
                    yield finding


def _elsewhere(note: Path, folder: Path) -> Finding | None:
    """The file that a model.yml of Jan names; None if it names none."""
    content = read_small(note)
    if content is None or isinstance(content, Problem):
        return content
    try:
        named = _text(yaml.safe_load(content), "model_path")
    except (yaml.YAMLError, ValueError, RecursionError):
        return Problem(note, "is not YAML")
    if not named:
        return None
    # A relative path begins at the data folder, two levels above llamacpp/models.
    data = folder.parent.parent if folder.parent.name == "llamacpp" else folder.parent
    path = data / named
    identity = note.parent.relative_to(folder).as_posix()
    if what := why_no_file(path):
        return Problem(note, f"its model {path}: {what}", identity)
    return StoredFile(identity, path)


def _json_file(path: Path) -> Any:
    """A program's settings; None if they are not there or not JSON, for then its defaults hold."""
    content = read_small(path)
    if not isinstance(content, bytes):
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _text(settings: Any, key: str) -> str:
    value = settings.get(key) if isinstance(settings, dict) else None
    return value.strip() if isinstance(value, str) else ""
