"""Reads one GGUF file: keys and tensors, every read and every count checked against its length."""

import mmap
import re
import stat
import struct
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn, TypeAlias

from pydantic import BaseModel, ConfigDict

from et_agent.errors import ModelFileError
from et_agent.weights.gguf_tables import TENSOR_TYPES, TensorType, describe_foreign

__all__ = ["GgufArray", "GgufPart", "GgufValue", "read_part"]

_MAGIC: Final = b"GGUF"
_SUPPORTED_VERSIONS: Final = (2, 3)
_DEFAULT_ALIGNMENT: Final = 32
_MAX_DIMS: Final = 4
_MAX_TENSOR_NAME: Final = 63
_MAX_SCALAR_STRING: Final = 16 * 1024 * 1024
_MAX_KEPT_NUMBERS: Final = 1024
"""Longer arrays of numbers are summarised: per-layer settings are short, vocabularies long."""
_MAX_KEPT_STRINGS: Final = 16
_MIN_BYTES_PER_KEY: Final = 8 + 1 + 4 + 1
_MIN_BYTES_PER_TENSOR: Final = 8 + 4 + 4 + 8
_TYPE_STRING: Final = 8
_TYPE_ARRAY: Final = 9
_SCALARS: Final[Mapping[int, struct.Struct]] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_LAYER: Final = re.compile(r"blk\.(\d{1,6})\.")
_FETCH_AGAIN: Final = "Download or copy the file again."


class GgufArray(BaseModel):
    """A summary that stands for an array too long to keep."""

    model_config = ConfigDict(frozen=True)

    type: str
    """The element type: `string`, `number`."""
    length: int
    """The number of elements."""


GgufScalar: TypeAlias = bool | int | float | str
GgufValue: TypeAlias = GgufScalar | tuple[GgufScalar, ...] | GgufArray


class GgufPart:
    """One GGUF file: its keys and tensors, checked against its length."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.n_bytes = len(data)
        self.metadata: dict[str, GgufValue] = {}
        self.n_tensors = 0
        self.n_params = 0
        self.bytes_by_type: Counter[str] = Counter()
        self.bytes_by_place: Counter[int | str] = Counter()
        """Bytes of weights by number of their layer, or by name of those that no layer has."""
        cursor = _Cursor(path, data)
        self.version = _read_version(cursor)
        n_tensors, n_keys = cursor.u64(), cursor.u64()
        cursor.check_count(n_keys, _MIN_BYTES_PER_KEY, "metadata keys")
        for _ in range(n_keys):
            self._read_key(cursor)
        self._read_tensors(cursor, n_tensors)

    def _read_key(self, cursor: "_Cursor") -> None:
        key = cursor.string("a metadata key")
        if not key or key in self.metadata:
            cursor.damaged(f"the metadata key {key!r} is empty or appears twice")
        self.metadata[key] = cursor.value(key)

    def _read_tensors(self, cursor: "_Cursor", n_tensors: int) -> None:
        cursor.check_count(n_tensors, _MIN_BYTES_PER_TENSOR, "tensors")
        alignment = self.metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            cursor.damaged(f"general.alignment is {alignment!r}, not a power of two")
        names: set[str] = set()
        data_end = last_byte = 0
        for _ in range(n_tensors):
            name = cursor.string("a tensor name")
            if name in names or len(name.encode()) > _MAX_TENSOR_NAME:
                cursor.damaged(f"the tensor name {name[:80]!r} is too long or appears twice")
            names.add(name)
            n_elements, kind = _read_shape(cursor, name)
            offset = cursor.u64()
            if offset != data_end:
                cursor.damaged(f"tensor {name!r} starts at {offset:,}, not at {data_end:,}")
            n_bytes = n_elements // kind.block * kind.bytes
            last_byte = offset + n_bytes
            data_end = _align(last_byte, alignment)
            self.bytes_by_type[kind.name] += n_bytes
            layer = _LAYER.match(name)
            self.bytes_by_place[int(layer[1]) if layer else name] += n_bytes
            self.n_params += n_elements
        self.n_tensors = n_tensors
        need = _align(cursor.position, alignment) + last_byte if n_tensors else cursor.position
        if self.n_bytes < need:
            raise ModelFileError(
                f"{self.path} is truncated: it has {self.n_bytes:,} bytes but should have {need:,}. "
                f"{_FETCH_AGAIN}"
            )

    def integer(self, key: str) -> int | None:
        """Give a whole number, the largest one of a per-layer array, or None."""
        value = self.metadata.get(key)
        if isinstance(value, tuple):
            numbers = [v for v in value if isinstance(v, int)]
            return max(numbers, default=None)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def text(self, key: str) -> str | None:
        """Give a non-empty string, or None."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) and value else None


class _Cursor:
    """A position in a file; every read is checked against the end of the file."""

    _u32 = struct.Struct("<I")
    _u64 = struct.Struct("<Q")

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.position = 0
        self.end = len(data)
        self._data = data

    def damaged(self, what: str) -> NoReturn:
        raise ModelFileError(f"{self.path} is damaged: {what}. {_FETCH_AGAIN}")

    def ran_out(self) -> NoReturn:
        raise ModelFileError(
            f"{self.path} is truncated or damaged: its header runs past the end of the file "
            f"({self.end:,} bytes). {_FETCH_AGAIN}"
        )

    def check_count(self, count: int, bytes_each: int, what: str) -> None:
        """Refuse a count that could not fit into the rest of the file."""
        room = self.end - self.position
        if count * bytes_each > room:
            raise ModelFileError(
                f"{self.path} is truncated or damaged: it announces {count:,} {what} but only "
                f"{room:,} bytes follow. {_FETCH_AGAIN}"
            )

    def take(self, n: int) -> bytes:
        end = self.position + n
        if end > self.end:
            self.ran_out()
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def scalar(self, layout: struct.Struct) -> bool | int | float:
        if self.position + layout.size > self.end:
            self.ran_out()
        (value,) = layout.unpack_from(self._data, self.position)
        self.position += layout.size
        assert isinstance(value, bool | int | float)
        return value

    def u32(self) -> int:
        return int(self.scalar(self._u32))

    def u64(self) -> int:
        return int(self.scalar(self._u64))

    def string(self, what: str) -> str:
        length = self.u64()
        if length > self.end - self.position:
            self.ran_out()
        if length > _MAX_SCALAR_STRING:
            self.damaged(f"{what} claims to be {length:,} bytes long")
        return self.take(length).decode("utf-8", errors="replace")

    def value(self, key: str) -> GgufValue:
        kind = self.u32()
        if kind == _TYPE_STRING:
            return self.string(f"the value of {key!r}")
        if kind == _TYPE_ARRAY:
            return self._array(key)
        if kind not in _SCALARS:
            self.damaged(f"the key {key!r} has the unknown type {kind}")
        return self.scalar(_SCALARS[kind])

    def _array(self, key: str) -> tuple[GgufScalar, ...] | GgufArray:
        kind, count = self.u32(), self.u64()
        if kind == _TYPE_STRING:
            self.check_count(count, self._u64.size, f"strings in {key!r}")
            if count <= _MAX_KEPT_STRINGS:
                return tuple(self.string(f"a string of {key!r}") for _ in range(count))
            self._skip_strings(count)
            return GgufArray(type="string", length=count)
        if kind not in _SCALARS:
            self.damaged(f"the array {key!r} has the unknown type {kind}")
        layout = _SCALARS[kind]
        self.check_count(count, layout.size, f"numbers in {key!r}")
        if count <= _MAX_KEPT_NUMBERS:
            return tuple(self.scalar(layout) for _ in range(count))
        self.position += count * layout.size
        return GgufArray(type="number", length=count)

    def _skip_strings(self, count: int) -> None:
        """Walk over strings without building them: 150,000 tokens take some 20 ms."""
        position, data, read_length = self.position, self._data, self._u64.unpack_from
        try:
            for _ in range(count):
                position += 8 + read_length(data, position)[0]
        except (struct.error, OverflowError):
            self.ran_out()
        if position > self.end:
            self.ran_out()
        self.position = position


def read_part(path: Path) -> GgufPart:
    """Read and check one file; raises a ModelFileError that names the fix."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise ModelFileError(
            f"No such file: {path}. Check the path, or use a model from `et-agent models list`."
        ) from None
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path} cannot be opened: {error}. Check the path.") from None
    if stat.S_ISDIR(status.st_mode):
        raise ModelFileError(f"{path} is a directory. {_hint_for_directory(path)}")
    if not stat.S_ISREG(status.st_mode):
        raise ModelFileError(f"{path} is not a regular file. Give the path of a GGUF file.")
    if status.st_size == 0:
        raise ModelFileError(f"{path} is empty. {_FETCH_AGAIN}")
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return GgufPart(path, data)
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be read: {error.strerror or error}. Check its permissions."
        ) from None


def _hint_for_directory(path: Path) -> str:
    try:
        inside = sorted(path.glob("*.gguf"))
    except OSError:
        inside = []
    return (
        f"Give the path of the file, such as {inside[0]}." if inside else "It holds no GGUF file."
    )


def _read_version(cursor: _Cursor) -> int:
    path = cursor.path
    head = cursor.take(min(4, cursor.end))
    if head != _MAGIC:
        cursor.position = 0
        head = cursor.take(min(512, cursor.end))
        raise ModelFileError(f"{path} is not a GGUF file: {describe_foreign(head)}")
    version = cursor.u32()
    if version and version & 0xFFFF == 0:
        raise ModelFileError(
            f"{path} is a big-endian GGUF file, which this machine cannot run. "
            "Get the little-endian file of the same model."
        )
    if version not in _SUPPORTED_VERSIONS:
        known = " and ".join(map(str, _SUPPORTED_VERSIONS))
        raise ModelFileError(
            f"{path} has GGUF version {version}; supported are {known}. Convert the model again "
            "with a current llama.cpp, or update et-agent if the file is newer."
        )
    return version


def _read_shape(cursor: _Cursor, name: str) -> tuple[int, TensorType]:
    """Read dimensions and type of a tensor; return its number of elements and its type."""
    n_dims = cursor.u32()
    if n_dims > _MAX_DIMS:
        cursor.damaged(f"tensor {name!r} has {n_dims} dimensions")
    shape = [cursor.u64() for _ in range(n_dims)] or [1]
    n_elements = 1
    for size in shape:
        n_elements *= size
    type_id = cursor.u32()
    kind = TENSOR_TYPES.get(type_id)
    if kind is None:
        raise ModelFileError(
            f"{cursor.path}: tensor {name!r} has the unknown type {type_id}. Download the file "
            "again if it is damaged, or get one in a common quantisation such as Q4_K_M."
        )
    if shape[0] % kind.block or max(*shape, n_elements) >= 2**63:
        cursor.damaged(f"tensor {name!r} of type {kind.name} has the impossible shape {shape}")
    return n_elements, kind


def _align(n: int, alignment: int) -> int:
    return (n + alignment - 1) // alignment * alignment
