"""llama.cpp's own CPU library for another instruction set than this machine's best."""

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["build_stock", "llama_cpp_source"]

_BASE: Final = ("AVX", "AVX2", "FMA", "F16C", "BMI2")
_SETS: Final = {
    "avx2": _BASE,
    "avx-vnni": (*_BASE, "AVX_VNNI"),
    "avx512-vnni": (*_BASE, "AVX512", "AVX512_VNNI", "AVX512_BF16"),
}
_EVEX_ASSEMBLER: Final = """\
#!/bin/sh
# A CPU with AVX512-VNNI but without AVX-VNNI runs the same instructions in their other encoding.
for last; do :; done
sed -i 's/{vex} //' "$last"
exec /usr/bin/as "$@"
"""


def build_stock(folder: Path, instructions: str, *, evex: bool = False) -> None:
    """Put llama.cpp's libraries into a folder, that of the CPU built for an instruction set.

    Args:
        folder: Where to; its use is LLAMA_CPP_LIB_PATH=folder.
        instructions: "avx2", "avx-vnni" or "avx512-vnni".
        evex: Encode AVX-VNNI for CPUs that have AVX512-VNNI only.
    """
    spec = importlib.util.find_spec("llama_cpp")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent / "lib"
    with tempfile.TemporaryDirectory() as temporary:
        source, made = llama_cpp_source(Path(temporary)), Path(temporary) / "build"
        options = ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DGGML_NATIVE=OFF"]
        options += [f"-DGGML_{feature}=ON" for feature in _SETS[instructions]]
        options += [
            f"-DLLAMA_BUILD_{part}=OFF" for part in ("TESTS", "EXAMPLES", "TOOLS", "SERVER")
        ]
        if evex:
            assembler = Path(temporary) / "as"
            assembler.write_text(_EVEX_ASSEMBLER, "utf-8")
            assembler.chmod(0o755)
            options += [f"-DCMAKE_{one}_FLAGS=-B{temporary}" for one in ("C", "CXX")]
        subprocess.run(["cmake", "-S", source, "-B", made, *options], check=True)
        subprocess.run(["cmake", "--build", made, "-j", "2", "--target", "ggml-cpu"], check=True)
        folder.mkdir(parents=True, exist_ok=True)
        built = (made / "bin" / "libggml-cpu.so").resolve()
        for library in installed.iterdir():
            own = library.name.startswith("libggml-cpu.so")
            shutil.copyfile(built if own else library.resolve(), folder / library.name)


def llama_cpp_source(folder: Path) -> Path:
    """llama.cpp as the installed llama-cpp-python has it."""
    version = importlib.metadata.version("llama-cpp-python")
    wanted = ["--no-deps", "--no-binary", "llama-cpp-python", "-d", str(folder)]
    pip = [sys.executable, "-m", "pip", "download", *wanted]
    subprocess.run([*pip, f"llama-cpp-python=={version}"], check=True)
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz") / "vendor" / "llama.cpp"
