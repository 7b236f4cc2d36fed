"""Loading a model by catalog name, path, `hf:owner/repo/file.gguf`, or name in another program."""

from pathlib import Path

from et_agent.arguments import checks_arguments
from et_agent.config import read_config
from et_agent.engines.llama_cpp.dequantizing import dequantized
from et_agent.engines.llama_cpp.devices import Placement, devices
from et_agent.engines.llama_cpp.model import STREAM_MEMORY, LlamaCppModel
from et_agent.engines.llama_cpp.native import library
from et_agent.engines.llama_cpp.trial import may_repack
from et_agent.engines.llama_cpp.tuning import find_tuning
from et_agent.engines.prefix_store import PREFIX_MEMORY
from et_agent.errors import SettingsError, UnsupportedModelError
from et_agent.renaming import warn_of_old_name
from et_agent.storage import user_path
from et_agent.weights.addresses import is_address, shown_address
from et_agent.weights.catalog import default_model, fingerprint_of, locate
from et_agent.weights.gguf import read_gguf
from et_agent.weights.progress import TransferProgress

__all__ = ["load_model"]


@checks_arguments
def load_model(
    spec: str | None = None,
    *,
    context: int = 8192,
    threads: int | None = None,
    attention: bool = True,
    max_sequences: int = 64,
    best_width: int | None = None,
    gpu_layers: int = -1,
    split_mode: str = "layer",
    main_gpu: int = 0,
    dequantize: bool = False,
    stream_memory: int = STREAM_MEMORY,
    prefix_memory: int | None = None,
    prefix_file: str | Path | None = None,
    max_pending: int | None = None,
    progress: TransferProgress | None = None,
    unpack: bool | None = None,
) -> LlamaCppModel:
    """Load a model, downloading it first if necessary.

    Args:
        spec: A catalog name, a path to a GGUF file, `hf:owner/repo/file.gguf`, or a model that another
            program has, such as `ollama:llama3.2` (`et-agent models list --local`). None for the
            user's setting (`et_agent.config`), and for the default model where there is none.
        context: Largest number of positions of a path. It is also the number of cells of the cache that
            the branches of all questions share if they are too long for one stream per branch.
        threads: CPU threads; None uses the user's setting, else what `et-agent tune` found for the
            model here, and all cores that this process may use where it was not run.
        attention: Read attention weights if the build and the model support it.
        max_sequences: Branches that may be in the cache at once, at most 256.
        best_width: Largest number of rows per batch; None uses what `et-agent tune` found, and 32 where
            it was not run.
        gpu_layers: Layers on the GPU, the last ones first, if llama.cpp was built for one; -1 for all.
        split_mode: How layers are divided among several GPUs: "layer", "row", "tensor", or "none" for
            one GPU alone.
        main_gpu: Number of that GPU, in the order of `et-agent doctor`.
        dequantize: Decode from a copy with float16 weights, made on first use and kept in the cache
            (`et_agent.engines.llama_cpp.dequantizing`): faster wide batches on CPUs without AMX or
            AVX-512.
        stream_memory: Bytes of memory for one key-value stream per branch, which makes wide batches
            faster; 0 keeps one cache for all branches.
        prefix_memory: Bytes of memory for beginnings of prompts and replies that later questions go on
            from; those that were not used for the longest time are dropped first. 0 keeps none. None
            uses the user's setting, and 64 MiB where there is none.
        prefix_file: A file that keeps prompts for the next process. It is read here and written by
            `close`. A file that is damaged, or of another model, library or user, is ignored with a
            warning in the log `et_agent.llama_cpp`.
        max_pending: Questions that may wait or be decoded at once, of all threads; further ones raise
            `BusyError`. None for any number.
        progress: Told about a download and about dequantizing.
        unpack: The old name of `dequantize`.

    Raises:
        SettingsError: The model is named by a server's address; `prefix_memory` is below 0 or more than
            this machine has, or 0 with a file; `max_pending` is below 1; GPUs are asked for that are
            not there; or the user's settings cannot be read.
        ModelFileError: The file does not exist, is truncated, is not GGUF, or has a wrong checksum.
        OutOfMemoryError: There is not enough memory for the weights.
        ModelDownloadError: No source could deliver the file.
        UnsupportedModelError: The model cannot generate text, or its state cannot be forked.
        ContextError: The context or the number of sequences is out of range.
    """
    spec = default_model() if spec is None else spec
    if is_address(spec):
        raise SettingsError(
            f"{shown_address(spec)} is the address of a server, not a model file: use "
            "OpenAICompatibleModel, or a command that takes servers too"
        )
    if unpack is not None:
        warn_of_old_name("load_model(unpack=…)", "dequantize")
        dequantize = unpack
    placement = Placement(gpu_layers, split_mode, main_gpu)
    placement.check(devices())
    config = read_config()
    located = locate(spec, progress=progress)
    info = read_gguf(located.path)
    if unusable := info.why_unusable():
        raise UnsupportedModelError(
            f"{located.path.name} ({info.architecture}) is {unusable}: choose a decoder-only "
            "transformer (see `et-agent models list`)"
        )
    fingerprint = fingerprint_of(located, info.parts, progress=progress)
    tuned = find_tuning(fingerprint, library(placement))
    path = dequantized(info, fingerprint, progress) if dequantize else located.path
    return LlamaCppModel(
        path,
        name=located.name,
        fingerprint=fingerprint,
        context=context,
        threads=threads or config.threads or tuned.threads,
        attention=attention,
        max_sequences=max_sequences,
        best_width=best_width or tuned.width,
        placement=placement,
        stream_memory=stream_memory,
        prefix_memory=_prefix_memory(prefix_memory, config.prefix_memory),
        prefix_file=_prefix_file(prefix_file),
        max_pending=max_pending,
        # The verdict on a copy is kept under the name that copies had when the first were made.
        repack=may_repack(
            path, fingerprint if path == located.path else f"{fingerprint}-unpacked", placement
        ),
    )


def _prefix_file(given: str | Path | None) -> Path | None:
    if given is None:
        return None
    if not str(given):
        raise SettingsError("prefix_file is empty: name a file, or leave it out")
    if "\0" in str(given):
        raise SettingsError("prefix_file holds a NUL character: name a file")
    return user_path(given)


def _prefix_memory(given: int | None, mebibytes: int | None) -> int:
    """Bytes for beginnings of prompts: an argument, a setting in MiB, or the default."""
    if given is not None:
        return given
    return PREFIX_MEMORY if mebibytes is None else mebibytes << 20
