"""llama.cpp's own objects: the context and how it is made, and when context and weights are freed."""

import contextlib
import ctypes
import functools
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from et_agent.arrays import Floats
from et_agent.engines.llama_cpp.attention import AttentionReader
from et_agent.engines.llama_cpp.binding import llama_cpp
from et_agent.engines.llama_cpp.devices import Placement
from et_agent.engines.llama_cpp.layout import Layout
from et_agent.errors import ContextError, ModelClosedError
from et_agent.kernels import attach, library_line
from et_agent.kernels.threads import cores
from et_agent.waiting import Birthplace

__all__ = [
    "MAX_BATCH",
    "Native",
    "abandoned",
    "cell_bytes",
    "free_in_owner",
    "library",
    "longest_path",
    "metadata",
    "turned_from",
]

MAX_BATCH: Final = 256
"""Most tokens in a batch."""
_GGML_F16: Final = 1
_GGML_BF16: Final = 30


class Native:
    """What must be freed: held apart from the model, so that an abandoned model is freed too."""

    def __init__(self) -> None:
        self.model: Any = None
        self.context: Any = None
        self.closed = False
        self.birthplace = Birthplace("this model was loaded", "load it again in this process")
        self._readers, self._no_readers = 0, threading.Condition()
        self.reader: AttentionReader | None = None  # its callback must outlive the context
        self._logits: tuple[tuple[int, ...], Floats] = ((), np.empty((0, 0), dtype=np.float32))

    def require_open(self) -> None:
        """Refuse work for a model that was closed.

        Raises:
            ModelClosedError: It was, or it was loaded before this process was forked.
        """
        self.birthplace.require()
        if self.closed:
            raise ModelClosedError("this model was closed: load it again")

    @contextlib.contextmanager
    def vocabulary(self) -> Iterator[None]:
        """Keep the model from being freed while threads other than its owner read its vocabulary.

        They read at the same time: a long text does not hold up another question's.

        Raises:
            ModelClosedError: The model was closed.
        """
        self.birthplace.require()
        with self._no_readers:
            self.require_open()
            self._readers += 1
        try:
            yield
        finally:
            with self._no_readers:
                self._readers -= 1
                self._no_readers.notify_all()

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
        # Without it every row would be multiplied with all cells that are masked. A reader needs its
        # node in the graph; else it is left off on devices that have none of it.
        settings.flash_attn_type = (
            llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO
            if reader is None
            else llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        )
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

    def logits(self, rows: int, vocabulary: int) -> Floats:
        """The last decode's logits, float32 [rows, vocabulary], in llama.cpp's own memory."""
        pointer = llama_cpp.llama_get_logits(self.context)
        held = (ctypes.addressof(pointer.contents), rows, vocabulary)
        if held != self._logits[0]:  # else the last array will do: to make one takes a while
            self._logits = held, np.ctypeslib.as_array(pointer, shape=(rows, vocabulary))
        return self._logits[1]

    def free_context(self) -> None:
        """Free the context, in the owner thread; safe to call twice."""
        if self.context is not None:
            llama_cpp.llama_free(self.context)
        self.context = None

    def free(self) -> None:
        """Free context and model, in the owner thread; safe to call twice."""
        with self._no_readers:
            self.closed = True
            self._no_readers.wait_for(lambda: not self._readers)
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


def metadata(model: Any, key: str) -> str:
    """A value of the file's metadata as text; empty when there is none."""
    buffer = ctypes.create_string_buffer(256)
    size = llama_cpp.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace") if size >= 0 else ""


def library(placement: Placement) -> str:
    """What decodes: the library, its version, the kernels in use, and what the GPUs have."""
    line = library_line(llama_cpp.__version__, attach().name)
    on_gpu = placement.described()
    return f"{line}, {on_gpu}" if on_gpu else line


def longest_path(model: Any, context: int) -> int:
    """Positions a path may have: what the model was trained for, and the context."""
    trained = int(llama_cpp.llama_model_n_ctx_train(model))
    return min(context, trained) if trained > 0 else context


def turned_from(model: Any) -> int:
    """Positions of a cache above which llama.cpp turns keys by other factors; 0 where it never does.

    So do models with LongRoPE (arXiv 2402.13753), such as Phi-3. Those with YaRN name a length too.
    """
    scaling = f"{metadata(model, 'general.architecture')}.rope.scaling"
    length = metadata(model, f"{scaling}.original_context_length")
    longrope = metadata(model, f"{scaling}.type") in ("", "longrope")
    turned = int(length) if length.isdigit() and longrope else 0
    return turned if turned < int(llama_cpp.llama_model_n_ctx_train(model)) else 0


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
