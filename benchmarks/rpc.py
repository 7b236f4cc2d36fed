"""A model divided between two processes by llama.cpp's RPC backend, beside the same model in one.

    python -m benchmarks.rpc [--model smollm2-135m]

llama-cpp-python's builds leave the backend out. It is compiled here, from the sources of the installed
version and against its libraries, which takes half a minute, and is given to ggml as a device. The
servers listen on the loopback address alone. Writes `benchmarks/results/rpc.json`.
"""

import argparse
import ctypes
import json
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks.kernels.stock import llama_cpp_source
from benchmarks.machine import describe
from et_agent import EntropyTree, ask, load_model
from et_agent.engines.llama_cpp.binding import ggml_function, llama_cpp
from et_agent.engines.llama_cpp.devices import devices

RESULTS: Final = Path(__file__).parent / "results" / "rpc.json"
QUESTIONS: Final = ("What is 7 times 8?", "How many days have 3 weeks?", "What is 15 % of 240?")
_CPU: Final = 0
_FLAGS: Final = ("-O2", "-std=c++17", "-fPIC", "-shared")
_DEFINES: Final = ("GGML_BACKEND_DL", "GGML_BACKEND_SHARED", "GGML_BACKEND_BUILD", "GGML_SHARED")


def build(folder: Path) -> Path:
    """The backend as a library, compiled against the installed ggml."""
    ggml = llama_cpp_source(folder) / "ggml"
    libraries = Path(llama_cpp.__file__).parent / "lib"
    made = folder / "libggml-rpc.so"
    sources = [ggml / "src" / "ggml-rpc" / name for name in ("ggml-rpc.cpp", "transport.cpp")]
    subprocess.run(
        [
            "c++",
            *_FLAGS,
            *(f"-D{name}" for name in _DEFINES),
            *(f"-I{one}" for one in (ggml / "include", ggml / "src")),
            *map(str, sources),
            "-o",
            str(made),
            f"-L{libraries}",
            "-lggml-base",
            f"-Wl,-rpath,{libraries}",
        ],
        check=True,
        timeout=600,
    )
    return made


def serve(library: str, endpoint: str) -> None:
    """Serve this process's CPU, with one thread, until it is ended."""
    llama_cpp.llama_backend_init()
    cpu = ggml_function("ggml_backend_dev_by_type", ctypes.c_void_p, ctypes.c_int)(_CPU)
    start = ctypes.CDLL(library).ggml_backend_rpc_start_server
    text, size = ctypes.c_char_p, ctypes.c_size_t
    start.argtypes = [text, text, size, size, ctypes.c_void_p]
    start(endpoint.encode(), None, 1, 1, (ctypes.c_void_p * 1)(cpu))


def measure(model: str, library: str, endpoints: list[str]) -> dict[str, Any]:
    """Answer the questions with the model on these servers; in this process if there are none."""
    llama_cpp.llama_backend_init()
    if endpoints:
        add = ctypes.CDLL(library).ggml_backend_rpc_add_server
        add.restype, add.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
        register = ggml_function("ggml_backend_register", None, ctypes.c_void_p)
        for one in endpoints:
            register(add(one.encode()))
    started = time.perf_counter()
    with load_model(model, context=2048, max_sequences=16, threads=1) as loaded:
        ready = time.perf_counter()
        decoder = EntropyTree(leaves=4, max_tokens=48)
        results = [ask(loaded, one, decoder=decoder, seed=0) for one in QUESTIONS]
        ended = time.perf_counter()
    tokens = sum(one.usage.tokens_decoded for one in results)
    return {
        "devices": [one.name for one in devices()],
        "seconds to load": round(ready - started, 2),
        "tokens": tokens,
        "tokens per second": round(tokens / (ended - ready), 1),
        "answers": [one.answer for one in results],
    }


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _run(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.rpc", *arguments]


def main() -> None:
    """Measure both, or be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--library", default="")
    parser.add_argument("--serve", metavar="HOST:PORT")
    parser.add_argument("--on", metavar="HOST:PORT", nargs="*")
    given = parser.parse_args()
    if given.serve:
        return serve(given.library, given.serve)
    if given.on is not None:
        print(json.dumps(measure(given.model, given.library, given.on)))
        return None
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        started = time.perf_counter()
        library = str(build(Path(folder)))
        built = time.perf_counter() - started
        endpoints = [f"127.0.0.1:{_free_port()}" for _ in range(2)]
        for one in endpoints:
            server = subprocess.Popen(
                _run("--serve", one, "--library", library), stdout=subprocess.DEVNULL
            )
            stack.callback(server.wait)
            stack.callback(server.kill)
        time.sleep(10)
        found: dict[str, Any] = {"model": given.model, "seconds to build": round(built, 1)}
        for name, on in (("one process", []), ("two processes", endpoints)):
            call = _run("--model", given.model, "--library", library, "--on", *on)
            said = subprocess.run(call, check=True, capture_output=True, text=True, timeout=600)
            found[name] = json.loads(said.stdout.splitlines()[-1])
    found["machine"] = describe()
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found, indent=1))
    return None


if __name__ == "__main__":
    main()
