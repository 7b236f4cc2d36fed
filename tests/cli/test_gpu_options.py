"""Which layers go to a GPU, from the command line to `load_model`."""

from typing import Any

import pytest

from et_agent.cli import doctor, loading
from et_agent.cli.self_test import Check
from et_agent.engines import loading as engine_loading
from et_agent.engines.llama_cpp import devices
from et_agent.engines.llama_cpp.devices import Device
from et_agent.errors import ModelFileError
from tests.cli.conftest import Run

GIVEN = ("--gpu-layers", "3", "--split-mode", "none", "--main-gpu", "1")
WANTED = {"gpu_layers": 3, "split_mode": "none", "main_gpu": 1}


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments that `load_model` was called with."""
    calls: list[dict[str, Any]] = []

    def load_model(_spec: str, **settings: Any) -> None:
        calls.append({name: settings[name] for name in WANTED if name in settings})
        raise ModelFileError("there is none")

    monkeypatch.setattr(engine_loading, "load_model", load_model)
    return calls


@pytest.mark.parametrize(
    "command",
    [
        ("ask", "hi"),
        ("gate", "ask", "hi"),
        ("score", "--question", "hi", "--answer", "hi"),
        ("eval", "run", "--data", "q.jsonl"),
        ("calibrate", "model", "--data", "q.jsonl"),
        ("pilot", "--questions", "q.txt"),
        ("tune",),
    ],
    ids=" ".join,
)
def test_every_command_that_loads_a_model_takes_them(
    run: Run,
    asked_for: list[dict[str, Any]],
    command: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.jsonl").write_text('{"question": "1+1?", "answer": "2"}\n' * 3, "utf-8")
    (tmp_path / "q.txt").write_text("1+1?\n", "utf-8")
    for options, wanted in ((GIVEN, WANTED), ((), {})):
        shown = run(*command, *options)
        assert asked_for, shown.err
        assert asked_for.pop() == wanted


def test_doctor_hands_them_to_its_self_test(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    seen: list[loading.GpuSettings] = []

    def note(_located: object, _threads: object, gpu: loading.GpuSettings) -> list[Check]:
        seen.append(gpu)
        return []

    monkeypatch.setattr(doctor, "run_self_test", note)
    monkeypatch.setattr(doctor, "_capabilities", lambda _: (True, []))
    file = tmp_path / "x.gguf"
    file.write_bytes(b"GGUF")
    run("doctor", "--model", str(file), *GIVEN)
    assert seen == [loading.GpuSettings(3, "none", 1)]


def test_gpus_that_are_not_there_are_an_error_that_says_so(run: Run) -> None:
    shown = run("ask", "--gpu-layers", "3", "hi")
    assert shown.code == 2
    assert "no GPU to use" in shown.err


def test_doctor_lists_devices(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none that this llama.cpp can use" in run("doctor").out
    found = [
        Device("CUDA0", "NVIDIA H200", "GPU", 140 << 30, 141 << 30),
        Device("Vulkan1", "Radeon 780M", "integrated GPU", 8 << 30, 16 << 30),
    ]
    monkeypatch.setattr(devices, "devices", lambda: found)
    monkeypatch.setattr(devices, "driver", lambda: "NVRM version 580.1")
    shown = run("doctor").out
    assert "GPU 0" in shown
    assert "CUDA0, NVIDIA H200 (GPU): 150.3 GB of 151.4 GB free" in " ".join(shown.split())
    assert "Radeon 780M (integrated GPU)" in shown
    assert "NVRM version 580.1" in shown
    assert max(map(len, shown.splitlines())) <= 80
