"""Loading a model by catalog name, path or `hf:owner/repo/file.gguf`."""

from et_agent.errors import ModelFileError, UnsupportedModelError
from et_agent.models.catalog import DEFAULT_MODEL, LocatedModel, file_sha256, locate
from et_agent.models.gguf import GgufInfo, read_gguf
from et_agent.models.llama_cpp import LlamaCppModel
from et_agent.models.progress import Progress
from et_agent.models.trial import may_repack

__all__ = ["check_usable", "load_model"]


def load_model(
    spec: str = DEFAULT_MODEL,
    *,
    context: int = 8192,
    threads: int | None = None,
    attention: bool = True,
    max_sequences: int = 64,
    best_width: int = 32,
    gpu_layers: int = -1,
    progress: Progress | None = None,
) -> LlamaCppModel:
    """Load a model, downloading it first if need be.

    Args:
        spec: A catalog name, a path to a GGUF file, or `hf:owner/repo/file.gguf`.
        context: Cells of the cache, shared by all branches of all questions.
        threads: CPU threads; None takes the cores this process may use.
        attention: Read attention weights where the build and the model allow it.
        max_sequences: Branches that may be in the cache at once, at most 256.
        best_width: Rows in a batch at most; the default suits small models on few cores.
        gpu_layers: Layers on a GPU, if llama.cpp was built for one; -1 for all.
        progress: Told about a download.

    Raises:
        ModelFileError: No such file, truncated, not GGUF, or with a wrong checksum.
        ModelDownloadError: No source could deliver the file.
        UnsupportedModelError: The model cannot generate text, or its state cannot be forked.
        ContextError: The context or the number of sequences is out of range.
    """
    located = locate(spec, progress=progress)
    check_usable(read_gguf(located.path))
    fingerprint = fingerprint_of(located, progress)
    return LlamaCppModel(
        located.path,
        name=located.name,
        fingerprint=fingerprint,
        context=context,
        threads=threads,
        attention=attention,
        max_sequences=max_sequences,
        best_width=best_width,
        gpu_layers=gpu_layers,
        repack=may_repack(located.path, fingerprint),
    )


def fingerprint_of(located: LocatedModel, progress: Progress | None = None) -> str:
    """SHA-256 of a model file; hashing a file for the first time takes a few seconds a gigabyte."""
    return located.sha256 or file_sha256(located.path, progress=progress)


def check_usable(info: GgufInfo) -> None:
    """Refuse, before llama.cpp sees it, a file that holds no model of the right sort.

    Raises:
        UnsupportedModelError: The model cannot generate text, or its state cannot be forked.
        ModelFileError: The file is a companion of a model, not a model.
    """
    name = f"{info.path.name} ({info.architecture})"
    fix = "choose a decoder-only transformer (see `et-agent models list`)"
    if info.is_companion:
        raise ModelFileError(f"{name} accompanies a model and is none by itself: {fix}")
    if info.is_embedding_only:
        raise UnsupportedModelError(
            f"{name} is an embedding model and generates no text: choose a chat model "
            "(see `et-agent models list`)"
        )
    reasons = (
        (info.is_recurrent, "a recurrent model, whose state cannot be forked"),
        (info.is_hybrid, "a hybrid model, whose recurrent state cannot be forked"),
        (info.is_diffusion, "a diffusion model, which has no next token"),
        (info.is_encoder_decoder, "an encoder-decoder model, which is not supported"),
    )
    for applies, what in reasons:
        if applies:
            raise UnsupportedModelError(f"{name} is {what}: {fix}")
