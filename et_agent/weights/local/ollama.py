"""Ollama: a manifest per tag names blobs by their digest; one of them is the GGUF file.

    MODELS/manifests/registry.ollama.ai/library/llama3.2/latest     JSON with `layers`
    MODELS/blobs/sha256-…                                           the layers' contents

Names are written as in `ollama list`: [[HOST/]NAMESPACE/]MODEL[:TAG], the tag "latest" if it is left
out. Sources: ollama/ollama, docs/faq.mdx ("Where are models stored?"), types/model/name.go,
manifest/paths.go and manifest/manifest.go. Pull requests 15735 and 16590 add the folder
`manifests-v2` under the host ollama.com, and lists of manifests for several runners.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from et_agent.weights.local.base import (
    Finding,
    Problem,
    StoredFile,
    Surroundings,
    read_small,
    walk,
    why_no_file,
)

__all__ = ["Ollama"]

_HOSTS: Final = frozenset({"registry.ollama.ai", "ollama.com"})
_ROOTS: Final = ("manifests-v2", "manifests")
_DIGEST: Final = re.compile(r"sha256[:-]([0-9a-f]{64})", re.IGNORECASE)
_KIND: Final = "application/vnd.ollama.image."


class Ollama:
    """Models that `ollama pull` or `ollama create` made."""

    prefix: Final = "ollama"
    title: Final = "Ollama"

    def folders(self, here: Surroundings) -> list[Path]:
        """The folder that `OLLAMA_MODELS` names, or the user's and that of the system's service."""
        if named := here.folder("OLLAMA_MODELS"):
            return [named]
        own = here.home / ".ollama" / "models"
        service = Path("/usr/share/ollama/.ollama/models")
        return [own, service] if here.system.startswith("linux") else [own]

    def find(self, folder: Path) -> Iterator[Finding]:
        """One file per tag; tags may share a blob."""
        names: set[str] = set()
        for root in _ROOTS:
            for found in walk(folder / root):
                if isinstance(found, Problem):
                    yield found
                    continue
                name = _name(found.relative_to(folder / root).parts)
                if name is None:
                    if not found.name.startswith("."):
                        yield Problem(found, "is not where a manifest belongs")
                elif name not in names:
                    names.add(name)
                    yield _read(name, found, folder / "blobs")

    def matches(self, name: str, given: str) -> bool:
        """Whether both are one name once host, namespace and tag are filled in."""
        return _full(name) == _full(given)


def _name(parts: tuple[str, ...]) -> str | None:
    """The name as `ollama list` writes it, of HOST/NAMESPACE/MODEL/TAG."""
    if len(parts) != 4:
        return None
    host, namespace, model, tag = parts
    if host.lower() not in _HOSTS:
        return f"{host}/{namespace}/{model}:{tag}"
    return f"{model}:{tag}" if namespace.lower() == "library" else f"{namespace}/{model}:{tag}"


def _full(name: str) -> tuple[str, str, str, str]:
    """Host, namespace, model and tag, in lower case."""
    path, colon, tag = name.lower().rpartition(":")
    if not colon or "/" in tag:
        path, tag = name.lower(), "latest"
    *host, namespace, model = ["library", path] if "/" not in path else path.split("/")
    named = "/".join(host)
    return "" if named in _HOSTS else named, namespace, model, tag


def _read(name: str, manifest: Path, blobs: Path) -> Finding:
    """The model file that a manifest names, or why it names none."""
    content = _json(manifest)
    if isinstance(content, dict) and isinstance(content.get("manifests"), list):
        content = _child(content["manifests"], manifest, blobs)
    if isinstance(content, Problem):
        return Problem(content.path, content.what, name)
    layers = content.get("layers") if isinstance(content, dict) else None
    if not isinstance(layers, list):
        return Problem(manifest, "is not a manifest of Ollama: it lists no layers", name)
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for layer in layers:
        if isinstance(layer, dict):
            kinds.setdefault(str(layer.get("mediaType")).removeprefix(_KIND), []).append(layer)
    models = kinds.get("model", [])
    if not models:
        why = "its weights are not a GGUF file" if "tensor" in kinds else "it has no weights here"
        return Problem(manifest, why, name)
    path = _blob(models[0], blobs)
    if path is None:
        return Problem(manifest, "names no blob by a SHA-256", name)
    if what := why_no_file(path):
        return Problem(manifest, f"its blob {path.name}: {what}", name)
    why_not = None
    if len(models) > 1:
        why_not = f"kept in {len(models)} blobs, which llama.cpp cannot open as parts"
    elif "adapter" in kinds:
        why_not = "a base model with an adapter beside it, which is not supported"
    return StoredFile(name, path, why_not)


def _child(manifests: list[Any], parent: Path, blobs: Path) -> object:
    """Of a list of manifests, the one for llama.cpp, or else one with a GGUF file."""
    known = [one for one in manifests if isinstance(one, dict)]
    ordered = sorted(
        known, key=lambda one: (one.get("runner") != "llamacpp", one.get("format") != "gguf")
    )
    path = _blob(ordered[0], blobs) if ordered else None
    if path is None:
        return Problem(parent, "lists no manifest by a SHA-256")
    return _json(path)


def _json(path: Path) -> object:
    content = read_small(path)
    if content is None:
        return Problem(path, "is missing")
    if isinstance(content, Problem):
        return content
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        return Problem(path, f"is not JSON: {error}")


def _blob(layer: Mapping[str, Any], blobs: Path) -> Path | None:
    match = _DIGEST.fullmatch(str(layer.get("digest")))
    if match is None:
        return None
    digest = match[1].lower()
    # Earlier versions of Ollama wrote a colon.
    old, new = blobs / f"sha256:{digest}", blobs / f"sha256-{digest}"
    return new if why_no_file(old) else old
