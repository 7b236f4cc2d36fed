"""Processes that a job starts, and what they and all others take of the machine. Linux only."""

import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 20.0
"""Seconds that a process has to end by itself once it is told to."""


@contextlib.contextmanager
def running(command: list[str], **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone afterwards."""
    process = subprocess.Popen(command, **settings)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class CpuWatch:
    """The part of the machine's CPU time that others took, since this was made.

    Ours is that of this process and of the children that it has waited for: ask once they are gone.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy, self._own = _busy_seconds(), _own_seconds()

    def others(self) -> float:
        """Between 0 and 1; time that the machine's host took away is included."""
        taken = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        available = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        return max(0.0, taken / available)


def _busy_seconds() -> float:
    """Of all CPUs: user, nice, system, irq, softirq and steal; guests are part of user."""
    values = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(values[:3]) + sum(values[5:8])) / TICKS


def _own_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


class MemoryWatch:
    """Largest memory of some processes and their children, in MB, as seen by `look`."""

    def __init__(self) -> None:
        self._peaks: dict[int, float] = {}
        self.anonymous = 0.0
        """Largest sum of pages that no file holds."""

    @property
    def peak(self) -> float:
        """Sum of the processes' peaks, the pages of mapped files such as the model's included."""
        return sum(self._peaks.values())

    def look(self, processes: list[int]) -> None:
        anonymous = 0.0
        for process in family(processes):
            with contextlib.suppress(OSError):  # it may have ended
                status = Path(f"/proc/{process}/status").read_text()
                lines = dict(line.split(":", 1) for line in status.splitlines())
                if "VmHWM" in lines:
                    peak, now = (int(lines[key].split()[0]) for key in ("VmHWM", "RssAnon"))
                    self._peaks[process] = peak * 1024 / 1e6
                    anonymous += now * 1024 / 1e6
        self.anonymous = max(self.anonymous, anonymous)


def family(processes: list[int]) -> list[int]:
    """Processes and all their descendants."""
    found = list(processes)
    for process in found:  # grows meanwhile
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{process}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found
