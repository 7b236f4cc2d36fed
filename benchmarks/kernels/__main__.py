"""Build llama.cpp's CPU library with faster products for the long runs.

    python -m benchmarks.kernels build FOLDER
    LLAMA_CPP_LIB_PATH=FOLDER python -m benchmarks.runs …
    python -m benchmarks.kernels check FOLDER [--model qwen2.5-coder-0.5b]

llama.cpp multiplies Q5_0, Q8_0 and Q6_K weights one row and one token at a time on x86, so that a
batch gains nothing there, and Q4_K weights not as fast as it could. `avx512_vnni.inc` interleaves
sixteen rows of weights and multiplies up to twelve tokens at once; `avx512_attention.inc` does the
heads that share a key together, with sums in float32. The weights and the quantization of the tokens'
values stay the same, but sums are taken in another order. That moves logits as far as llama.cpp's own
two ways (a text decoded alone or beside others) lie apart: `check` measures both, and the speed.
It needs a CPU with AVX512-VNNI, cmake and a C++ compiler; the sources are those of the installed
llama-cpp-python. Nothing but these runs uses it.
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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from scipy.special import softmax

from benchmarks.machine import describe
from et_agent.arrays import Doubles
from et_agent.asking import ask
from et_agent.decoding import MultiChain
from et_agent.engines.base import Batch
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.loading import load_model
from et_agent.storage import write_atomically

OUT: Final = Path(__file__).parents[1] / "results" / "kernels.json"
TEXT: Final = Path(__file__).parents[2] / "docs" / "architecture.md"
QUESTIONS: Final = Path(__file__).parents[1] / "questions.txt"
TOKENS: Final = 200
ROWS: Final = 24
_LIBRARY: Final = "LLAMA_CPP_LIB_PATH"

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


@dataclass(frozen=True)
class Measured:
    """What one library gives.

    Attributes:
        alone: Probabilities after each token of a text that is decoded alone, [tokens, vocabulary].
        beside: The same where other sequences are decoded beside it.
        speed: Tokens per second of as many chains.
    """

    alone: Doubles
    beside: Doubles
    speed: float


def check(folder: Path, model: str) -> None:
    """Compare logits and speed with llama.cpp as it is, and keep the figures."""
    stock, fast = _measured(None, model), _measured(folder, model)
    found = {
        "machine": describe(),
        "model": model,
        "rows": ROWS,
        "mean total variation": {
            "llama.cpp, alone or beside others": _apart(stock.alone, stock.beside),
            "kernels, alone or beside others": _apart(fast.alone, fast.beside),
            "kernels or llama.cpp, alone": _apart(fast.alone, stock.alone),
            "kernels or llama.cpp, beside others": _apart(fast.beside, stock.beside),
        },
        "share of tokens with the same likeliest next one": {
            "llama.cpp, alone or beside others": _same(stock.alone, stock.beside),
            "kernels or llama.cpp, beside others": _same(fast.beside, stock.beside),
        },
        "tokens a second on one core": {"llama.cpp": stock.speed, "kernels": fast.speed},
        "times as fast": fast.speed / stock.speed,
    }
    known = json.loads(OUT.read_text("utf-8")) if OUT.is_file() else {}
    known[model] = found
    write_atomically(OUT, (json.dumps(known, indent=2) + "\n").encode())
    print(json.dumps(found, indent=2))


def _measured(library: Path | None, model: str) -> Measured:
    """`measure` in a process of its own, since a library is loaded once and for all."""
    environment = {name: value for name, value in os.environ.items() if name != _LIBRARY}
    if library is not None:
        environment[_LIBRARY] = str(library)
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "found.npz"
        command = [sys.executable, "-m", "benchmarks.kernels", "measure", str(out)]
        subprocess.run([*command, "--model", model], check=True, env=environment)
        with np.load(out) as found:
            return Measured(found["alone"], found["beside"], float(found["speed"]))


def measure(out: Path, model: str) -> None:
    """Write what this process's library gives."""
    with load_model(model, threads=1, best_width=ROWS) as loaded:
        tokens = loaded.tokenize(TEXT.read_text("utf-8"))
        alone, beside = (
            loaded.submit(partial(_probabilities, loaded, tokens, rows)).result()
            for rows in (1, ROWS)
        )
        question = QUESTIONS.read_text("utf-8").splitlines()[0]
        decoder = MultiChain(leaves=ROWS, max_tokens=120)
        speed = 0.0
        for turn in range(2):  # the first one warms up
            began = time.perf_counter()
            found = ask(loaded, question, decoder=decoder, kind="number", seed=turn)
            speed = found.usage.tokens_decoded / (time.perf_counter() - began)
    np.savez(out, alone=alone, beside=beside, speed=speed)


def _probabilities(model: LlamaCppModel, tokens: list[int], rows: int) -> Doubles:
    """After each token of the first sequence; the others have the same text from later places on."""
    model.configure(TOKENS)
    sequences = np.arange(rows, dtype=np.int32)
    found = []
    for at in range(TOKENS):
        step = model.decode(
            Batch(
                np.array([tokens[at + 5 * row] for row in range(rows)], dtype=np.int32),
                np.full(rows, at, dtype=np.int32),
                sequences,
                np.ones(rows, dtype=np.bool_),
            )
        )
        found.append(softmax(step.logits[0].astype(np.float64)))
    for sequence in sequences.tolist():
        model.release(sequence)
    return np.array(found)


def _apart(one: Doubles, other: Doubles) -> float:
    return float(np.abs(one - other).sum(axis=1).mean() / 2)


def _same(one: Doubles, other: Doubles) -> float:
    return float((one.argmax(axis=1) == other.argmax(axis=1)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("do", choices=("build", "check", "measure"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    options = parser.parse_args()
    match options.do:
        case "build":
            build(options.folder.resolve())
        case "check":
            check(options.folder.resolve(), options.model)
        case _:
            measure(options.folder, options.model)


if __name__ == "__main__":
    main()
