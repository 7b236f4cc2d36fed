"""Which devices llama.cpp has besides the CPU, and which layers of a model go there."""

import ctypes
import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from et_agent.engines.llama_cpp.binding import ggml_function, llama_cpp
from et_agent.errors import SettingsError

__all__ = ["SPLIT_MODES", "Device", "Placement", "devices", "driver", "layers_that_fit"]

SPLIT_MODES: Final = {"none": 0, "layer": 1, "row": 2, "tensor": 3}
"""How a model is divided among several GPUs: not at all, by layers, by rows, or by whole tensors."""

# Numbers of ggml_backend_dev_type whose devices llama.cpp gives layers to.
_KINDS: Final = {1: "GPU", 2: "integrated GPU"}
_DRIVERS: Final = ("/proc/driver/nvidia/version", "/sys/module/amdgpu/version")
_SPARE: Final = 0.1
"""Part of a device's memory that is left for llama.cpp's graphs: a round figure, not a measured one."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device besides the CPU.

    Attributes:
        name: llama.cpp's name, such as CUDA0.
        description: The maker's name of it.
        kind: "GPU", or "integrated GPU", which uses the machine's memory.
        free: Bytes of memory that nothing uses now.
        total: Bytes of memory.
    """

    name: str
    description: str
    kind: str
    free: int
    total: int


class _Properties(ctypes.Structure):
    """`ggml_backend_dev_props`, and room for what later versions add."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("free", ctypes.c_size_t),
        ("total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("id", ctypes.c_char_p),
        ("others", ctypes.c_byte * 128),
    )


def devices() -> list[Device]:
    """The GPUs that llama.cpp gives layers to, in its order; none if it was built without.

    As in llama.cpp, a device that two of its backends see counts once, and integrated GPUs count only
    where there are no others.
    """
    if not llama_cpp.llama_supports_gpu_offload():
        return []
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    try:
        count = ggml_function("ggml_backend_dev_count", size)()
        get = ggml_function("ggml_backend_dev_get", pointer, size)
        describe = ggml_function("ggml_backend_dev_get_props", None, pointer, pointer)
    except AttributeError:
        return []
    found: list[Device] = []
    ids: set[bytes] = set()
    for index in range(count):
        one = _Properties()
        describe(get(index), ctypes.byref(one))
        if one.type in _KINDS and one.id not in ids:
            name, about = (text.decode("utf-8", "replace") for text in (one.name, one.description))
            found.append(Device(name, about, _KINDS[one.type], one.free, one.total))
            if one.id is not None:
                ids.add(one.id)
    return [one for one in found if one.kind == "GPU"] or found


def driver() -> str:
    """The GPU driver's version as the system tells it; the system's own where it does not."""
    for file in map(Path, _DRIVERS):
        try:
            return file.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
        except OSError:
            continue
    return platform.release()


@dataclass(frozen=True, slots=True)
class Placement:
    """Which layers of a model go to a GPU, and to which.

    Attributes:
        gpu_layers: Number of layers, the last ones first; -1 for all.
        split_mode: One of `SPLIT_MODES`.
        main_gpu: Number of the GPU that has all of them if `split_mode` is "none".
    """

    gpu_layers: int = -1
    split_mode: str = "layer"
    main_gpu: int = 0

    def check(self, found: Sequence[Device]) -> None:
        """Refuse what llama.cpp would not do with these devices.

        Raises:
            SettingsError: A setting is out of range, or asks for a GPU that is not there.
        """
        if self.gpu_layers < -1:
            raise SettingsError(f"gpu_layers is {self.gpu_layers}: use 0 or more, or -1 for all")
        if self.split_mode not in SPLIT_MODES:
            raise SettingsError(
                f"split_mode is {self.split_mode!r}: use one of {', '.join(SPLIT_MODES)}"
            )
        if self.main_gpu < 0:
            raise SettingsError(f"main_gpu is {self.main_gpu}: use 0 or more")
        asked = self.gpu_layers > 0 or self.split_mode != "layer" or self.main_gpu > 0
        if asked and not found:
            raise SettingsError(
                "this llama.cpp has no GPU to use: leave gpu_layers, split_mode and main_gpu out, or "
                "install llama-cpp-python built for your GPU (see `et-agent doctor`)"
            )
        if found and self.main_gpu >= len(found):
            raise SettingsError(
                f"main_gpu is {self.main_gpu}, and llama.cpp has {len(found)} "
                f"({', '.join(one.name for one in found)}): use 0 to {len(found) - 1}"
            )

    def used(self, found: Sequence[Device]) -> list[Device]:
        """The devices that get layers."""
        if self.gpu_layers == 0 or not found:
            return []
        return [found[self.main_gpu]] if self.split_mode == "none" else list(found)

    def digest(self) -> str:
        """A hash of this, of the devices and of their driver; empty where there are none."""
        found = devices()
        if not found:
            return ""
        names = [(one.name, one.description, one.total) for one in found]
        text = json.dumps([asdict(self), names, driver()])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def described(self) -> str:
        """Where the layers are, such as "20 layers on CUDA0 (NVIDIA H200)"; empty for the CPU."""
        used = self.used(devices())
        if not used:
            return ""
        number = "all" if self.gpu_layers < 0 else str(self.gpu_layers)
        return f"{number} layers on {', '.join(f'{one.name} ({one.description})' for one in used)}"


def layers_that_fit(layers: Sequence[int], output: int, cache: int, free: Sequence[int]) -> int:
    """About how many layers fit into the memory of devices, as llama.cpp counts `gpu_layers`.

    It places the output first, which counts as one, and then the layers from the last one on.

    Args:
        layers: Bytes of each layer's weights, from the first one on.
        output: Bytes of the weights that no layer has.
        cache: Bytes of each layer's part of the cache.
        free: Free bytes of each device.
    """
    left = sum(free) * (1 - _SPARE) - output
    fitting = 0
    for weights in [0, *(one + cache for one in reversed(layers))]:
        left -= weights
        if left < 0:
            break
        fitting += 1
    return fitting
