"""Which systems are compared, which jobs a comparison consists of, and how long they may take."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.peers.scoring import Question

Mode = Literal["alone", "queued"]
MODES: tuple[Mode, ...] = ("alone", "queued")

START = 8.0
"""Seconds that a system takes to start."""
CHAIN = {"svamp": 207, "gsm8k": 270}
"""Tokens of a chain of the default model, from the runs in benchmarks/results/runs."""


@dataclass(frozen=True)
class System:
    """One way to answer questions with many samples, or with a confidence."""

    name: str
    title: str
    chains: float
    """Tokens that it takes, in chains; if not fixed, for 16 samples."""
    rates: tuple[float, float]
    """Tokens a second on two cores, alone and queued, for the estimate before anything is known."""
    python: Literal["own", "uqlm", "polygraph"] = "own"
    server: Literal["server", "xllamacpp"] | None = None
    packages: tuple[str, ...] = ()
    fixed: bool = False
    """Whether it decides by itself how many samples it takes."""
    modes: tuple[Mode, ...] = MODES


OWN = ("llama-cpp-python",)
UQLM = ("uqlm", "langchain-openai")
SYSTEMS = (
    System("tree", "et-agent, tree in rounds", 9.3, (100, 130), packages=OWN),
    System("server", "llama-server, 16 requests", 16, (100, 105), server="server"),
    System("overlapped", "et-agent, tree with overlapped forks", 10, (100, 130), packages=OWN),
    System("early", "et-agent, tree that stops early", 6.2, (85, 130), packages=OWN),
    System("llama", "`llama_cpp.Llama`, 16 calls", 16, (60, 60), packages=OWN, modes=("alone",)),
    System("chains", "et-agent, chains", 16, (110, 130), packages=OWN),
    System("server-n", "llama-server, n = 16", 16, (105, 110), server="server"),
    System("xllamacpp", "xllamacpp's server, 16 requests", 16, (75, 80), server="xllamacpp"),
    System("uqlm-bb", "UQLM BlackBoxUQ", 16, (95, 100), "uqlm", server="server", packages=UQLM),
    System(
        "uqlm-wb",
        "UQLM WhiteBoxUQ, 1 reply",
        1,
        (60, 90),
        "uqlm",
        server="server",
        packages=UQLM,
        fixed=True,
    ),
    System(
        "polygraph",
        "LM-Polygraph, 1 + 10 replies",
        11,
        (90, 90),
        "polygraph",
        server="server",
        packages=("lm-polygraph", "openai"),
        fixed=True,
    ),
)


@dataclass(frozen=True)
class Task:
    """A system's questions in one round, asked in one way."""

    system: System
    mode: Mode
    round: int
    questions: tuple[Question, ...]

    @property
    def key(self) -> str:
        return f"{self.round} {self.mode} {self.system.name}"


def tasks(
    systems: Sequence[System],
    questions: Sequence[Question],
    modes: Sequence[Mode],
    *,
    part: int,
    repeats: int,
) -> Iterator[Task]:
    """All jobs in their order.

    A round asks some of the questions, with every system and in every mode, so that what is compared
    happened close together. The systems' order is turned round from round to round and, for the same
    questions, from repeat to repeat.
    """
    parts = [tuple(questions[at : at + part]) for at in range(0, len(questions), part)]
    for repeat, (number, chosen) in itertools.product(range(repeats), enumerate(parts)):
        ordered = systems if (repeat + number) % 2 == 0 else systems[::-1]
        for mode, system in itertools.product(modes, ordered):
            if mode in system.modes:
                yield Task(system, mode, repeat * len(parts) + number, chosen)


def expected(task: Task, done: Mapping[str, Any], samples: int) -> float:
    """Seconds that a job may take: as long as the same system before, or from its usual tokens."""
    known: list[float] = [
        job["wall"] / len(job["answers"])
        for job in done.values()
        if job["system"] == task.system.name and job["mode"] == task.mode and "error" not in job
    ]
    if known:
        return len(task.questions) * sum(known) / len(known)
    system = task.system
    chains = system.chains * (1 if system.fixed else samples / 16)
    tokens = chains * sum(CHAIN[question.set] for question in task.questions)
    return START + tokens / system.rates[MODES.index(task.mode)]
