"""GPUs, without one: what llama.cpp tells is made up, and tensors count as another device's."""

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.engines.llama_cpp import devices as devices_module
from et_agent.engines.llama_cpp import logs, model, opening, trial
from et_agent.engines.llama_cpp.binding import ggml_function, llama_cpp
from et_agent.engines.llama_cpp.devices import Device, Placement, devices, layers_that_fit
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.loading import load_model
from et_agent.errors import (
    ContextError,
    DecodeError,
    ModelFileError,
    OutOfMemoryError,
    SettingsError,
)
from tests.engines.stepping import batch, configure, in_owner, prompt_rows, release
from tests.tiny_models import tiny_model

MIB = 1 << 20
GPU = Device("CUDA0", "NVIDIA H200", "GPU", 900 * MIB, 1000 * MIB)
OTHER = Device("CUDA1", "NVIDIA L4", "GPU", 100 * MIB, 1000 * MIB)

pytestmark = pytest.mark.model


@pytest.fixture
def with_gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let llama.cpp have these GPUs, as far as et-agent asks it."""

    def have(*found: Device) -> None:
        for module in (devices_module, opening, model):
            monkeypatch.setattr(module, "devices", lambda: list(found))

    return have


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_model(tmp_path, "llama")


def test_a_build_for_the_cpu_has_no_devices() -> None:
    if llama_cpp.llama_supports_gpu_offload():
        pytest.skip("this llama.cpp has a GPU")
    assert devices() == []
    assert Placement().digest() == ""
    assert Placement().described() == ""


def test_devices_are_read_from_ggml(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU's own entry, read in the way that GPUs are."""
    monkeypatch.setattr(llama_cpp, "llama_supports_gpu_offload", lambda: True)
    monkeypatch.setattr(devices_module, "_KINDS", {0: "CPU"})
    (cpu,) = devices()
    assert (cpu.name, cpu.kind) == ("CPU", "CPU")
    assert 0 < cpu.free <= cpu.total


def test_devices_are_those_that_llama_cpp_would_take(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu, integrated = 0, 1, 2
    there: list[tuple[bytes, int, bytes | None]] = []

    def function(name: str, *_: object) -> Callable[..., Any]:
        def describe(index: int, target: Any) -> None:
            one = target._obj
            one.name, one.type, one.id = there[index]
            one.description, one.free, one.total = b"x", 1, 2

        functions: dict[str, Callable[..., Any]] = {
            "ggml_backend_dev_count": lambda: len(there),
            "ggml_backend_dev_get": lambda index: index,
            "ggml_backend_dev_get_props": describe,
        }
        return functions[name]

    monkeypatch.setattr(llama_cpp, "llama_supports_gpu_offload", lambda: True)
    monkeypatch.setattr(devices_module, "ggml_function", function)

    def names(*given: tuple[bytes, int, bytes | None]) -> list[str]:
        there[:] = given
        return [one.name for one in devices()]

    assert names((b"CPU", cpu, None)) == []
    assert names((b"Vulkan0", integrated, b"1"), (b"CPU", cpu, None)) == ["Vulkan0"]
    both = ((b"CUDA0", gpu, b"1"), (b"Vulkan0", gpu, b"1"), (b"Vulkan1", integrated, b"2"))
    assert names(*both) == ["CUDA0"], "seen twice, and an integrated one beside it"
    assert names((b"A", gpu, None), (b"B", gpu, None)) == ["A", "B"], "no ids"


def test_what_ggml_does_not_have_is_named() -> None:
    with pytest.raises(AttributeError, match="no_such_function"):
        ggml_function("no_such_function", None)


@pytest.mark.parametrize(
    ("placement", "found", "words"),
    [
        (Placement(-2), [], "gpu_layers is -2"),
        (Placement(split_mode="rows"), [], "use one of none, layer, row, tensor"),
        (Placement(main_gpu=-1), [GPU], "main_gpu is -1"),
        (Placement(20), [], "has no GPU"),
        (Placement(split_mode="row"), [], "has no GPU"),
        (Placement(main_gpu=1), [], "has no GPU"),
        (Placement(main_gpu=1), [GPU], r"llama.cpp has 1 \(CUDA0\)"),
    ],
)
def test_what_cannot_be_placed_is_refused(
    placement: Placement, found: list[Device], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        placement.check(found)


def test_what_can_be_placed_is_not() -> None:
    for placement in (Placement(), Placement(0)):
        placement.check([])
    for placement in (Placement(99), Placement(3, "row"), Placement(-1, "none", 1)):
        placement.check([GPU, OTHER])


def test_load_model_refuses_gpus_that_are_not_there(tiny: Path) -> None:
    for settings in ({"gpu_layers": 4}, {"split_mode": "row"}, {"main_gpu": 1}):
        with pytest.raises(SettingsError, match="has no GPU"):
            load_model(str(tiny), **settings)


def test_which_devices_get_layers(with_gpus: Callable[..., None]) -> None:
    both = [GPU, OTHER]
    assert Placement().used(both) == both
    assert Placement(0).used(both) == []
    assert Placement(split_mode="none", main_gpu=1).used(both) == [OTHER]
    with_gpus(*both)
    assert Placement(3, "none").described() == "3 layers on CUDA0 (NVIDIA H200)"
    assert Placement().described().startswith("all layers on CUDA0 (NVIDIA H200), CUDA1")


def test_the_library_line_tells_of_gpus(with_gpus: Callable[..., None], tiny: Path) -> None:
    """It is part of what tuning is kept by and of what results tell."""
    with LlamaCppModel(tiny, repack=False) as plain:
        line = plain.info.library
    with_gpus(GPU)
    with LlamaCppModel(tiny, repack=False, placement=Placement(2)) as placed:
        assert placed.info.library == f"{line}, 2 layers on CUDA0 (NVIDIA H200)"


def test_layers_that_fit() -> None:
    layers = [100 * MIB] * 8
    assert layers_that_fit(layers, 50 * MIB, 0, [10_000 * MIB]) == 9
    assert layers_that_fit(layers, 50 * MIB, 0, [400 * MIB]) == 4  # the output and three layers
    assert layers_that_fit(layers, 50 * MIB, 60 * MIB, [400 * MIB]) == 2
    assert layers_that_fit(layers, 50 * MIB, 0, [200 * MIB, 200 * MIB]) == 4
    assert layers_that_fit(layers, 500 * MIB, 0, [400 * MIB]) == 0


@given(
    st.lists(st.integers(1, 1000), max_size=20),
    st.integers(0, 1000),
    st.integers(0, 100),
    st.integers(0, 20_000),
)
def test_what_fits_fits_and_one_more_does_not(
    layers: list[int], output: int, cache: int, free: int
) -> None:
    count = layers_that_fit(layers, output, cache, [free])

    def needed(count: int) -> int:
        own = layers[len(layers) - (count - 1) :] if count > 1 else []
        return (output if count else 0) + sum(own) + cache * len(own)

    assert needed(count) <= 0.9 * free + 1e-6
    assert count == len(layers) + 1 or needed(count + 1) > 0.9 * free - 1e-6


def fails(*lines: str) -> Callable[..., None]:
    """What llama.cpp does when it fails: it logs and returns nothing."""

    def fail(*_: object) -> None:
        for line in lines:
            logs._LOG_CALLBACK(4, line.encode() + b"\n", None)

    return fail


CUDA = "allocating 5.00 MiB on device 0: cudaMalloc failed: out of memory"
VULKAN = "ggml_vulkan: Device memory allocation of size 5242880 failed."
LOADING = "llama_model_load: error loading model: unable to allocate CUDA0 buffer"


@pytest.mark.parametrize("line", [CUDA, VULKAN, LOADING])
def test_too_little_memory_on_a_gpu_is_told_as_that(
    tiny: Path, with_gpus: Callable[..., None], monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    # A tiny layer has 0.4 MB, the output 0.13 MB.
    with_gpus(Device("CUDA0", "tiny", "GPU", MIB, MIB))
    monkeypatch.setattr(llama_cpp, "llama_model_load_from_file", fails(line, "failed to load"))
    with pytest.raises(OutOfMemoryError, match=r"about 3 of 5 layers on CUDA0 \(--gpu-layers 3\)"):
        LlamaCppModel(tiny, repack=False)


def test_too_little_memory_of_the_machine_speaks_of_no_gpu(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 5"
    monkeypatch.setattr(llama_cpp, "llama_model_load_from_file", fails(said))
    with pytest.raises(OutOfMemoryError, match=r"quantized model$"):
        LlamaCppModel(tiny, repack=False)


def test_another_failure_is_not_taken_for_it(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_cpp, "llama_model_load_from_file", fails("wrong shape"))
    with pytest.raises(ModelFileError, match="damaged or too new"):
        LlamaCppModel(tiny, repack=False)


@pytest.mark.fault("no room for key-values")
def test_a_cache_that_has_no_room_on_a_gpu(
    tiny: Path, with_gpus: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gpus(Device("CUDA0", "tiny", "GPU", 1 * MIB, 4 * MIB))
    monkeypatch.setattr(llama_cpp, "llama_init_from_model", fails("failed to allocate"))
    with pytest.raises(ContextError, match=r"smaller --context, or put about \d of 5 layers"):
        LlamaCppModel(tiny, repack=False, stream_memory=0)


@pytest.mark.fault("error code of llama_decode")
def test_memory_that_runs_out_while_decoding(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LlamaCppModel(tiny, context=256, repack=False) as loaded:
        monkeypatch.setattr(llama_cpp, "llama_decode", lambda *_: -2)
        with pytest.raises(DecodeError, match="out of memory"):
            loaded.submit(partial(loaded.decode, batch([(1, 0, 0, True)]))).result()


def test_the_trial_knows_device_driver_and_placement(
    tiny: Path, tmp_path: Path, with_gpus: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)

    def tries(placement: Placement) -> bool:
        before = len(commands)
        trial.may_repack(tiny, "f" * 64, placement)
        trial.may_repack(tiny, "f" * 64, placement)
        return len(commands) == before + 1

    assert tries(Placement())
    with_gpus(GPU)
    assert tries(Placement())
    assert tries(Placement(3))
    assert json.loads(commands[-1][-1]) == {
        "gpu_layers": 3,
        "split_mode": "layer",
        "main_gpu": 0,
        "repack": True,
    }
    monkeypatch.setattr(devices_module, "driver", lambda: "another one")
    assert tries(Placement())
    with_gpus(OTHER)
    assert tries(Placement())
    assert not tries(Placement())


def test_a_trial_child_takes_the_placement(tiny: Path) -> None:
    assert trial._survives(tiny, Placement(0), repack=False)


@pytest.mark.parametrize("stream_memory", [0, 1 << 30])
@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt-oss", "deepseek2"])
def test_attention_from_another_device(
    tmp_path: Path, architecture: str, stream_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are the same, and of the keys only those of new cells are fetched."""
    path = tiny_model(tmp_path, architecture, window=64)
    settings = {"context": 2048, "max_sequences": 4, "repack": False}
    found: list[list[Any]] = []
    fetched: list[int] = []
    for host in (True, False):
        with LlamaCppModel(path, stream_memory=stream_memory, **settings) as loaded:  # type: ignore[arg-type]
            configure(loaded, 1500)
            reader = loaded._reader
            assert reader is not None
            if not host:
                get = reader._get
                monkeypatch.setattr(reader, "_is_host", lambda _: False)

                def count(*given: int, get: Callable[..., Any] = get) -> None:
                    fetched.append(given[3])
                    get(*given)

                monkeypatch.setattr(reader, "_get", count)
            rows = []
            for start in range(0, 1000, 200):
                prompt = [(7 * i % 250, i, 0, i == 999) for i in range(start, start + 200)]
                in_owner(loaded, batch(prompt))
            in_owner(loaded, batch(prompt_rows(list(range(50)), 2)))
            fetched.clear()
            both = batch([(5, 1000, 0, True), (9, 50, 2, True)])
            _, attention = in_owner(loaded, both)
            rows += [attention.row(0).copy(), attention.row(1).copy()]
            rows += [attention.weights(0).copy()]
            release(loaded, 0, 2)
            found.append(rows)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    cells = 1050 if stream_memory == 0 else 2 * 1001
    row_of_keys = {"deepseek2": 2 * 80}.get(architecture, 2 * 64)
    layers = len(loaded.info.attention_layers)
    assert 0 < sum(fetched) < layers * cells * row_of_keys / 4, "not the whole view of the keys"


def test_on_a_gpu_nothing_is_called_back_unless_attention_is_read(
    tiny: Path, with_gpus: Callable[..., None]
) -> None:
    with_gpus(GPU)
    with LlamaCppModel(tiny, context=256, repack=False) as loaded:

        def calls_back(*, attention: bool) -> bool:
            loaded.submit(partial(loaded.configure, 100, attention=attention)).result()
            return loaded._native.reader is not None

        found = [calls_back(attention=attention) for attention in (True, False, True)]
        assert found == [True, False, True]


def test_flash_attention_is_chosen_by_llama_cpp_where_nothing_reads(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[int] = []
    make = llama_cpp.llama_init_from_model

    def note(weights: Any, settings: Any) -> Any:
        chosen.append(settings.flash_attn_type)
        return make(weights, settings)

    monkeypatch.setattr(llama_cpp, "llama_init_from_model", note)
    with LlamaCppModel(tiny, context=256, repack=False) as loaded:
        configure(loaded, 100)
    auto = llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO
    assert chosen == [auto, llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED]
