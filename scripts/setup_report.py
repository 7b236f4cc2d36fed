"""What a person sees of a set-up: pip's output as messages, a progress line, a failure's cause."""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from toolchain import check_compilers, core_count

LLAMA = "llama-cpp-python"
CORE_MINUTES = 8

HINTS = (
    (r"No space left on device|Disk quota exceeded", "The disk is full: free some space."),
    (
        r"DO NOT MATCH THE HASHES",
        "A downloaded file is not the one that the lock names: it was damaged or replaced.",
    ),
    (
        r"Killed signal|Cannot allocate memory|out of memory|terminated by signal 9",
        "The compiler ran out of memory: CMAKE_BUILD_PARALLEL_LEVEL=1 needs the least.",
    ),
    (
        r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError"
        r"|SSLError|Connection to \S+ timed out|Failed to establish",
        "The package index cannot be reached: check the network and the proxy settings.",
    ),
    (
        r"from versions: none",
        "The package index was not reached, or lacks the package: check the network.",
    ),
    (
        r"No matching distribution found",
        "No file for this Python or machine: try another with PYTHON=python3.12.",
    ),
    (r"CMake Error|ninja: build stopped|Error \d+$", "llama.cpp did not compile."),
)


class Display:
    """Lines that stay and, on a terminal, one status line that is drawn over."""

    def __init__(self, stream: IO[str], *, live: bool) -> None:
        self.stream = stream
        self.live = live

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.stream.write(f"\r\x1b[2K{text}\n" if self.live else f"{text}\n")
        self.stream.flush()

    def status(self, text: str) -> None:
        """Draw the status line anew; elsewhere than on a terminal this does nothing."""
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write(f"\r\x1b[2K{text[:width]}")
            self.stream.flush()


@dataclass
class PipReport:
    """Turns the lines of `pip install -v` into messages.

    Attributes:
        shown: the last tenth of the build that was printed where there is no terminal.
    """

    display: Display
    started: float = field(default_factory=time.monotonic)
    build_started: float | None = None
    step: tuple[int, int] = (0, 0)
    shown: int = 0
    doing: str = "reading the package index"

    def feed(self, line: str) -> None:
        """Take one line of pip's output.

        Raises:
            SetupError: when a build begins and no compiler works.
        """
        if self.build_started is not None:
            self._feed_build(line)
        elif line.startswith(f"  Building wheel for {LLAMA}") and "started" in line:
            self._begin_build()
        elif found := re.match(r" +Downloading (\S+) \((.+)\)", line):
            self.doing = f"downloading {found[1]} ({found[2]})"
            if "MB" in found[2] and float(found[2].split()[0]) >= 10:
                self.display.say(f"  {self.doing}")
        elif found := re.match(r" *Progress (\d+) of (\d+)", line):
            percent = 100 * int(found[1]) // max(1, int(found[2]))
            self.doing = f"{self.doing.split('  ')[0]}  {percent} %"
        elif found := re.match(r"Installing collected packages: (.+)", line):
            names = found[1].split(", ")
            self.doing = f"installing {names[0] if len(names) == 1 else f'{len(names)} packages'}"
            self.display.say(f"  {self.doing}")
        elif line.startswith("Collecting "):
            self.doing = f"looking up {line.split()[1]}"

    def tick(self) -> None:
        """Redraw the status line."""
        now = time.monotonic()
        if self.build_started is None:
            self.display.status(f"  {self.doing}  {clock(now - self.started)}")
        elif self.step[1]:
            self.display.status(f"  {progress_line(*self.step, now - self.build_started)}")
        else:
            self.display.status(f"  configuring  {clock(now - self.build_started)}")

    def _begin_build(self) -> None:
        self.build_started = time.monotonic()
        cores = core_count()
        minutes = max(1, round(CORE_MINUTES / cores))
        self.display.say(
            f"  building llama.cpp from source, about {minutes} minute{'s' * (minutes > 1)} "
            f"on {cores} core{'s' * (cores > 1)}, once"
        )
        # pip keeps a build for each Python version, so none was certain before.
        check_compilers(os.environ)

    def _feed_build(self, line: str) -> None:
        assert self.build_started is not None
        elapsed = time.monotonic() - self.build_started
        if f"Building wheel for {LLAMA}" in line and "finished" in line:
            if "error" not in line:
                self.display.say(f"  llama.cpp built in {clock(elapsed)}")
            self.build_started = None
            self.doing = "installing"
        elif step := read_build_step(line):
            self.step = step
            tenth = 10 * step[0] // step[1]
            if not self.display.live and tenth > self.shown:
                self.shown = tenth
                self.display.say(f"  {progress_line(*step, elapsed)}")


def read_build_step(line: str) -> tuple[int, int] | None:
    """Read (done, total) from a line of ninja, `[12/193] …`, or of make, `[ 12%] …`."""
    if found := re.match(r"\s*\[\s*(\d+)/(\d+)\]", line):
        return int(found[1]), int(found[2])
    if found := re.match(r"\s*\[\s*(\d+)%\]", line):
        return int(found[1]), 100
    return None


def clock(seconds: float) -> str:
    """Write seconds as m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def progress_line(done: int, total: int, elapsed: float) -> str:
    """Draw the build's progress; the time left comes from the steps so far."""
    share = done / total if total else 0.0
    filled = int(24 * share)
    left = f", about {clock(elapsed / share - elapsed)} left" if 0.02 < share < 1 else ""
    return f"[{'#' * filled}{'.' * (24 - filled)}] {share:4.0%}  {clock(elapsed)} elapsed{left}"


def hint_for(log: str) -> str:
    """Name the likely cause of a failure, or return the empty string."""
    return next((hint for cause, hint in HINTS if re.search(cause, log, re.MULTILINE)), "")


def describe_failure(output: str, log: Path, failure: str) -> str:
    """Compose the log's tail, the cause if it is known, and where the rest is."""
    lines = [line[:160] for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\berror:", line)]
    tail = lines[-20:]
    first = [*errors[:1], "  …"] if errors and errors[0] not in tail else []
    message = " ".join(filter(None, (failure, hint_for(output))))
    return "\n".join([*first, *tail, "", message, f"The full log is {log}; then run make again."])
