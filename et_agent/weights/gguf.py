"""Reads the header of a GGUF file before llama.cpp sees it.

llama.cpp maps a model file into memory and trusts it: a truncated or damaged file can end the
process. `read_gguf` checks everything that the loader relies on (counts, lengths, tensor shapes,
offsets, the length of the file) and raises a `ModelFileError` that names the fix.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import os
import re
from collections import Counter
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from et_agent.errors import ModelFileError
from et_agent.weights.gguf_reader import GgufArray, GgufPart, GgufValue, read_part
from et_agent.weights.gguf_tables import (
    COMPANION_ARCHITECTURES,
    DIFFUSION_ARCHITECTURES,
    EMBEDDING_ARCHITECTURES,
    ENCODER_DECODER_ARCHITECTURES,
    FILE_TYPES,
    HYBRID_ARCHITECTURES,
    RECURRENT_ARCHITECTURES,
)

__all__ = ["GgufArray", "GgufInfo", "GgufValue", "read_gguf"]

_SPLIT_NAME: Final = re.compile(r"^(?P<stem>.*)-(?P<no>\d{5})-of-(?P<count>\d{5})\.gguf$")


class GgufInfo(BaseModel):
    """What the header of a GGUF file says about the model."""

    model_config = ConfigDict(frozen=True)

    path: Path
    """The file; the first part when the model is split."""
    version: int
    """The version of the GGUF format, 2 or 3."""
    architecture: str
    """llama.cpp's name of the architecture: `qwen2`, `llama`, …"""
    name: str | None
    """The model's own name, if the file carries one."""
    size_label: str | None
    """The publisher's size label: `0.5B`, …"""
    quantisation: str
    """`Q4_K_M`, `F16`, …: the declared file type, or else the type of most bytes."""
    n_params: int
    """Number of weights, all parts together."""
    n_tensors: int
    """Number of tensors, all parts together."""
    n_bytes: int
    """Size on disk in bytes, all parts together."""
    n_layers: int | None
    n_embd: int | None
    """Width of the residual stream."""
    n_head: int | None
    """Query heads of a layer, the largest number where layers differ."""
    n_head_kv: int | None
    """Key and value heads of a layer, the largest number where layers differ."""
    n_vocab: int | None
    """Number of tokens in the vocabulary."""
    context_length: int | None
    """Tokens that the model was trained for."""
    sliding_window: int | None
    """Width in tokens of sliding-window attention; None without it."""
    chat_template: str | None
    """The Jinja template that the model brings, or None."""
    is_embedding_only: bool
    """The model embeds or ranks texts and is not made to generate."""
    is_recurrent: bool
    """All layers keep a recurrent state instead of a KV cache (Mamba, RWKV)."""
    is_hybrid: bool
    """Some layers keep a recurrent state (LFM2, Jamba, Qwen3-Next, …)."""
    is_diffusion: bool
    """The model denoises whole texts and does not decode from left to right."""
    is_encoder_decoder: bool
    """The model needs an encoder pass before it decodes (T5)."""
    is_companion: bool
    """The file serves another model (image projector, draft, voice) and cannot answer by itself."""
    parts: tuple[Path, ...]
    """All files of the model, in order; one when it is not split."""
    metadata: dict[str, GgufValue]
    """Every key of the (first) file; long arrays are summarised by `GgufArray`."""

    def why_unusable(self) -> str | None:
        """Why the file cannot answer questions at all; None when it can."""
        kind = self.metadata.get("general.type")
        reasons = (
            (kind == "adapter", "a LoRA adapter, which changes a model and is none by itself"),
            (kind == "imatrix", "an importance matrix, which is no model"),
            (kind == "mmproj", "a companion of a model (projector, draft, voice), none by itself"),
            (self.n_tensors == 0, "a vocabulary without weights"),
            (self.is_companion, "a companion of a model (projector, draft, voice), none by itself"),
            (self.is_embedding_only, "an embedding model, which generates no text"),
            (self.is_recurrent, "a recurrent model, whose state cannot be forked"),
            (self.is_hybrid, "a hybrid model, whose recurrent state cannot be forked"),
            (self.is_diffusion, "a diffusion model, which has no next token"),
            (self.is_encoder_decoder, "an encoder-decoder model, which is not supported"),
        )
        return next((reason for applies, reason in reasons if applies), None)


def read_gguf(path: str | os.PathLike[str]) -> GgufInfo:
    """Read and check the header of a GGUF file and of all its parts.

    Args:
        path: The file. Of a split model, the first part.

    Raises:
        ModelFileError: no such file, not a regular file, not readable, empty, not GGUF, big-endian,
            of an unsupported version, truncated, damaged, or a split model with parts missing.
    """
    first = read_part(Path(path))
    parts = [first, *(read_part(other) for other in _other_parts(first))]
    return _summarise(first, parts)


def _other_parts(first: GgufPart) -> list[Path]:
    """List the further files of a split model, or complain about what is missing."""
    count, number = first.integer("split.count") or 1, first.integer("split.no") or 0
    if count <= 1:
        return []
    match = _SPLIT_NAME.match(first.path.name)
    if match is None or int(match["count"]) != count:
        raise ModelFileError(
            f"{first.path} is part {number + 1} of {count} of a split model, but its name does not "
            f"say so. Name the parts NAME-00001-of-{count:05d}.gguf and so on, or join them with "
            "`llama-gguf-split --merge`."
        )
    paths = [
        first.path.with_name(f"{match['stem']}-{i + 1:05d}-of-{count:05d}.gguf")
        for i in range(count)
    ]
    if number != 0:
        raise ModelFileError(
            f"{first.path} is part {number + 1} of a split model. Pass its first part: {paths[0]}."
        )
    missing = [p.name for p in paths if not p.is_file()]
    if missing:
        shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        raise ModelFileError(
            f"{first.path} is the first of {count} parts, and {len(missing)} are missing: {shown}. "
            f"Put them into {first.path.parent or '.'}."
        )
    return paths[1:]


def _summarise(first: GgufPart, parts: list[GgufPart]) -> GgufInfo:
    arch = first.text("general.architecture")
    if arch is None:
        raise ModelFileError(
            f"{first.path} does not name its architecture. Get a file that was made by llama.cpp's "
            "converter."
        )
    tokens = first.metadata.get("tokenizer.ggml.tokens")
    n_vocab = tokens.length if isinstance(tokens, GgufArray) else None
    if n_vocab is None:
        n_vocab = len(tokens) if isinstance(tokens, tuple) else first.integer(f"{arch}.vocab_size")
    n_head = first.integer(f"{arch}.attention.head_count")
    n_head_kv = first.integer(f"{arch}.attention.head_count_kv")
    return GgufInfo(
        path=first.path,
        version=first.version,
        architecture=arch,
        name=first.text("general.name"),
        size_label=first.text("general.size_label"),
        quantisation=_quantisation(first, parts),
        n_params=sum(p.n_params for p in parts),
        n_tensors=sum(p.n_tensors for p in parts),
        n_bytes=sum(p.n_bytes for p in parts),
        n_layers=first.integer(f"{arch}.block_count"),
        n_embd=first.integer(f"{arch}.embedding_length"),
        n_head=n_head,
        n_head_kv=n_head if n_head_kv is None else n_head_kv,
        n_vocab=n_vocab,
        context_length=first.integer(f"{arch}.context_length"),
        sliding_window=first.integer(f"{arch}.attention.sliding_window") or None,
        chat_template=first.text("tokenizer.chat_template"),
        is_embedding_only=_is_embedding_only(first, arch),
        is_recurrent=arch in RECURRENT_ARCHITECTURES,
        is_hybrid=arch in HYBRID_ARCHITECTURES,
        is_diffusion=arch in DIFFUSION_ARCHITECTURES,
        is_encoder_decoder=arch in ENCODER_DECODER_ARCHITECTURES,
        is_companion=arch in COMPANION_ARCHITECTURES,
        parts=tuple(p.path for p in parts),
        metadata=first.metadata,
    )


def _is_embedding_only(part: GgufPart, arch: str) -> bool:
    if arch in EMBEDDING_ARCHITECTURES:
        return True
    if arch in DIFFUSION_ARCHITECTURES:
        return False
    # Converters write a pooling type only for embedding models and rankers; 0 means none.
    pools = (part.integer(f"{arch}.pooling_type") or 0) > 0
    return pools or part.metadata.get(f"{arch}.attention.causal") is False


def _quantisation(first: GgufPart, parts: list[GgufPart]) -> str:
    declared = first.integer("general.file_type")
    if declared is not None and declared in FILE_TYPES:
        return FILE_TYPES[declared]
    total: Counter[str] = sum((p.bytes_by_type for p in parts), Counter())
    return total.most_common(1)[0][0] if total else "unknown"
