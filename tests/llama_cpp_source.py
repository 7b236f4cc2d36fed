"""llama.cpp's sources, which carry chat templates and vocabularies of real models; not committed."""

import importlib.metadata
import os
from functools import cache
from pathlib import Path

__all__ = ["SKIPPED", "chat_templates", "vocabularies"]

SKIPPED = (
    "llama.cpp's sources are not at hand: they are in uv's cache once llama-cpp-python was built here; "
    "LLAMA_CPP_SOURCE names another folder"
)


@cache
def _models() -> Path | None:
    """The folder `models` of llama.cpp's sources; None where there is none."""
    if given := os.environ.get("LLAMA_CPP_SOURCE"):
        return Path(given) / "models"
    version = importlib.metadata.version("llama-cpp-python")
    cache_folder = Path(os.environ.get("UV_CACHE_DIR", Path.home() / ".cache" / "uv"))
    pattern = f"sdists-*/*/llama-cpp-python/{version}/*/src/vendor/llama.cpp/models"
    return next(iter(sorted(cache_folder.glob(pattern))), None)


def chat_templates() -> dict[str, str]:
    """Chat templates by name; none where the sources are not at hand."""
    folder = _models()
    found = sorted((folder / "templates").glob("*.jinja")) if folder is not None else []
    return {path.stem: path.read_text("utf-8") for path in found}


def vocabularies() -> dict[str, Path]:
    """Files that hold a vocabulary, by name; none where the sources are not at hand."""
    folder = _models()
    found = sorted(folder.glob("ggml-vocab-*.gguf")) if folder is not None else []
    return {path.stem.removeprefix("ggml-vocab-"): path for path in found}
