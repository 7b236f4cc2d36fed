"""llama.cpp's own objects: weights and context, how they are made, and when they are freed."""

import contextlib
import ctypes
import functools
import logging
import os
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from et_agent.engines.llama_cpp.attention import AttentionReader
from et_agent.engines.llama_cpp.binding import llama_cpp
from et_agent.engines.llama_cpp.layout import Layout
from et_agent.errors import (
    ContextError,
    ModelClosedError,
    ModelFileError,
    UnsupportedModelError,
)
from et_agent.kernels import attach, library_line
from et_agent.kernels.threads import cores

__all__ = [
    "MAX_BATCH",
    "Native",
    "abandoned",
    "cell_bytes",
    "free_in_owner",
    "library",
    "longest_path",
    "metadata",
    "open_weights",
]

MAX_BATCH: Final = 256
"""Most tokens in a batch."""
_GGML_F16: Final = 1
_GGML_BF16: Final = 30

_log = logging.getLogger("et_agent.llama_cpp")


def _route_logs() -> Any:
    """Send llama.cpp's log lines to `logging`, whole lines at a time."""
    levels = {3: logging.WARNING, 4: logging.ERROR}
    pending: dict[str, Any] = {"text": "", "level": logging.DEBUG}

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
    def on_log(level: int, text: bytes, _user_data: Any) -> None:
        with contextlib.suppress(Exception):
            if level != 5:  # GGML_LOG_LEVEL_CONT goes on with the line before
                pending["level"] = levels.get(level, logging.DEBUG)
            pending["text"] += text.decode("utf-8", "replace")
            *lines, pending["text"] = pending["text"].split("\n")
            for line in lines:
                if line.strip(" ."):
                    _log.log(pending["level"], "%s", line.rstrip())

    llama_cpp.llama_log_set(on_log, ctypes.c_void_p(0))
    return on_log


_LOG_CALLBACK = _route_logs()


class Native:
    """What must be freed: held apart from the model, so that an abandoned model is freed too."""

    def __init__(self) -> None:
        self.model: Any = None
        self.context: Any = None
        self.closed = False
        self._vocabulary_lock = threading.Lock()
        self.reader: AttentionReader | None = None  # its callback must outlive the context

    def require_open(self) -> None:
        """Refuse work for a model that was closed.

        Raises:
            ModelClosedError: It was.
        """
        if self.closed:
            raise ModelClosedError("this model was closed: load it again")

    @contextlib.contextmanager
    def vocabulary(self) -> Iterator[None]:
        """Keep the model from being freed while another thread than its owner reads its vocabulary.

        Raises:
            ModelClosedError: The model was closed.
        """
        with self._vocabulary_lock:
            self.require_open()
            yield

    def make_context(
        self, layout: Layout, threads: int | None, outputs: int, reader: AttentionReader | None
    ) -> None:
        """Make the context anew, with a cache of this layout.

        Args:
            layout: How the cache is divided.
            threads: CPU threads; None takes the cores this process may use.
            outputs: Most rows with logits in a batch.
            reader: What is called back from the graph; None for a context that calls nothing.

        Raises:
            ContextError: llama.cpp could not make it; there is no context then.
        """
        self.free_context()
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = layout.total
        settings.n_batch = MAX_BATCH
        settings.n_ubatch = min(MAX_BATCH, max(64, outputs))
        settings.n_seq_max = layout.ids
        # More outputs than this, or fewer than n_seq_max, would abort the process.
        settings.n_outputs_max = max(outputs, layout.ids)
        settings.n_threads = settings.n_threads_batch = threads or cores()
        settings.kv_unified = layout.unified
        settings.swa_full = True
        # Without it every row would be multiplied with all cells that are masked.
        settings.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        settings.type_k = settings.type_v = _cache_type()
        settings.no_perf = True
        self.reader = reader
        if reader is not None:
            settings.cb_eval = reader.callback
        self.context = llama_cpp.llama_init_from_model(self.model, settings) or None
        if self.context is None:
            raise ContextError(
                f"llama.cpp could not make a cache of {layout.total} cells: free some memory, or use a "
                "smaller --context"
            )

    def free_context(self) -> None:
        """Free the context, in the owner thread; safe to call twice."""
        if self.context is not None:
            llama_cpp.llama_free(self.context)
        self.context = None

    def free(self) -> None:
        """Free context and model, in the owner thread; safe to call twice."""
        with self._vocabulary_lock:
            self.closed = True
            self.free_context()
            if self.model is not None:
                llama_cpp.llama_model_free(self.model)
            self.model = self.reader = None


_Abandoned = tuple[ThreadPoolExecutor, Native]


@functools.cache
def abandoned() -> "queue.SimpleQueue[_Abandoned]":
    """Models that were abandoned without being closed, for a thread that frees them.

    The collector may strike inside any call, also in the middle of some executor's `submit`, which
    holds a lock of all executors: to put on a simple queue is all that is safe there.
    """
    waiting: queue.SimpleQueue[_Abandoned] = queue.SimpleQueue()

    def free() -> None:
        while True:
            free_in_owner(*waiting.get())

    threading.Thread(target=free, name="et-agent-free", daemon=True).start()
    return waiting


def free_in_owner(owner: ThreadPoolExecutor, native: Native) -> None:
    """Free a model in its owner thread and end that thread."""
    with contextlib.suppress(RuntimeError):
        owner.submit(native.free)
    owner.shutdown(wait=False)


def open_weights(path: Path, gpu_layers: int, *, repack: bool) -> Any:
    """llama.cpp's model of a GGUF file.

    Raises:
        ModelFileError: llama.cpp cannot load the file.
        UnsupportedModelError: It generates no text, or its state cannot be forked.
    """
    attach()  # llama.cpp asks once who takes weights
    llama_cpp.llama_backend_init()
    settings = llama_cpp.llama_model_default_params()
    settings.n_gpu_layers = gpu_layers
    settings.use_extra_bufts = repack
    model = llama_cpp.llama_model_load_from_file(os.fsencode(path), settings)
    if not model:
        raise ModelFileError(
            f"llama.cpp cannot load {path}: the file may be damaged or too new for this "
            "version (its own words are in the log: --verbose)"
        )
    try:
        _refuse_unfit(model, path)
    except UnsupportedModelError:
        llama_cpp.llama_model_free(model)
        raise
    return model


def _refuse_unfit(model: Any, path: Path) -> None:
    checks = (
        (llama_cpp.llama_model_is_recurrent, "a recurrent model, whose state cannot be forked"),
        (llama_cpp.llama_model_is_hybrid, "a hybrid model, whose recurrent state cannot be forked"),
        (llama_cpp.llama_model_is_diffusion, "a diffusion model, which has no next token"),
        (llama_cpp.llama_model_has_encoder, "an encoder model, which generates no text by itself"),
    )
    for check, what in checks:
        if check(model):
            raise UnsupportedModelError(
                f"{path.name} is {what}: choose a decoder-only transformer "
                "(see `et-agent models list`)"
            )
    if not llama_cpp.llama_model_has_decoder(model):
        raise UnsupportedModelError(
            f"{path.name} is an embedding model and generates no text: choose a chat model "
            "(see `et-agent models list`)"
        )


def metadata(model: Any, key: str) -> str:
    """A value of the file's metadata as text; empty when there is none."""
    buffer = ctypes.create_string_buffer(256)
    size = llama_cpp.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace") if size >= 0 else ""


def library() -> str:
    """What decodes: the library, its version and the kernels in use."""
    return library_line(llama_cpp.__version__, attach().name)


def longest_path(model: Any, context: int) -> int:
    """Positions a path may have: what the model was trained for, and the context."""
    trained = int(llama_cpp.llama_model_n_ctx_train(model))
    return min(context, trained) if trained > 0 else context


def cell_bytes(model: Any) -> int:
    """Bytes of keys and values that one position takes, if all layers are like the first."""
    architecture = metadata(model, "general.architecture")
    even = int(llama_cpp.llama_model_n_embd(model)) // max(
        1, int(llama_cpp.llama_model_n_head(model))
    )
    lengths = [metadata(model, f"{architecture}.attention.{of}_length") for of in ("key", "value")]
    heads = int(llama_cpp.llama_model_n_head_kv(model)) * int(llama_cpp.llama_model_n_layer(model))
    size = 2 * heads * sum(int(length) if length.isdigit() else even for length in lengths)
    return max(size, 1)  # a first layer without attention of its own gives 0


def _cache_type() -> int:
    """Type of the cache's entries: bfloat16 where the CPU multiplies it, float16 elsewhere."""
    features = bytes(llama_cpp.llama_print_system_info())
    if b"AVX512_BF16 = 1" in features and not llama_cpp.llama_supports_gpu_offload():
        return _GGML_BF16
    return _GGML_F16
