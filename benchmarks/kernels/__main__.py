"""Build llama.cpp's CPU library with faster products for the long runs.

    python -m benchmarks.kernels build FOLDER
    LLAMA_CPP_LIB_PATH=FOLDER python -m benchmarks.runs …
    python -m benchmarks.kernels check FOLDER [--model qwen2.5-coder-0.5b]

llama.cpp multiplies Q5_0, Q8_0 and Q6_K weights one row and one token at a time on x86, so that a
batch gains nothing there, and Q4_K weights not as fast as it could.
`avx512_vnni.inc` interleaves sixteen rows of weights and multiplies up to twelve tokens at once. The
weights and the quantization of the activations stay the same; sums are taken in another order, which
moves logits as far as llama.cpp's own two ways (one token or several at once) lie apart: `check`
measures both, and the speed. `avx512_attention.inc` does the heads that share a key together, with
sums in float32. It needs a CPU with AVX512-VNNI, cmake and a C++ compiler; the sources are
those of the installed llama-cpp-python. Nothing but these runs uses it.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe
from et_agent.models.files import write_atomically

OUT: Final = Path(__file__).parents[1] / "results" / "kernels.json"
TEXT: Final = Path(__file__).parents[2] / "docs" / "architecture.md"
TOKENS: Final = 200
ROWS: Final = 24
_BF16: Final = 30
"""llama.cpp's number of the type that the runs keep keys and values in on such CPUs."""

_CHOICE: Final = (
    "static const ggml::cpu::tensor_traits * "
    "ggml_repack_get_optimal_repack_type(const struct ggml_tensor * cur) {\n"
)
_ALLOC: Final = "/* .get_alloc_size   = */ nullptr,"
_ATTENTION: Final = (
    "void ggml_compute_forward_flash_attn_ext(\n"
    "        const ggml_compute_params * params,\n"
    "        ggml_tensor * dst) {\n"
)
_EDITS: Final = (
    (
        "repack.cpp",
        _CHOICE,
        f'#include "avx512_vnni.inc"\n\n{_CHOICE}'
        "    if (const auto * traits = ggml_repack_x16_traits(cur)) {\n"
        "        return traits;\n"
        "    }\n",
    ),
    (
        "repack.cpp",
        _ALLOC,
        "/* .get_alloc_size   = */ ggml_backend_cpu_repack_buffer_type_get_alloc_size,",
    ),
    (
        "ops.cpp",
        _ATTENTION,
        f'#include "avx512_attention.inc"\n\n{_ATTENTION}'
        "    if (ggml_flash_attn_x16(params, dst)) {\n"
        "        return;\n"
        "    }\n",
    ),
)
"""File of ggml-cpu, what is there once, and what takes its place."""


def build(folder: Path) -> None:
    """Put llama.cpp's libraries into a folder, that of the CPU with the kernels in it."""
    spec = importlib.util.find_spec("llama_cpp")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent / "lib"
    with tempfile.TemporaryDirectory() as temporary:
        source = _source(Path(temporary))
        ggml = source / "ggml" / "src" / "ggml-cpu"
        for kernels in Path(__file__).parent.glob("*.inc"):
            shutil.copy(kernels, ggml)
        for name, old, new in _EDITS:
            file = ggml / name
            text = file.read_text("utf-8")
            if text.count(old) != 1:
                sys.exit(f"llama.cpp has changed: {old.strip()!r} is not once in {name}")
            file.write_text(text.replace(old, new), "utf-8")
        made = source / "build"
        options = ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DGGML_NATIVE=ON"]
        options += [
            f"-DLLAMA_BUILD_{part}=OFF" for part in ("TESTS", "EXAMPLES", "TOOLS", "SERVER")
        ]
        subprocess.run(["cmake", "-S", source, "-B", made, *options], check=True)
        subprocess.run(["cmake", "--build", made, "-j", "2", "--target", "ggml-cpu"], check=True)
        built = (made / "bin" / "libggml-cpu.so").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for library in installed.iterdir():
            own = library.name.startswith("libggml-cpu.so")
            write_atomically(folder / library.name, (built if own else library).read_bytes())
    print(f"built; use it with LLAMA_CPP_LIB_PATH={folder}")


def _source(folder: Path) -> Path:
    """llama.cpp as the installed llama-cpp-python has it."""
    version = importlib.metadata.version("llama-cpp-python")
    wanted = ["--no-deps", "--no-binary", "llama-cpp-python", "-d", str(folder)]
    pip = [sys.executable, "-m", "pip", "download", *wanted]
    subprocess.run([*pip, f"llama-cpp-python=={version}"], check=True)
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz") / "vendor" / "llama.cpp"


def check(folder: Path, model: str) -> None:
    """Compare logits and speed with llama.cpp as it is, and keep the figures."""
    stock: dict[int, Measured] = {}
    fast: dict[int, Measured] = {}
    for found, library in ((stock, None), (fast, folder)):
        for rows in (1, ROWS):
            found[rows] = _measure(library, model, rows)
    found_here: dict[str, Any] = {
        "machine": describe(),
        "model": model,
        "total variation, llama.cpp one token or several at once": _apart(stock[1], stock[ROWS]),
        "total variation, kernels or llama.cpp": _apart(fast[ROWS], stock[ROWS]),
        "same first token": _same(fast[ROWS], stock[ROWS]),
        "same first token, llama.cpp one or several": _same(stock[1], stock[ROWS]),
        f"tokens a second, {ROWS} rows, llama.cpp": stock[ROWS][1],
        f"tokens a second, {ROWS} rows, kernels": fast[ROWS][1],
    }
    known = json.loads(OUT.read_text("utf-8")) if OUT.is_file() else {}
    known[model] = found_here
    write_atomically(OUT, (json.dumps(known, indent=2) + "\n").encode())
    print(json.dumps(found_here, indent=2))


Measured = tuple[NDArray[np.float64], float]


def _measure(library: Path | None, model: str, rows: int) -> Measured:
    """Probabilities after each token of a text, float64 [tokens, vocabulary]; tokens a second."""
    environment = {name: value for name, value in os.environ.items() if name != _LIBRARY}
    if library is not None:
        environment[_LIBRARY] = str(library)
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "found.npz"
        command = [sys.executable, "-m", "benchmarks.kernels", "measure", str(out)]
        command += ["--model", model, "--rows", str(rows)]
        subprocess.run(command, check=True, env=environment)
        with np.load(out) as found:
            return found["probabilities"], float(found["speed"])


_LIBRARY: Final = "LLAMA_CPP_LIB_PATH"


def measure(out: Path, model: str, rows: int) -> None:
    """One process's part of `check`: a library is loaded once and for all."""
    import llama_cpp

    from et_agent import MultiChain, ask
    from et_agent.models.catalog import locate
    from et_agent.models.loading import load_model

    with load_model(model, threads=1, best_width=ROWS) as loaded:
        decoder = MultiChain(leaves=ROWS, max_tokens=60)
        began, tokens = 0.0, 0
        for turn in range(2):  # the first one warms up
            began = time.perf_counter()
            tokens = ask(
                loaded, "Why is the sky blue?", decoder=decoder, seed=turn
            ).usage.tokens_decoded
        speed = tokens / (time.perf_counter() - began)
    plain = llama_cpp.Llama(
        str(locate(model).path),
        n_ctx=512,
        n_batch=rows,
        n_ubatch=rows,
        n_threads=1,
        n_threads_batch=1,
        flash_attn=True,
        type_k=_BF16,
        type_v=_BF16,
        logits_all=True,
        verbose=False,
    )
    plain.eval(plain.tokenize(TEXT.read_bytes())[:TOKENS])
    logits = np.array(plain.scores[:TOKENS], dtype=np.float64)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.savez(out, probabilities=shifted / shifted.sum(axis=1, keepdims=True), speed=speed)


def _apart(one: Measured, other: Measured) -> float:
    """Mean total variation."""
    return float(np.abs(one[0] - other[0]).sum(axis=1).mean() / 2)


def _same(one: Measured, other: Measured) -> float:
    return float((one[0].argmax(axis=1) == other[0].argmax(axis=1)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("do", choices=("build", "check", "measure"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--rows", type=int, default=1)
    options = parser.parse_args()
    match options.do:
        case "build":
            build(options.folder.resolve())
        case "check":
            check(options.folder.resolve(), options.model)
        case _:
            measure(options.folder, options.model, options.rows)


if __name__ == "__main__":
    main()
