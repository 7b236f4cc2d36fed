"""Folders as other programs lay them out, with tiny model files in them."""

import hashlib
import json
from pathlib import Path

from et_agent.weights.local.base import Surroundings
from tests.weights.gguf_builder import gguf_bytes

MODEL = "application/vnd.ollama.image.model"
PROJECTOR = "application/vnd.ollama.image.projector"
ADAPTER = "application/vnd.ollama.image.adapter"
CONTENT = gguf_bytes()


def surroundings(home: Path, system: str = "linux", **environ: str) -> Surroundings:
    return Surroundings(system, home, environ)


def put(path: Path, content: bytes | str = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def blob(models: Path, content: bytes) -> str:
    """Store a blob of Ollama and give its digest."""
    digest = hashlib.sha256(content).hexdigest()
    put(models / "blobs" / f"sha256-{digest}", content)
    return f"sha256:{digest}"


def manifest(models: Path, where: str, *layers: tuple[str, str], root: str = "manifests") -> Path:
    """Write a manifest; a layer is its kind and digest."""
    content = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json"},
        "layers": [{"mediaType": kind, "digest": digest, "size": 1} for kind, digest in layers],
    }
    return put(models / root / where, json.dumps(content))


def pulled(models: Path, where: str, content: bytes = CONTENT) -> Path:
    """A model of Ollama, as a pull leaves it; gives its blob."""
    digest = blob(models, content)
    manifest(models, where, (MODEL, digest))
    return models / "blobs" / digest.replace(":", "-")
