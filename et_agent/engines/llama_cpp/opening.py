"""llama.cpp's model of a GGUF file: loaded, or why not, and how much of it would fit."""

import os
import re
from pathlib import Path
from typing import Any, Final

from et_agent.engines.llama_cpp.binding import llama_cpp
from et_agent.engines.llama_cpp.devices import SPLIT_MODES, Placement, devices, layers_that_fit
from et_agent.engines.llama_cpp.logs import last_words
from et_agent.errors import ModelFileError, OutOfMemoryError, UnsupportedModelError
from et_agent.kernels import attach
from et_agent.weights.gguf import read_gguf

__all__ = ["fewer_layers", "no_memory", "open_weights"]

# What ggml's backends say: CUDA and HIP, Vulkan, Metal, the CPU, and llama.cpp itself.
_NO_MEMORY: Final = re.compile(
    r"out of memory|OutOfDeviceMemory|insufficient memory|(?:failed|unable) to allocate|"
    r"allocation of size \d+ failed",
    re.IGNORECASE,
)


def open_weights(path: Path, placement: Placement, *, repack: bool) -> Any:
    """llama.cpp's model of a GGUF file.

    Args:
        path: The file.
        placement: Which layers go to a GPU.
        repack: Whether llama.cpp may repack weights for this CPU.

    Raises:
        SettingsError: The placement asks for what is not there.
        ModelFileError: llama.cpp cannot load the file.
        OutOfMemoryError: There is not enough memory for the weights.
        UnsupportedModelError: It generates no text, or its state cannot be forked.
    """
    attach()  # llama.cpp asks once who takes weights
    llama_cpp.llama_backend_init()
    placement.check(devices())
    settings = llama_cpp.llama_model_default_params()
    settings.n_gpu_layers = placement.gpu_layers
    settings.split_mode = SPLIT_MODES[placement.split_mode]
    settings.main_gpu = placement.main_gpu
    settings.use_extra_bufts = repack
    with last_words() as said:
        model = llama_cpp.llama_model_load_from_file(os.fsencode(path), settings)
    if not model and no_memory(said):
        raise OutOfMemoryError(
            f"there is not enough memory for the weights of {path.name}: free some, or use a smaller "
            f"or more strongly quantized model{fewer_layers(path, placement)}"
        )
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


def no_memory(said: list[str]) -> bool:
    """Whether llama.cpp failed for lack of memory, by what it said."""
    return any(_NO_MEMORY.search(line) for line in said)


def fewer_layers(path: Path, placement: Placement, cache: int = 0) -> str:
    """What to do with fewer layers on the GPU, to follow other advice; empty without a GPU.

    Args:
        path: The model's file.
        placement: What did not fit.
        cache: Bytes of the cache, of all layers together.
    """
    used = placement.used(devices())
    if not used:
        return ""
    header = read_gguf(path)
    layers = header.layer_bytes
    each = cache // max(1, len(layers))
    # What the model itself has taken is not used by others.
    mine = sum(layers) + header.output_bytes if cache else 0
    free = [min(one.total, one.free + mine // len(used)) for one in used]
    fitting = layers_that_fit(layers, header.output_bytes, each, free)
    where = ", ".join(one.name for one in used)
    return (
        f", or put about {fitting} of {len(layers) + 1} layers on {where} (--gpu-layers {fitting})"
    )


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
