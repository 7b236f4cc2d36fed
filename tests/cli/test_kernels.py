from pathlib import Path

import pytest

from et_agent.cli.kernels import kernels_check
from et_agent.cli.main import main
from et_agent.errors import KernelError
from et_agent.kernels import building, library
from et_agent.kernels.building import Build, is_off
from et_agent.kernels.instructions import by_name
from et_agent.kernels.library import Kernels

BUILD = Build(
    instructions="avx2",
    llama_cpp_python="0.3.36",
    key="avx2-0123",
    compiler="c++ 1.0",
    sha256="",
    checked="",
)


def test_off_then_build(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(library.VARIABLE, raising=False)
    monkeypatch.setattr(building, "build", lambda **_: BUILD)
    assert main(["kernels", "off"]) == 0
    assert is_off()
    assert "`et-agent kernels build` ends that" in capsys.readouterr().out
    assert main(["kernels", "build"]) == 0
    assert not is_off()
    assert "kernels for avx2 and llama-cpp-python 0.3.36 are in use" in capsys.readouterr().out
    monkeypatch.setenv(library.VARIABLE, "off")
    assert main(["kernels", "build"]) == 0
    assert "are built, but ET_AGENT_KERNELS is off: unset it" in capsys.readouterr().out


def test_a_build_that_fails_switches_nothing_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> Build:
        raise KernelError("there is no C++ compiler")

    monkeypatch.setattr(building, "build", fail)
    assert main(["kernels", "off"]) == 0
    assert main(["kernels", "build"]) == 2
    assert is_off()
    assert "error: there is no C++ compiler" in capsys.readouterr().err


def test_check_says_why_there_is_nothing_to_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    none = Kernels(reason="the kernels are not built", fix="run `et-agent kernels build`")
    monkeypatch.setattr(library, "attach", lambda: none)
    assert main(["kernels", "check"]) == 2
    assert (
        "nothing to check: the kernels are not built; run `et-agent kernels build`"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(("problem", "code"), [("", 0), ("Q5_0 is not known", 2)])
def test_check(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    problem: str,
    code: int,
) -> None:
    used = Kernels(instructions=by_name()["avx2"], library=object())
    monkeypatch.setattr(library, "attach", lambda: used)
    monkeypatch.setattr(building, "find_build", lambda *_: BUILD)
    monkeypatch.setattr(building, "llama_library", lambda: tmp_path)
    monkeypatch.setattr("et_agent.kernels.checking.check_library", lambda *_: problem)
    assert main(["kernels", "check"]) == code
    said = capsys.readouterr()
    assert ("no less exact" in said.out) == (code == 0)
    assert problem in said.err
    assert ("et-agent kernels off" in said.err) == (code == 2)


@pytest.mark.parametrize(
    ("kernels", "status", "detail"),
    [
        (Kernels(instructions=by_name()["avx2"], library=object()), "ok", "compiled for avx2"),
        (Kernels(reason="not built", fix="build"), "warn", "llama.cpp's own: not built"),
        (Kernels(reason="no x86"), "ok", "llama.cpp's own: no x86"),
    ],
)
def test_what_doctor_says(
    monkeypatch: pytest.MonkeyPatch, kernels: Kernels, status: str, detail: str
) -> None:
    monkeypatch.setattr(library, "attach", lambda: kernels)
    check = kernels_check()
    assert (check.status, check.detail, check.fix) == (status, detail, kernels.fix)
