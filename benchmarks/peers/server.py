"""A llama.cpp server on a loopback port: llama-server, or the one inside xllamacpp.

As a program, `python -m benchmarks.peers.server SETTINGS`, it is xllamacpp's, in xllamacpp's python.
"""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.jobs import UNCUT
from benchmarks.peers.processes import running

HOST = "127.0.0.1"
SLOTS = 16
PROMPT = 512
"""Positions of a slot for the prompt."""
PATIENCE = 120.0
"""Seconds in which a server must be ready."""


@dataclass(frozen=True)
class Settings:
    """What a server is started with."""

    model: str
    threads: int
    max_tokens: int
    uncut: bool
    port: int

    @property
    def context(self) -> int:
        return SLOTS * (PROMPT + self.max_tokens)


@contextlib.contextmanager
def serving(
    program: str, settings: Settings, log: Path, *, xllamacpp: bool
) -> Iterator[tuple[str, int]]:
    """URL and process of a server that is ready.

    Args:
        program: llama-server, or the python that has xllamacpp.
        settings: What it is started with.
        log: File for what it prints.
        xllamacpp: Which of the two it is.
    """
    command = _inside_xllamacpp if xllamacpp else _llama_server
    with (
        log.open("wb") as out,
        running(command(program, settings), stdout=out, stderr=out) as process,
    ):
        url = f"http://{HOST}:{settings.port}"
        _wait(url, process)
        yield url, process.pid


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


def version_of(program: str, *, xllamacpp: bool) -> str:
    """What a server's program says about its version."""
    asked = (
        ["-c", "from importlib.metadata import version as of; print(of('xllamacpp'))"]
        if xllamacpp
        else ["--version"]
    )
    said = subprocess.run([program, *asked], capture_output=True, text=True, check=True)
    return (said.stdout + said.stderr).strip().partition("\n")[0].removeprefix("version: ")


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    last = time.monotonic() + PATIENCE
    while time.monotonic() < last and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{url}/health", timeout=5) as reply,
        ):
            if reply.status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError("the server did not get ready")


def _llama_server(program: str, settings: Settings) -> list[str]:
    named: dict[str, Any] = {
        "model": settings.model,
        "host": HOST,
        "port": settings.port,
        "parallel": SLOTS,
        "ctx-size": settings.context,
        "threads": settings.threads,
        "threads-batch": settings.threads,
        **(
            {key.replace("_", "-"): value for key, value in UNCUT.items()} if settings.uncut else {}
        ),
    }
    flags = ["--kv-unified", "--cont-batching", "--no-webui", "--metrics"]
    return [program, *(f for key, value in named.items() for f in (f"--{key}", str(value))), *flags]


def _inside_xllamacpp(python: str, settings: Settings) -> list[str]:
    return [python, "-m", "benchmarks.peers.server", json.dumps(asdict(settings))]


def main() -> None:
    import xllamacpp

    settings = Settings(**json.loads(sys.argv[1]))
    params = xllamacpp.CommonParams()
    params.model.path = settings.model
    params.n_parallel, params.n_ctx = SLOTS, settings.context
    params.kv_unified = params.cont_batching = params.endpoint_metrics = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.hostnames, params.port = [HOST], settings.port
    if settings.uncut:
        for name, value in UNCUT.items():
            setattr(params.sampling, name, value)
    server = xllamacpp.Server(params)
    print("listening at", server.listening_address, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
