"""Tiny models of many architectures, with random weights around a small or a real vocabulary.

llama.cpp runs them like any other model: cache, windows, forks and attention are those of the
architecture. What they say means nothing. Shapes and keys are those that llama.cpp's loaders ask for
(src/models/ in its sources).
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.weights.gguf_builder import Value, string_bytes, value_bytes

__all__ = ["ARCHITECTURES", "TOOL", "tiny_model", "write_model"]

_WIDTH, _HEADS, _GROUPS, _HEAD, _HIDDEN = 128, 4, 2, 32, 128
_EXPERTS = 4
_CHAT: Final = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CONTROLS: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_ALIGNMENT: Final = 32
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9}},
            "required": ["a"],
            "additionalProperties": False,
        },
    },
}
"""A tool so narrow that a model of random weights calls it in a few tokens."""

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


def _bytes_as_characters() -> list[str]:
    """The characters that byte-level vocabularies write for bytes 0 to 255 (GPT-2's encoder)."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in shown else chr(next(hidden)) for byte in range(256)]


def _vocabulary(names: Sequence[str]) -> dict[str, Value]:
    texts = [*_bytes_as_characters(), "Ġt"]
    controls = len(texts)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [*texts, *names],
        "tokenizer.ggml.token_type": [1] * controls + [3] * len(names),
        "tokenizer.ggml.merges": ["Ġ t"],
        "tokenizer.ggml.bos_token_id": controls,
        "tokenizer.ggml.eos_token_id": controls + 2,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": _CHAT,
    }


def _attention(*, head: int = _HEAD) -> Shapes:
    return {
        "attn_norm.weight": (_WIDTH,),
        "attn_q.weight": (_WIDTH, _HEADS * head),
        "attn_k.weight": (_WIDTH, _GROUPS * head),
        "attn_v.weight": (_WIDTH, _GROUPS * head),
        "attn_output.weight": (_HEADS * head, _WIDTH),
    }


_NORMED: Final[Shapes] = {"attn_q_norm.weight": (_HEAD,), "attn_k_norm.weight": (_HEAD,)}
_FEED_FORWARD: Final[Shapes] = {
    "ffn_norm.weight": (_WIDTH,),
    "ffn_gate.weight": (_WIDTH, _HIDDEN),
    "ffn_up.weight": (_WIDTH, _HIDDEN),
    "ffn_down.weight": (_HIDDEN, _WIDTH),
}
_POST_NORMS: Final[Shapes] = {
    "post_attention_norm.weight": (_WIDTH,),
    "post_ffw_norm.weight": (_WIDTH,),
}
_EXPERT_TENSORS: Final[Shapes] = {
    "ffn_gate_inp.weight": (_WIDTH, _EXPERTS),
    "ffn_gate_exps.weight": (_WIDTH, _HIDDEN, _EXPERTS),
    "ffn_up_exps.weight": (_WIDTH, _HIDDEN, _EXPERTS),
    "ffn_down_exps.weight": (_HIDDEN, _WIDTH, _EXPERTS),
}
_SHARED_EXPERT: Final[Shapes] = {
    "ffn_gate_shexp.weight": (_WIDTH, _HIDDEN),
    "ffn_up_shexp.weight": (_WIDTH, _HIDDEN),
    "ffn_down_shexp.weight": (_HIDDEN, _WIDTH),
}
_MIXTURE: Final[dict[str, Value]] = {
    "expert_count": _EXPERTS,
    # All of them: where two random experts are about equal, rounding would choose between them.
    "expert_used_count": _EXPERTS,
    "expert_feed_forward_length": _HIDDEN,
}


def _llama(_layer: int) -> Shapes:
    return {**_attention(), **_FEED_FORWARD}


def _qwen3(_layer: int) -> Shapes:
    return {**_attention(), **_NORMED, **_FEED_FORWARD}


def _qwen3moe(_layer: int) -> Shapes:
    return {**_attention(), **_NORMED, "ffn_norm.weight": (_WIDTH,), **_EXPERT_TENSORS}


def _gemma2(_layer: int) -> Shapes:
    return {**_attention(), **_POST_NORMS, **_FEED_FORWARD}


def _gemma3(_layer: int) -> Shapes:
    return {**_gemma2(_layer), **_NORMED}


def _cohere2(_layer: int) -> Shapes:
    return {
        name: shape
        for name, shape in {**_attention(), **_FEED_FORWARD}.items()
        if name != "ffn_norm.weight"
    }


def _exaone4(_layer: int) -> Shapes:
    shapes = {**_attention(), **_NORMED, **_POST_NORMS, **_FEED_FORWARD}
    return {k: v for k, v in shapes.items() if k not in ("attn_norm.weight", "ffn_norm.weight")}


def _phi3(_layer: int) -> Shapes:
    return {
        "attn_norm.weight": (_WIDTH,),
        "attn_qkv.weight": (_WIDTH, (_HEADS + 2 * _GROUPS) * _HEAD),
        "attn_output.weight": (_WIDTH, _WIDTH),
        "ffn_norm.weight": (_WIDTH,),
        "ffn_up.weight": (_WIDTH, 2 * _HIDDEN),
        "ffn_down.weight": (_HIDDEN, _WIDTH),
    }


def _gpt_oss(_layer: int) -> Shapes:
    return {
        **_attention(),
        "attn_q.bias": (_HEADS * _HEAD,),
        "attn_k.bias": (_GROUPS * _HEAD,),
        "attn_v.bias": (_GROUPS * _HEAD,),
        "attn_output.bias": (_WIDTH,),
        "attn_sinks.weight": (_HEADS,),
        "post_attention_norm.weight": (_WIDTH,),
        **_EXPERT_TENSORS,
        "ffn_gate_inp.bias": (_EXPERTS,),
        "ffn_gate_exps.bias": (_HIDDEN, _EXPERTS),
        "ffn_up_exps.bias": (_HIDDEN, _EXPERTS),
        "ffn_down_exps.bias": (_WIDTH, _EXPERTS),
    }


def _llama4(layer: int) -> Shapes:
    dense = {**_attention(), **_FEED_FORWARD}
    if layer % 2 == 0:
        return dense
    return {**_attention(), "ffn_norm.weight": (_WIDTH,), **_EXPERT_TENSORS, **_SHARED_EXPERT}


_LATENT, _ROTATED = 64, 16
_MLA_KEY, _MLA_VALUE = 48, 32


def _deepseek2(layer: int) -> Shapes:
    own = {
        "attn_norm.weight": (_WIDTH,),
        "attn_q_a.weight": (_WIDTH, _LATENT),
        "attn_q_a_norm.weight": (_LATENT,),
        "attn_q_b.weight": (_LATENT, _HEADS * _MLA_KEY),
        "attn_kv_a_mqa.weight": (_WIDTH, _LATENT + _ROTATED),
        "attn_kv_a_norm.weight": (_LATENT,),
        "attn_k_b.weight": (_MLA_KEY - _ROTATED, _LATENT, _HEADS),
        "attn_v_b.weight": (_LATENT, _MLA_VALUE, _HEADS),
        "attn_output.weight": (_HEADS * _MLA_VALUE, _WIDTH),
    }
    if layer == 0:
        return {**own, **_FEED_FORWARD}
    return {**own, "ffn_norm.weight": (_WIDTH,), **_EXPERT_TENSORS, **_SHARED_EXPERT}


_STATE, _INNER, _RANK, _KERNEL = 16, 2 * _WIDTH, 8, 4


def _mamba(_layer: int) -> Shapes:
    return {
        "attn_norm.weight": (_WIDTH,),
        "ssm_in.weight": (_WIDTH, 2 * _INNER),
        "ssm_conv1d.weight": (_KERNEL, _INNER),
        "ssm_conv1d.bias": (_INNER,),
        "ssm_x.weight": (_INNER, _RANK + 2 * _STATE),
        "ssm_dt.weight": (_RANK, _INNER),
        "ssm_dt.bias": (_INNER,),
        "ssm_a": (_STATE, _INNER),
        "ssm_d": (_INNER,),
        "ssm_out.weight": (_INNER, _WIDTH),
    }


_Layer = Callable[[int], Shapes]
ARCHITECTURES: Final[Mapping[str, tuple[_Layer, int, dict[str, Value]]]] = {
    "llama": (_llama, 4, {}),
    "qwen3": (_qwen3, 4, {}),
    "qwen3moe": (_qwen3moe, 4, _MIXTURE),
    "gemma2": (_gemma2, 4, {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}),
    "gemma3": (_gemma3, 6, {}),
    "cohere2": (_cohere2, 4, {"logit_scale": 1.0, "attention.layer_norm_epsilon": 1e-5}),
    "phi3": (_phi3, 4, {}),
    "gpt-oss": (_gpt_oss, 4, _MIXTURE),
    "llama4": (_llama4, 4, {**_MIXTURE, "interleave_moe_layer_step": 2}),
    # llama.cpp gives exaone4 its window by the number of layers, that of the 32B model.
    "exaone4": (_exaone4, 64, {}),
    "deepseek2": (
        _deepseek2,
        3,
        {
            **_MIXTURE,
            "leading_dense_block_count": 1,
            "expert_shared_count": 1,
            "attention.q_lora_rank": _LATENT,
            "attention.kv_lora_rank": _LATENT,
            "attention.head_count_kv": 1,
            "attention.key_length": _LATENT + _ROTATED,
            "attention.value_length": _LATENT,
            "attention.key_length_mla": _MLA_KEY,
            "attention.value_length_mla": _MLA_VALUE,
            "rope.dimension_count": _ROTATED,
        },
    ),
    "mamba": (
        _mamba,
        2,
        {
            "ssm.conv_kernel": _KERNEL,
            "ssm.inner_size": _INNER,
            "ssm.state_size": _STATE,
            "ssm.time_step_rank": _RANK,
        },
    ),
}
"""Shapes of a layer's tensors, number of layers, and keys of its own, by llama.cpp's name."""


def tiny_model(
    folder: Path,
    architecture: str,
    *,
    window: int | None = None,
    context: int = 32768,
    vocabulary: Path | None = None,
    parts: int = 1,
    controls: Iterable[str] = (),
    tool_template: str = "",
    turned: int = 0,
    **settings: Value,
) -> Path:
    """Write a tiny model, the same each time.

    Args:
        folder: Where to.
        architecture: One of `ARCHITECTURES`.
        window: Sliding window that the file names; None leaves the key out.
        context: Positions that the file says it was trained for.
        vocabulary: A `ggml-vocab-*.gguf` of llama.cpp's sources, whose tokenizer it gets; None for 256
            bytes and some control tokens.
        parts: Files that it is split into; the first one is given back.
        controls: Texts of more control tokens, without a vocabulary.
        tool_template: A chat template of its own for tools.
        turned: Positions up to which a cache turns keys by other factors than a longer one does, as in
            Phi-3; 0 for the same in all.
        settings: More keys, those of the architecture with `__` for dots.
    """
    layer_shapes, layers, own = ARCHITECTURES[architecture]
    keys: dict[str, Value] = {
        "general.architecture": architecture,
        "general.name": "tiny",
        f"{architecture}.context_length": context,
        f"{architecture}.embedding_length": _WIDTH,
        f"{architecture}.block_count": layers,
        f"{architecture}.feed_forward_length": _HIDDEN,
        f"{architecture}.attention.head_count": _HEADS,
        f"{architecture}.attention.head_count_kv": _GROUPS,
        f"{architecture}.attention.key_length": _HEAD,
        f"{architecture}.attention.value_length": _HEAD,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-6,
        f"{architecture}.rope.freq_base": 10000.0,
        f"{architecture}.rope.dimension_count": _HEAD,
        **{f"{architecture}.{key}": value for key, value in own.items()},
        **{f"{architecture}.{key.replace('__', '.')}": value for key, value in settings.items()},
    }
    if turned:
        keys[f"{architecture}.rope.scaling.original_context_length"] = turned
    if tool_template:
        keys["tokenizer.chat_template.tool_use"] = tool_template
    if window is not None:
        keys[f"{architecture}.attention.sliding_window"] = window
    if vocabulary is None:
        names = [*dict.fromkeys((*_CONTROLS, *controls))]
        raw: list[bytes] = [
            string_bytes(key) + value_bytes(value) for key, value in _vocabulary(names).items()
        ]
        tokens = len(_bytes_as_characters()) + 1 + len(names)
    else:
        raw, tokens = _tokenizer_keys(vocabulary)
    shapes: dict[str, Shape] = {
        "token_embd.weight": (_WIDTH, tokens),
        "output_norm.weight": (_WIDTH,),
    }
    if turned:
        shapes |= {f"rope_factors_{which}.weight": (_HEAD // 2,) for which in ("long", "short")}
    if architecture == "gpt-oss":
        shapes["output.weight"] = (_WIDTH, tokens)
    for layer in range(layers):
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in layer_shapes(layer).items()}
    name = f"tiny-{architecture}{'' if window is None else f'-{window}'}"
    weights = {tensor: _weights(tensor, shape) for tensor, shape in shapes.items()}
    if parts == 1:
        path = folder / f"{name}.gguf"
        write_model(path, keys, weights, raw)
        return path
    files = [folder / f"{name}-{part + 1:05d}-of-{parts:05d}.gguf" for part in range(parts)]
    for part, file in enumerate(files):
        held = {tensor: weights[tensor] for tensor in list(weights)[part::parts]}
        split = _split_keys(part, parts, len(weights))
        write_model(file, {} if part else keys, held, split if part else raw + split)
    return files[0]


def _split_keys(part: int, parts: int, tensors: int) -> list[bytes]:
    """The keys of a part, in the types that llama.cpp reads."""
    return [
        string_bytes("split.no") + struct.pack("<IH", 2, part),
        string_bytes("split.count") + struct.pack("<IH", 2, parts),
        string_bytes("split.tensors.count") + struct.pack("<Ii", 5, tensors),
    ]


def write_model(
    path: Path,
    keys: Mapping[str, Value],
    tensors: Mapping[str, NDArray[np.float32]],
    raw_keys: list[bytes] | None = None,
) -> None:
    """Write a GGUF file of float32 tensors.

    Args:
        path: Where to.
        keys: Its keys.
        tensors: Its tensors by name, slowest axis first.
        raw_keys: More keys, as bytes of the format.
    """
    every = [string_bytes(key) + value_bytes(value) for key, value in keys.items()]
    every += raw_keys or []
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(every)) + b"".join(every)
    offset = 0
    for name, values in tensors.items():
        shape = values.shape[::-1]
        head += string_bytes(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", 0, offset)
        offset += -(-values.nbytes // _ALIGNMENT) * _ALIGNMENT
    with path.open("wb") as file:
        file.write(head + b"\0" * (-len(head) % _ALIGNMENT))
        for values in tensors.values():
            file.write(values.tobytes() + b"\0" * (-values.nbytes % _ALIGNMENT))


def _weights(name: str, shape: Shape) -> NDArray[np.float32]:
    random = np.random.default_rng(zlib.crc32(name.encode()))
    values = random.standard_normal(shape[::-1], dtype=np.float32)
    if name.endswith("norm.weight"):
        return np.ones_like(values)
    if name.startswith("rope_factors"):
        return np.full_like(values, 1.0 if "short" in name else 8.0)
    if name.endswith("ssm_a"):
        return -np.abs(values)
    # Sharp attention, so that a key that is missing shows in the logits.
    gain = 2.0 if ".attn_q" in name or ".attn_k" in name else 1.0
    return values * np.float32(gain / np.sqrt(shape[0]) if len(shape) > 1 else 0.1)


def _tokenizer_keys(path: Path) -> tuple[list[bytes], int]:
    """The tokenizer's keys of a GGUF file, as its bytes, and its number of tokens."""
    data = memoryview(path.read_bytes())
    found, tokens = [], 0
    for key, start, end in _keys(data):
        if key.startswith("tokenizer."):
            found.append(bytes(data[start:end]))
        if key == "tokenizer.ggml.tokens":
            after = start + 8 + len(key.encode())
            tokens = struct.unpack_from("<Q", data, after + 8)[0]
    return found, tokens


def _keys(data: memoryview) -> Iterator[tuple[str, int, int]]:
    """Name, start and end of each key of a GGUF file."""
    (count,) = struct.unpack_from("<Q", data, 16)
    at = 24
    for _ in range(count):
        start, (size,) = at, struct.unpack_from("<Q", data, at)
        name = bytes(data[at + 8 : at + 8 + size]).decode()
        (kind,) = struct.unpack_from("<I", data, at + 8 + size)
        at = _after(data, at + 12 + size, kind)
        yield name, start, at


_SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def _after(data: memoryview, at: int, kind: int) -> int:
    if kind == 8:
        return int(at + 8 + struct.unpack_from("<Q", data, at)[0])
    if kind != 9:
        return at + _SIZES[kind]
    inner, count = struct.unpack_from("<IQ", data, at)
    at += 12
    if inner != 8:
        return int(at + count * _SIZES[inner])
    for _ in range(count):
        at += 8 + struct.unpack_from("<Q", data, at)[0]
    return at
