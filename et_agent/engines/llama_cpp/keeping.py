"""What a model keeps of the sequences that it gave up: in memory, and in a file if one is named."""

import logging
import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from et_agent.arrays import Bytes
from et_agent.engines.llama_cpp.sequence_state import (
    StateForm,
    StateFormError,
    read_sequence,
    write_sequence,
)
from et_agent.engines.prefix_file import PrefixFileError, read_prefixes, write_prefixes
from et_agent.engines.prefix_store import PrefixStore
from et_agent.errors import SettingsError

__all__ = ["PrefixKeeper"]

_log = logging.getLogger("et_agent.llama_cpp")


class PrefixKeeper:
    """Key-values of one model, apart from llama.cpp's cache. Owner thread only.

    Args:
        memory: Bytes of key-values at most; 0 keeps none.
        file: Where prompts are read from by `load` and written to by `save`; None for no file.
        weights: The model's file.
        fingerprint: SHA-256 of the model.

    Attributes:
        store: What is kept; None if nothing is.

    Raises:
        SettingsError: The memory is below 0 or more than this machine has.
    """

    def __init__(self, memory: int, file: Path | None, weights: Path, fingerprint: str) -> None:
        most = _machine_memory()
        if memory < 0 or (most is not None and memory > most):
            limit = "the memory of this machine" if most is None else f"{most >> 20} MiB"
            given = f"{memory} bytes" if memory % 2**20 else f"{memory >> 20} MiB"
            raise SettingsError(f"prefix_memory is {given}: use 0 (keep no prefixes) to {limit}")
        if file is not None and not memory:
            raise SettingsError("prefix_file needs prefix_memory above 0: leave one of them out")
        self.store = PrefixStore(memory) if memory else None
        self._file = file
        self._form: StateForm | None = None
        self._fits = {
            "model": fingerprint,
            "weights": f"{weights.name}, {weights.stat().st_size} bytes",
            "library": f"llama-cpp-python {_library()}",
        }

    def load(self, turned: str = "") -> None:
        """Read the file, if there is one.

        Args:
            turned: By which factors keys are turned, where a model has several; empty where it has not.
        """
        file = self._file
        if file is None or self.store is None:
            return
        if turned:
            self._fits["turned"] = turned
        try:
            self._form = StateForm.of_data(read_prefixes(file, self.store, self._fits))
            self.store.changed = False
        except FileNotFoundError:
            return
        except (PrefixFileError, StateFormError, OSError) as error:
            self.store.clear()
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            self.store.note = f"the prefix file {file} is ignored: {why}"
            if not isinstance(error, PrefixFileError) or error.foreign:
                self.store.note += "; nothing is written to it"
                self._file = None
            _log.warning("%s", self.store.note)

    def save(self) -> None:
        """Write the prompts to the file, if there is one and some were added."""
        if self._file is None or self.store is None or self._form is None:
            return
        if not self.store.changed:
            return
        try:
            write_prefixes(self._file, self.store, self._fits, self._form.as_data())
            self.store.changed = False
        except OSError as error:
            _log.warning("prefixes could not be written to %s: %s", self._file, error)

    def read(self, context: Any, sequence: int) -> Bytes | None:
        """Key-values of a sequence; None if they cannot be kept."""
        try:
            form, rows = read_sequence(context, sequence)
        except StateFormError as error:
            _log.warning("prefixes are not kept from here on: %s", error)
            self.store = None
            return None
        if form != self._form and self.store is not None:
            self.store.clear()  # what a file held has another form
        self._form = form
        return rows

    def write(self, context: Any, sequence: int, streams: int, rows: Bytes) -> bool:
        """Put key-values into an empty sequence; whether llama.cpp took them."""
        if self._form is None:
            return False
        taken = write_sequence(context, sequence, streams, self._form, rows)
        if not taken and self.store is not None:
            _log.warning(
                "llama.cpp does not take back the prefixes that were kept: they are dropped"
            )
            self.store.clear()
        return taken

    def keys(
        self, rows: Bytes, wanted: Sequence[int], layers: int
    ) -> list[tuple[int, Bytes]] | None:
        """The ggml type of the keys of some layers, and the keys [positions, bytes]; None if unknown.

        Args:
            rows: Key-values, uint8 [positions, bytes of a position].
            wanted: The layers.
            layers: Layers of the model.
        """
        if self._form is None:
            return None
        found = [self._form.keys(layer, layers) for layer in wanted]
        known = [(one[0], rows[:, one[1]]) for one in found if one is not None]
        return known if len(known) == len(found) else None


def _machine_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _library() -> str:
    try:
        return version("llama-cpp-python")
    except PackageNotFoundError:
        return "unknown"
