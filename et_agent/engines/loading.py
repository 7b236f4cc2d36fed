"""Loading a model by catalog name, path or `hf:owner/repo/file.gguf`."""

from pathlib import Path

from et_agent.engines.llama_cpp.dequantizing import dequantized
from et_agent.engines.llama_cpp.model import STREAM_MEMORY, LlamaCppModel
from et_agent.engines.llama_cpp.native import library
from et_agent.engines.llama_cpp.trial import may_repack
from et_agent.engines.llama_cpp.tuning import find_tuning
from et_agent.engines.prefix_store import PREFIX_MEMORY
from et_agent.engines.sampled import is_address
from et_agent.errors import SettingsError, UnsupportedModelError
from et_agent.renaming import warn_of_old_name
from et_agent.weights.catalog import DEFAULT_MODEL, LocatedModel, file_sha256, locate
from et_agent.weights.gguf import read_gguf
from et_agent.weights.progress import TransferProgress

__all__ = ["fingerprint_of", "load_model"]


def load_model(
    spec: str = DEFAULT_MODEL,
    *,
    context: int = 8192,
    threads: int | None = None,
    attention: bool = True,
    max_sequences: int = 64,
    best_width: int | None = None,
    gpu_layers: int = -1,
    dequantize: bool = False,
    stream_memory: int = STREAM_MEMORY,
    prefix_memory: int = PREFIX_MEMORY,
    prefix_file: str | Path | None = None,
    progress: TransferProgress | None = None,
    unpack: bool | None = None,
) -> LlamaCppModel:
    """Load a model, downloading it first if necessary.

    Args:
        spec: A catalog name, a path to a GGUF file, or `hf:owner/repo/file.gguf`.
        context: Largest number of positions of a path. It is also the number of cells of the cache that
            the branches of all questions share if they are too long for one stream per branch.
        threads: CPU threads; None uses what `et-agent tune` found for the model here, and all cores
            that this process may use where it was not run.
        attention: Read attention weights if the build and the model support it.
        max_sequences: Branches that may be in the cache at once, at most 256.
        best_width: Largest number of rows per batch; None uses what `et-agent tune` found, and 32 where
            it was not run.
        gpu_layers: Layers on the GPU, if llama.cpp was built for one; -1 for all.
        dequantize: Decode from a copy with float16 weights, made on first use and kept in the cache
            (`et_agent.engines.llama_cpp.dequantizing`): faster wide batches on CPUs without AMX or
            AVX-512.
        stream_memory: Bytes of memory for one key-value stream per branch, which makes wide batches
            faster; 0 keeps one cache for all branches.
        prefix_memory: Bytes of memory for beginnings of prompts and replies that later questions go on
            from; those that were not used for the longest time are dropped first. 0 keeps none.
        prefix_file: A file that keeps prompts for the next process. It is read here and written by
            `close`. A file that is damaged, or of another model, library or user, is ignored with a
            warning in the log `et_agent.llama_cpp`.
        progress: Told about a download and about dequantizing.
        unpack: The old name of `dequantize`.

    Raises:
        SettingsError: The model is named by a server's address, or `prefix_memory` is below 0 or more
            than this machine has, or 0 with a file.
        ModelFileError: The file does not exist, is truncated, is not GGUF, or has a wrong checksum.
        ModelDownloadError: No source could deliver the file.
        UnsupportedModelError: The model cannot generate text, or its state cannot be forked.
        ContextError: The context or the number of sequences is out of range.
    """
    if is_address(spec):
        raise SettingsError(
            f"{spec} is the address of a server, not a model file: use OpenAICompatibleModel({spec!r})"
        )
    if unpack is not None:
        warn_of_old_name("load_model(unpack=…)", "dequantize")
        dequantize = unpack
    located = locate(spec, progress=progress)
    info = read_gguf(located.path)
    if unusable := info.why_unusable():
        raise UnsupportedModelError(
            f"{located.path.name} ({info.architecture}) is {unusable}: choose a decoder-only "
            "transformer (see `et-agent models list`)"
        )
    fingerprint = fingerprint_of(located, progress)
    tuned = find_tuning(fingerprint, library())
    path = dequantized(info, fingerprint, progress) if dequantize else located.path
    return LlamaCppModel(
        path,
        name=located.name,
        fingerprint=fingerprint,
        context=context,
        threads=threads or tuned.threads,
        attention=attention,
        max_sequences=max_sequences,
        best_width=best_width or tuned.width,
        gpu_layers=gpu_layers,
        stream_memory=stream_memory,
        prefix_memory=prefix_memory,
        prefix_file=None if prefix_file is None else Path(prefix_file).expanduser(),
        # The verdict on a copy is kept under the name that copies had when the first were made.
        repack=may_repack(path, fingerprint if path == located.path else f"{fingerprint}-unpacked"),
    )


def fingerprint_of(located: LocatedModel, progress: TransferProgress | None = None) -> str:
    """SHA-256 of a model file. The first time, hashing takes a few seconds per gigabyte."""
    return located.sha256 or file_sha256(located.path, progress=progress)
