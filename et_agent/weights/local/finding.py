"""All model files of other programs on this machine, and the one that a user names.

A name is PREFIX:NAME, such as `ollama:llama3.2` or `lmstudio:publisher/model/file`. The file is used
where it is: nothing is copied, linked or written there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from et_agent.errors import ModelFileError
from et_agent.weights.gguf import GgufInfo, read_gguf
from et_agent.weights.local.base import Problem, Store, StoredFile, Surroundings, is_folder
from et_agent.weights.local.folders import Gpt4All, HuggingFace, Jan, LlamaCpp, LmStudio
from et_agent.weights.local.ollama import Ollama

__all__ = [
    "STORES",
    "LocalModel",
    "LocalModels",
    "find_local",
    "find_local_models",
    "names_like",
    "store_of",
]

STORES: Final[tuple[Store, ...]] = (
    Ollama(),
    LmStudio(),
    LlamaCpp(),
    HuggingFace(),
    Gpt4All(),
    Jan(),
)
"""Every program whose files are found, in the order of the list."""
_MOST_NAMED: Final = 8


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model file of another program.

    Attributes:
        spec: What `load_model` and `--model` take.
        store: Title of the program.
        path: The file; of a split model, the first part.
        info: What its header says; None if that cannot be read.
        why_not: Why it cannot answer questions here; None if it can.
    """

    spec: str
    store: str
    path: Path
    info: GgufInfo | None
    why_not: str | None


@dataclass(frozen=True, slots=True)
class LocalModels:
    """What there is on this machine.

    Attributes:
        models: The files, in the order of `STORES`, those of a store by name.
        problems: What could not be read, with the title of the program.
        folders: Folders that were looked at and exist, with the title of the program.
    """

    models: tuple[LocalModel, ...]
    problems: tuple[tuple[str, Problem], ...]
    folders: tuple[tuple[str, Path], ...]


def find_local_models(here: Surroundings | None = None) -> LocalModels:
    """List the GGUF files of all `STORES`, with what their headers say. Nothing raises."""
    here = here or Surroundings.here()
    models, problems, folders = [], [], []
    for store in STORES:
        kept = store.folders(here)
        folders += [(store.title, one) for one in kept if is_folder(one)]
        files, broken = _found(store, kept)
        problems += [(store.title, one) for one in broken]
        models += [_described(store, one) for one in sorted(files, key=lambda one: one.name)]
    return LocalModels(tuple(models), tuple(problems), tuple(folders))


def store_of(spec: str) -> tuple[Store, str] | None:
    """The store that a spec such as `ollama:llama3.2` names, and the name in it; or None."""
    prefix, colon, name = spec.partition(":")
    stores = {store.prefix: store for store in STORES}
    return (stores[prefix.lower()], name.strip()) if colon and prefix.lower() in stores else None


def names_like(given: str, here: Surroundings | None = None) -> list[str]:
    """Specs of files that a user may mean who left out the prefix, such as `llama3.2`."""
    here = here or Surroundings.here()
    return [
        f"{store.prefix}:{file.name}"
        for store in STORES
        for file in _found(store, store.folders(here))[0]
        if store.matches(file.name, given)
    ]


def find_local(store: Store, given: str, here: Surroundings | None = None) -> StoredFile:
    """Find the file that a user names.

    Raises:
        ModelFileError: There is none, or there are several, or the store's notes rule it out. It says
            what there is.
    """
    here = here or Surroundings.here()
    folders = store.folders(here)
    files, broken = _found(store, folders)
    asked = f"{store.prefix}:{given}"
    fitting = [one for one in files if store.matches(one.name, given)]
    exact = [one for one in fitting if one.name.lower() == given.lower()]
    chosen = exact or _offered(fitting) or fitting
    if len(chosen) > 1:
        raise ModelFileError(
            f"{asked} may be any of {len(chosen)} files of {store.title}. Name one: "
            f"{_named(store, chosen)}."
        )
    if not chosen:
        raise _missing(store, given, folders, files, broken)
    if chosen[0].why_not:
        raise ModelFileError(
            f"{asked} is {chosen[0].why_not}. Choose another from `et-agent models list --local`."
        )
    return chosen[0]


def _found(store: Store, folders: list[Path]) -> tuple[list[StoredFile], list[Problem]]:
    """What is in these folders; of two files with one name, that of the first folder."""
    files: dict[str, StoredFile] = {}
    problems = []
    for folder in folders:
        for found in store.find(folder):
            if isinstance(found, Problem):
                problems.append(found)
            else:
                files.setdefault(found.name.lower(), found)
    return list(files.values()), problems


def _described(store: Store, file: StoredFile) -> LocalModel:
    spec = f"{store.prefix}:{file.name}"
    try:
        info = read_gguf(file.path)
    except ModelFileError as error:
        said = str(error).removeprefix(f"{file.path} ").removeprefix("is ")
        return LocalModel(spec, store.title, file.path, None, said)
    return LocalModel(spec, store.title, file.path, info, file.why_not or info.why_unusable())


def _offered(files: list[StoredFile]) -> list[StoredFile]:
    """Those that can answer questions: a folder often holds a projector beside its model."""
    if len(files) < 2:
        return files
    able = []
    for one in files:
        try:
            if one.why_not is None and read_gguf(one.path).why_unusable() is None:
                able.append(one)
        except ModelFileError:
            continue
    return able


def _missing(
    store: Store,
    given: str,
    folders: list[Path],
    files: list[StoredFile],
    broken: list[Problem],
) -> ModelFileError:
    asked = f"{store.prefix}:{given}"
    looked = " and ".join(map(str, folders))
    for one in broken:
        if one.name and store.matches(one.name, given):
            return ModelFileError(f"{asked} cannot be used: {one.path}: {one.what}.")
    if files:
        like = [one for one in files if given.partition(":")[0].lower() in one.name.lower()]
        return ModelFileError(
            f"{store.title} has no {given!r} in {looked}. It has {_named(store, like or files)}."
        )
    also = f" ({broken[0].path}: {broken[0].what})" if broken else ""
    return ModelFileError(
        f"{asked} is not there: no model of {store.title} was found in {looked}{also}. "
        "`et-agent models list --local` shows what this machine has."
    )


def _named(store: Store, files: list[StoredFile]) -> str:
    names = sorted(f"{store.prefix}:{one.name}" for one in files)
    shown = ", ".join(names[:_MOST_NAMED])
    return shown + (f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else "")
