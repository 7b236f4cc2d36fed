"""Does the jobs one after another, each system in a process of its own, and keeps what is finished."""

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.peers.jobs import Job, Reply, Text
from benchmarks.peers.plan import MODES, System, Task, expected
from benchmarks.peers.processes import CpuWatch, MemoryWatch, running
from benchmarks.peers.scoring import graded
from benchmarks.peers.server import Settings, free_port, serving, version_of
from et_agent.answers import AnswerKind, instruction
from et_agent.storage import write_atomically

ROOT = Path(__file__).parent.parent.parent
DISTURBED = 0.05
"""Part of the CPU that others may take while a job runs."""
LOOK = 0.5
"""Seconds between two looks at the memory."""
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}
"""Of workers: no model hub, and no proxy before the server."""


@dataclass(frozen=True)
class Setup:
    """What all jobs of a file have in common."""

    model: str
    samples: int
    max_tokens: int
    sampling: str
    seed: int
    threads: int
    part: int
    questions: list[str]


@dataclass(frozen=True)
class Places:
    """The pythons of the systems, the model's file and llama-server; None for what is not there."""

    own: str
    model: str
    server: str | None = None
    xllamacpp: str | None = None
    uqlm: str | None = None
    polygraph: str | None = None

    def missing(self, system: System) -> str | None:
        """What a system needs that is not there."""
        for name in (system.python, system.server):
            if name is not None and shutil.which(getattr(self, name) or "") is None:
                return name
        return None


class Results:
    """The file of finished jobs."""

    def __init__(self, path: Path, setup: Setup) -> None:
        self._path = path
        self._head = {"settings": asdict(setup), "machine": describe()}
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        self.jobs: dict[str, Any] = kept.get("jobs", {})
        if not self.jobs:
            return
        before, now = (
            {**one["settings"], "cpu": one["machine"]["cpu"]} for one in (kept, self._head)
        )
        if other := [key for key in now if now[key] != before.get(key)]:
            raise SystemExit(
                f"{path}: measured with another {', '.join(other)}; name another --out"
            )

    def lack(self, task: Task) -> bool:
        """Whether a job is to be done: it was not, or failed, or was disturbed."""
        return disturbed(self.jobs.get(task.key, {}))

    def keep(self, task: Task, job: dict[str, Any]) -> None:
        """Write a job down, unless the one before was less disturbed."""
        if _others(job) <= _others(self.jobs.get(task.key, {})):
            self.jobs[task.key] = job
        write_atomically(self._path, json.dumps({**self._head, "jobs": self.jobs}, indent=1) + "\n")


def disturbed(job: dict[str, Any]) -> bool:
    """Whether others took so much of the CPU that a job is no measurement, or it failed."""
    return _others(job) > DISTURBED


def _others(job: dict[str, Any]) -> float:
    return float(job.get("others", 1.0))


def run(
    tasks: Sequence[Task],
    setup: Setup,
    places: Places,
    results: Results,
    budget: float | None,
) -> None:
    """Do what is not done yet and fits into the budget, in seconds."""
    began = time.monotonic()
    left = 0
    for task in tasks:
        if not results.lack(task):
            continue
        need = expected(task, results.jobs, setup.samples)
        if budget is not None and time.monotonic() - began + need > budget:
            left += 1
            continue
        job = measured(task, setup, places, limit=120 + 10 * need)
        results.keep(task, job)
        print(f"{time.monotonic() - began:6.0f} s  {task.key}: {_line(job)}", flush=True)
    if left:
        print(f"{left} jobs did not fit into the budget: run again")


def _line(job: dict[str, Any]) -> str:
    if "error" in job:
        return f"failed: {job['error']}"
    note = ", DISTURBED" if disturbed(job) else ""
    return (
        f"{job['seconds']:.1f} s, {job['tokens']} tokens, {job['anonymous_mb']:.0f} MB, "
        f"others {job['others']:.0%}{note}"
    )


def measured(task: Task, setup: Setup, places: Places, *, limit: float) -> dict[str, Any]:
    """Do one job, and say what it took."""
    texts = [one.question for one in task.questions]
    job = Job(
        system=task.system.name,
        batches=[texts] if task.mode == MODES[1] else [[text] for text in texts],
        instruction=instruction(AnswerKind.NUMBER),
        samples=setup.samples,
        max_tokens=setup.max_tokens,
        seed=setup.seed + 1000 * (2 * task.round + MODES.index(task.mode)),
        uncut=setup.sampling == "pure",
        threads=setup.threads,
        model=places.model,
        packages=list(task.system.packages),
    )
    cpu, memory, began = CpuWatch(), MemoryWatch(), time.monotonic()
    about = {"system": task.system.name, "mode": task.mode, "round": task.round}
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = _done(job, task.system, places, memory, Path(folder), limit)
    except (RuntimeError, OSError, ValueError) as error:
        return {**about, "error": str(error)}
    batches = found["batches"]
    replies = [
        Reply(**{**reply, "texts": [Text(**text) for text in reply["texts"]]})
        for batch in batches
        for reply in batch["replies"]
    ]
    if library := replies[0].library:
        found["versions"]["et-agent with"] = library
    return {
        **about,
        "seconds": round(sum(batch["seconds"] for batch in batches), 3),
        "each": [round(batch["seconds"], 3) for batch in batches],
        "tokens": sum(batch["tokens"] for batch in batches),
        "start_seconds": round(found["start_seconds"], 2),
        "wall": round(time.monotonic() - began, 1),
        "others": round(cpu.others(), 4),
        "peak_mb": round(memory.peak),
        "anonymous_mb": round(memory.anonymous),
        "versions": found["versions"],
        "commit": describe()["commit"],
        "answers": [graded(*one) for one in zip(task.questions, replies, strict=True)],
    }


def _done(
    job: Job, system: System, places: Places, memory: MemoryWatch, folder: Path, limit: float
) -> dict[str, Any]:
    """What the worker reports; all its processes are gone afterwards."""
    last = time.monotonic() + limit
    versions = {}
    log = folder / "log"
    with contextlib.ExitStack() as stack:
        processes = []
        if system.server is not None:
            program = getattr(places, system.server)
            settings = Settings(job.model, job.threads, job.max_tokens, job.uncut, free_port())
            inside = system.server == "xllamacpp"
            url, process = stack.enter_context(
                serving(program, settings, folder / "server.log", xllamacpp=inside)
            )
            job = dataclasses.replace(job, url=url)
            processes.append(process)
            name = "xllamacpp" if inside else "llama-server"
            versions[name] = version_of(program, xllamacpp=inside)
        (folder / "job").write_text(json.dumps(asdict(job)), encoding="utf-8")
        command = [getattr(places, system.python), "-m", "benchmarks.peers.worker"]
        worker = stack.enter_context(
            running(
                command,
                cwd=ROOT,
                env={**os.environ, **ENVIRONMENT},
                stdin=stack.enter_context((folder / "job").open("rb")),
                stdout=stack.enter_context((folder / "result").open("wb")),
                stderr=stack.enter_context(log.open("wb")),
            )
        )
        while worker.poll() is None:
            if time.monotonic() > last:
                raise RuntimeError(f"took more than {limit:.0f} s")
            memory.look([worker.pid, *processes])
            time.sleep(LOOK)
        if worker.returncode:
            lines = log.read_text(errors="replace").strip().splitlines()
            raise RuntimeError(lines[-1] if lines else f"ended with code {worker.returncode}")
    found: dict[str, Any] = json.loads((folder / "result").read_text(encoding="utf-8"))
    found["versions"].update(versions)
    return found
