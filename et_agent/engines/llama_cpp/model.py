"""The llama.cpp engine: one context, one owner thread, sequences that share their prefixes.

The low-level API is used because `llama_cpp.Llama` gives one sequence at a time. Everything that
makes llama.cpp abort the process (too many outputs, tokens, sequences; gaps in positions) is checked
before each call.
"""

import contextlib
import dataclasses
import itertools
import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from et_agent.arrays import Bytes, Ints
from et_agent.engines.base import DEFAULT_WIDTH, Batch, Capacity, ModelInfo, Step
from et_agent.engines.cells import CellTable
from et_agent.engines.llama_cpp.attention import AttentionReader, default_layers, layout_is_known
from et_agent.engines.llama_cpp.binding import llama_cpp
from et_agent.engines.llama_cpp.devices import Placement, devices
from et_agent.engines.llama_cpp.keeping import PrefixKeeper
from et_agent.engines.llama_cpp.layout import (
    MAX_SEQUENCES,
    NO_CACHE,
    Layout,
    choose_layout,
)
from et_agent.engines.llama_cpp.native import (
    MAX_BATCH,
    Native,
    abandoned,
    cell_bytes,
    free_in_owner,
    library,
    longest_path,
    turned_from,
)
from et_agent.engines.llama_cpp.native_batch import NativeBatch, check_batch
from et_agent.engines.llama_cpp.opening import fewer_layers, open_weights
from et_agent.engines.llama_cpp.sequences import sequences_of
from et_agent.engines.llama_cpp.tokenizer import (
    HasTokenizer,
    LlamaTokenizer,
    stop_tokens,
    template_text,
)
from et_agent.engines.prefix_store import PREFIX_MEMORY, PrefixStore
from et_agent.errors import ContextError, DecodeError, ModelClosedError
from et_agent.kernels.threads import cores
from et_agent.waiting import outcome

__all__ = ["STREAM_MEMORY", "LlamaCppModel"]

STREAM_MEMORY: Final = 1 << 30
"""Bytes of key-value streams at most, unless said otherwise."""

_NO_MEMORY: Final = -2
"""What llama_decode returns if memory for a graph cannot be had."""

T = TypeVar("T")

_log = logging.getLogger("et_agent.llama_cpp")


class LlamaCppModel(HasTokenizer):
    """A GGUF model whose sequences share one cache or have a stream each, as long as they are short.

    Args:
        path: The GGUF file.
        name: Name for people; the file's stem if empty.
        fingerprint: SHA-256 of the file, hex.
        context: Most positions of a path, and cells of the cache that all sequences share when a
            stream for each would not fit.
        threads: CPU threads; None takes the cores this process may use.
        attention: Read attention weights where the build and the model allow it.
        attention_layers: Layers to read; None takes two in the later half.
        max_sequences: Sequences at once, at most 256. Each costs V x 4 bytes of output buffer.
        best_width: Rows in a batch with the best tokens per second; the scheduler fills up to it.
        placement: Which layers go to a GPU, if the build has one.
        repack: Let llama.cpp repack weights for this CPU. `load_model` tries in a child process
            whether that crashes.
        stream_memory: Bytes that the streams may take: wide batches are faster with them
            (benchmarks/results/streams.json). 0 keeps one shared cache.
        prefix_memory: Bytes for beginnings of paths that are kept to go on from; 0 keeps none.
        prefix_file: File that kept prompts are read from now and written to by `close`.
        max_pending: Questions that may wait or be decoded at once; None for any number.

    Raises:
        SettingsError: `prefix_memory` is below 0 or more than this machine has, or 0 with a file;
            `max_pending` is below 1; or the placement asks for what is not there.
        ModelFileError: llama.cpp cannot load the file.
        OutOfMemoryError: There is not enough memory for the weights.
        UnsupportedModelError: An embedding-only, encoder-decoder, recurrent, hybrid or diffusion model.
        ContextError: The context or the number of sequences is out of range.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str = "",
        fingerprint: str = "",
        context: int = 8192,
        threads: int | None = None,
        attention: bool = True,
        attention_layers: tuple[int, ...] | None = None,
        max_sequences: int = 64,
        best_width: int = DEFAULT_WIDTH,
        placement: Placement | None = None,
        repack: bool = True,
        stream_memory: int = STREAM_MEMORY,
        prefix_memory: int = PREFIX_MEMORY,
        prefix_file: Path | None = None,
        max_pending: int | None = None,
    ) -> None:
        if not 1 <= max_sequences <= MAX_SEQUENCES:
            raise ContextError(
                f"{max_sequences} sequences were asked for and llama.cpp allows 1 to "
                f"{MAX_SEQUENCES}: use a value in that range"
            )
        if context < 32:
            raise ContextError(f"a context of {context} cells holds no question: use 2048 or more")
        self._keeper = PrefixKeeper(prefix_memory, prefix_file, path, fingerprint)
        self._owner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="et-agent-llama")
        self._native = Native()
        self._finalizer = weakref.finalize(self, abandoned().put, (self._owner, self._native))
        self._finalizer.atexit = False  # executors take no more work by then
        self._max_sequences, self._threads = max_sequences, threads
        self._max_pending = max_pending
        self._stream_memory = stream_memory
        self._path, self._placement = path, placement or Placement()
        try:
            self._owner.submit(self._load, attention, attention_layers, repack).result()
            # All caches lie on one side of it, or what is kept of one would be wrong in the next.
            turned = turned_from(self._model)
            self._shortest = turned + 1 if 0 < turned < context else 0
            self._keeper.load("long" if self._shortest else "short" if turned else "")
            self._info = self._describe(path, name, fingerprint, context, best_width)
            self._tokenizer = LlamaTokenizer(self._native, self._info)
            self._owner.submit(self._configure, 1).result()
        except BaseException:
            self.close()
            raise

    def _load(
        self, attention: bool, attention_layers: tuple[int, ...] | None, repack: bool
    ) -> None:
        self._owner_thread = threading.get_ident()
        self._model = open_weights(self._path, self._placement, repack=repack)
        self._native.model = self._model
        self._on_gpu = bool(self._placement.used(devices()))
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._n_vocab = int(llama_cpp.llama_vocab_n_tokens(self._vocab))
        self._cell_bytes = cell_bytes(self._model)
        layers = int(llama_cpp.llama_model_n_layer(self._model))
        self._reader: AttentionReader | None = None
        self._reads = False
        chosen = default_layers(layers) if attention_layers is None else attention_layers
        if attention and chosen and layout_is_known():
            if any(not 0 <= layer < layers for layer in chosen):
                raise ContextError(
                    f"attention layers {chosen} are not all within 0 to {layers - 1}"
                )
            with contextlib.suppress(AttributeError):
                self._reader = AttentionReader(chosen)
        self._layout = NO_CACHE
        self._batch = NativeBatch(MAX_BATCH)

    def configure(self, longest: int, *, attention: bool = False) -> Capacity:
        """Get the cache ready for paths of `longest` positions; see `Engine.configure`."""
        self._require_open()
        self._reads = attention and self._reader is not None
        return self._configure(longest)

    def _configure(self, longest: int) -> Capacity:
        info = self._info
        wanted = choose_layout(
            min(longest, info.longest_path),
            context=info.context,
            max_sequences=self._max_sequences,
            width=info.best_width,
            cell_bytes=self._cell_bytes,
            memory=self._stream_memory,
            window=info.window,
            shortest=self._shortest,
        )
        if self._layout.serves(wanted) and self._calls_back_as_wanted():
            self._forget_everything()
            return self._capacity()
        try:
            self._make_context(wanted)
        except ContextError as error:
            if wanted.unified:
                advice = fewer_layers(self._path, self._placement, wanted.total * self._cell_bytes)
                raise ContextError(f"{error}{advice}") from None
            self._stream_memory = wanted.total * self._cell_bytes - 1
            _log.warning(
                "no memory for streams of %d cells: less is used from here on", wanted.total
            )
            return self._configure(longest)
        return self._capacity()

    def _calls_back_as_wanted(self) -> bool:
        calls_back = self._native.reader is not None
        # On the CPU, one that calls back serves those who read nothing, too. On a GPU, to be asked at
        # each node whether to stop costs more than a new context now and then.
        return calls_back == self._reads or (calls_back and not self._on_gpu)

    def _capacity(self) -> Capacity:
        return Capacity(self._layout.sequences, min(self._layout.cells, self._info.longest_path))

    def _make_context(self, layout: Layout) -> None:
        # Nothing fits until there is a context.
        self._layout = NO_CACHE
        self._cells = CellTable(0, 0, 0)
        reader = self._reader if self._reads else None
        self._native.make_context(layout, self._threads, self._max_sequences, reader)
        self._memory = llama_cpp.llama_get_memory(self._native.context)
        self._layout = layout
        self._forget_everything()
        if reader is not None:
            reader.resize(layout)

    def _describe(
        self, path: Path, name: str, fingerprint: str, context: int, best_width: int
    ) -> ModelInfo:
        sequences = self._max_sequences
        return ModelInfo(
            name=name or path.stem,
            fingerprint=fingerprint,
            vocabulary=self._n_vocab,
            context=context,
            longest_path=longest_path(self._model, context),
            max_sequences=sequences,
            max_batch=MAX_BATCH,
            max_outputs=sequences,
            best_width=max(1, min(best_width, sequences)),
            stop_tokens=stop_tokens(self._vocab),
            chat_template=bool(template_text(self._model)),
            attention_layers=() if self._reader is None else self._reader.layers,
            threads=self._threads or cores(),
            parameters=int(llama_cpp.llama_model_n_params(self._model)),
            library=library(self._placement),
            window=int(llama_cpp.llama_model_n_swa(self._model)),
            max_pending=self._max_pending,
        )

    @property
    def info(self) -> ModelInfo:
        """What the model is and what it allows."""
        return self._info

    @property
    def free_positions(self) -> int:
        """Cells of the cache that no sequence uses."""
        return self._cells.free

    def decode(self, batch: Batch) -> Step:
        """Extend sequences by a batch of tokens; see `LanguageModel.decode`."""
        self._require_open()
        tokens, positions, sequences, outputs = (
            part.tolist()  # lists, since most batches are short
            for part in (batch.tokens, batch.positions, batch.sequences, batch.outputs)
        )
        check_batch(tokens, sum(outputs), self._info)
        self._cells.check(positions, sequences)
        ids = self._sequences.place(sequences)
        order = self._order(ids)
        self._batch.fill(batch, ids, order, self._sequences.twin)
        reader = self._reader if self._reads else None
        if reader is not None:
            self._watch(reader, batch, ids)
        code = llama_cpp.llama_decode(self._native.context, self._batch.value)
        if code != 0:
            self._forget_everything()
            why = "ran out of memory" if code == _NO_MEMORY else f"failed with code {code}"
            raise DecodeError(f"llama_decode {why} on {len(ids)} tokens; the cache was cleared")
        attention = None
        if reader is not None:
            rows = zip(sequences, positions, strict=True)
            attention = reader.finish(self._cells, list(itertools.compress(rows, outputs)))
            if attention is None:
                self._drop_attention()
        self._sequences.decoded()
        self._cells.place(positions, sequences)
        return Step(
            self._native.logits(sum(outputs), self._n_vocab),
            attention,
            None if order is None else np.argsort(order[batch.outputs[order]]),
        )

    def _order(self, ids: list[int]) -> Ints | None:
        """In which order llama.cpp gets tokens of its sequences, int64 [N]; None for this order.

        Streams come one after the other: it decodes them together then.
        """
        if self._layout.unified or all(one <= next for one, next in itertools.pairwise(ids)):
            return None
        return np.argsort(ids, kind="stable")

    def _watch(self, reader: AttentionReader, batch: Batch, ids: list[int]) -> None:
        cells = self._cells.unused(len(ids))
        places = None
        if not self._layout.unified:
            places = np.array(ids, dtype=np.int64) * self._layout.cells + batch.positions
        reader.begin(batch.outputs, cells, places)

    def _drop_attention(self) -> None:
        """Go on without attention: cells are unknown from here on, so rows would be wrong."""
        error = None if self._reader is None else self._reader.error
        _log.warning("attention is off from here on: the graph could not be read (%s)", error)
        self._reader = None  # the context keeps calling it: `_native` holds it as long
        self._reads = False
        self._info = dataclasses.replace(self._info, attention_layers=())
        self._tokenizer.info = self._info

    def use_threads(self, threads: int) -> None:
        """Decode with so many threads until the context is made anew. Owner thread only."""
        self._require_open()
        llama_cpp.llama_set_n_threads(self._native.context, threads, threads)

    def fork(self, source: int, target: int, length: int) -> None:
        """Let the unused sequence `target` share the first `length` tokens of `source`."""
        self._require_open()
        self._cells.require(source, target)
        if self._cells.length(target) or not 0 < length <= self._cells.length(source):
            raise ContextError(
                f"cannot fork {length} tokens of sequence {source} "
                f"({self._cells.length(source)} long) into sequence {target} "
                f"({self._cells.length(target)} long)"
            )
        self._sequences.fork(source, target, length)
        self._cells.fork(source, target, length)

    def release(self, sequence: int) -> None:
        """Forget a sequence; cells that no other sequence shares become free."""
        self._require_open()
        self._cells.require(sequence)
        self._sequences.release(sequence)
        self._cells.release(sequence)

    @property
    def prefixes(self) -> PrefixStore | None:
        """What is kept of sequences that were parked; None if nothing is."""
        return self._keeper.store

    def park(self, sequence: int, start: int) -> Bytes | None:
        """Forget a sequence and return its key-values from `start` on; see `Engine.park`."""
        self._require_open()
        self._cells.require(sequence)
        held = self._sequences.readable(sequence)
        rows = None
        if held is not None and start < self._cells.length(sequence):
            if start:
                llama_cpp.llama_memory_seq_rm(self._memory, held, 0, start)
            rows = self._keeper.read(self._native.context, held)
        self.release(sequence)
        return rows

    def restore(self, sequence: int, rows: Bytes) -> bool:
        """Fill an unused sequence with key-values; see `Engine.restore`."""
        self._require_open()
        self._cells.check(range(len(rows)), [sequence] * len(rows))
        keys = self._keys(rows)
        if keys is None:
            return False
        held = self._sequences.empty(sequence)
        if held is None:
            return False
        if not self._keeper.write(self._native.context, held, self._layout.streams, rows):
            self.release(sequence)
            return False
        self._sequences.filled(sequence)
        cells = self._cells.unused(len(rows))
        self._cells.place(range(len(rows)), [sequence] * len(rows))
        if self._reader is not None and keys:
            self._reader.restore(cells, keys)
        return True

    def _keys(self, rows: Bytes) -> list[tuple[int, Bytes]] | None:
        """Keys of the layers whose attention is read; None where that cannot go on from kept ones."""
        if self._reader is None or not self._reads:
            return []
        layers = int(llama_cpp.llama_model_n_layer(self._model))
        return self._keeper.keys(rows, self._reader.layers, layers)

    def _forget_everything(self) -> None:
        llama_cpp.llama_memory_clear(self._memory, False)
        capacity = self._capacity()
        self._cells = CellTable(self._layout.total, capacity.sequences, capacity.longest)
        self._sequences = sequences_of(self._memory, self._layout)

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Run `work` in the owner thread."""
        self._require_open()
        try:
            return self._owner.submit(work)
        except RuntimeError as error:  # closed by another thread since the line above
            raise ModelClosedError("this model was closed: load it again") from error

    def _require_open(self) -> None:
        self._native.require_open()

    def close(self) -> None:
        """Free the model; safe to call twice, and from a callback in the model's own thread."""
        if self._native.closed:
            return
        self._native.closed = True
        if self._native.birthplace.left:  # the threads that would free it are the parent's
            self._finalizer.detach()
            return
        if threading.get_ident() == getattr(self, "_owner_thread", None):
            self._end()
        else:
            with contextlib.suppress(RuntimeError):
                self._owner.submit(self._end).result()
        self._finalizer.detach()
        free_in_owner(self._owner, self._native)

    def save_prefixes(self) -> None:
        """Write kept prompts to the prefix file, if there is one, as `close` does."""
        outcome(self.submit(self._keeper.save))

    def _end(self) -> None:
        self._keeper.save()
        self._native.free()

    def __enter__(self) -> "LlamaCppModel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
