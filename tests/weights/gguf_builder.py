"""Makes tiny GGUF files for tests: real headers, a few bytes of weights."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

Value = bool | int | float | str | Sequence[str] | Sequence[int]
F32 = 0


def string_bytes(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value_bytes(value: Value) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + string_bytes(value)
    if value and isinstance(value[0], str):
        items = b"".join(string_bytes(str(v)) for v in value)
        return struct.pack("<IIQ", 9, 8, len(value)) + items
    numbers = [int(v) for v in value]
    return struct.pack(f"<IIQ{len(numbers)}i", 9, 5, len(numbers), *numbers)


DEFAULT_METADATA: Mapping[str, Value] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.file_type": 15,
    "llama.block_count": 2,
    "llama.embedding_length": 8,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.context_length": 64,
    "tokenizer.ggml.tokens": [f"t{i}" for i in range(40)],
    "tokenizer.chat_template": "{{ messages }}",
}
DEFAULT_TENSORS: Mapping[str, tuple[int, ...]] = {"token_embd.weight": (8, 40), "norm.weight": (8,)}


def gguf_bytes(
    metadata: Mapping[str, Value] | None = None,
    tensors: Mapping[str, tuple[int, ...]] = DEFAULT_TENSORS,
    *,
    version: int = 3,
    tensor_type: int = F32,
    first_offset: int = 0,
    alignment: int = 32,
) -> bytes:
    """Build a file with `metadata` over the defaults and tensors of zeros."""
    keys = {**DEFAULT_METADATA, **(metadata or {})}
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys))
    head += b"".join(string_bytes(k) + value_bytes(v) for k, v in keys.items())
    offset = first_offset
    sizes = []
    for name, shape in tensors.items():
        n = 4
        for size in shape:
            n *= size
        head += string_bytes(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", tensor_type, offset)
        sizes.append(n)
        offset += -(-n // alignment) * alignment
    head += b"\0" * (-len(head) % alignment)
    body = b"".join(b"\0" * (-(-n // alignment) * alignment) for n in sizes[:-1])
    return head + body + b"\0" * (sizes[-1] if sizes else 0)


def write_gguf(
    path: Path,
    metadata: Mapping[str, Value] | None = None,
    tensors: Mapping[str, tuple[int, ...]] = DEFAULT_TENSORS,
) -> Path:
    path.write_bytes(gguf_bytes(metadata, tensors))
    return path
