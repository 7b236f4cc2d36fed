"""What llama.cpp knows by number or by name: tensor types, file types, architectures.

The facts are those of the llama.cpp in llama-cpp-python 0.3.36 (ggml.h, llama-arch.cpp).
"""

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = [
    "COMPANION_ARCHITECTURES",
    "DIFFUSION_ARCHITECTURES",
    "EMBEDDING_ARCHITECTURES",
    "ENCODER_DECODER_ARCHITECTURES",
    "FILE_TYPES",
    "HYBRID_ARCHITECTURES",
    "RECURRENT_ARCHITECTURES",
    "TENSOR_TYPES",
    "TensorType",
    "describe_foreign",
]


class TensorType(NamedTuple):
    """How a tensor type is stored: `bytes` for every `block` elements."""

    name: str
    block: int
    bytes: int


TENSOR_TYPES: Final[Mapping[int, TensorType]] = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    9: TensorType("Q8_1", 32, 36),
    10: TensorType("Q2_K", 256, 84),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    15: TensorType("Q8_K", 256, 292),
    16: TensorType("IQ2_XXS", 256, 66),
    17: TensorType("IQ2_XS", 256, 74),
    18: TensorType("IQ3_XXS", 256, 98),
    19: TensorType("IQ1_S", 256, 50),
    20: TensorType("IQ4_NL", 32, 18),
    21: TensorType("IQ3_S", 256, 110),
    22: TensorType("IQ2_S", 256, 82),
    23: TensorType("IQ4_XS", 256, 136),
    24: TensorType("I8", 1, 1),
    25: TensorType("I16", 1, 2),
    26: TensorType("I32", 1, 4),
    27: TensorType("I64", 1, 8),
    28: TensorType("F64", 1, 8),
    29: TensorType("IQ1_M", 256, 56),
    30: TensorType("BF16", 1, 2),
    34: TensorType("TQ1_0", 256, 54),
    35: TensorType("TQ2_0", 256, 66),
    39: TensorType("MXFP4", 32, 17),
    40: TensorType("NVFP4", 64, 36),
    41: TensorType("Q1_0", 128, 18),
    42: TensorType("Q2_0", 64, 18),
}

FILE_TYPES: Final[Mapping[int, str]] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4",
    39: "NVFP4",
    40: "Q1_0",
    41: "Q2_0",
}

RECURRENT_ARCHITECTURES: Final = frozenset(
    {"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"}
)

HYBRID_ARCHITECTURES: Final = frozenset(
    {
        "bailingmoe3",
        "deepseek4",
        "falcon-h1",
        "glm5-next",
        "granitehybrid",
        "jamba",
        "kimi-k3",
        "kimi-linear",
        "lfm2",
        "lfm2moe",
        "minimax-01",
        "nemotron_h",
        "nemotron_h_moe",
        "plamo2",
        "qwen35",
        "qwen35moe",
        "qwen3next",
        "qwen4exp",
    }
)

DIFFUSION_ARCHITECTURES: Final = frozenset({"dream", "llada", "llada-moe", "rnd1"})

ENCODER_DECODER_ARCHITECTURES: Final = frozenset({"t5"})

EMBEDDING_ARCHITECTURES: Final = frozenset(
    {
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "llama-embed",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "t5encoder",
    }
)

COMPANION_ARCHITECTURES: Final = frozenset(
    {
        "clip",
        "controlvector",
        "dflash",
        "eagle3",
        "gemma4-assistant",
        "pockettts",
        "qwen3tts",
        "wavtokenizer-dec",
    }
)
"""Projectors, control vectors, drafts and voices: they serve another model and answer no question."""

_FOREIGN: Final[tuple[tuple[tuple[bytes, ...], str], ...]] = (
    (
        (b"version https://git-lfs",),
        "it is a Git LFS pointer. Run `git lfs pull` there, or download the file itself.",
    ),
    (
        (b"lmgg", b"fmgg", b"tjgg", b"algg"),
        "it is in the old GGML format. Get the model in GGUF format.",
    ),
    (
        (b"PK\x03\x04",),
        "it looks like a zip archive (a wheel or a PyTorch checkpoint). "
        "Unpack it if it holds a GGUF file, or get the model in GGUF format.",
    ),
    ((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"), "it is compressed. Unpack it first."),
    ((b"\x80\x02", b"\x80\x04", b"\x80\x05"), "it looks like a Python pickle. Get a GGUF file."),
    ((b"\x89HDF",), "it is an HDF5 file. Get the model in GGUF format."),
)


def describe_foreign(head: bytes) -> str:
    """Say what a file that is not GGUF looks like, and what would help, from its first bytes."""
    for starts, description in _FOREIGN:
        if head.startswith(starts):
            return description
    if len(head) > 9 and head[8:9] == b"{" and struct.unpack_from("<Q", head)[0] < 2**32:
        return "it looks like a safetensors file. Get the model in GGUF format, or convert it."
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "it is a web page, saved in place of the file. Use the download link of the file."
    if text.startswith((b"{", b"[")):
        return "it looks like JSON. Give the path of the model file."
    if not head.strip(b"\0"):
        return "it begins with zeros, as an unfinished download does. Download it again."
    return f"it begins with {head[:4]!r} instead of b'GGUF'. Check the path."
