"""What machine and what code a result comes from."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


def describe() -> dict[str, str | int]:
    """Machine, versions, commit and day."""
    import llama_cpp

    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    features = llama_cpp.llama_print_system_info().decode().strip(" |")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": memory,
        "llama_cpp_features": features,
        "python": platform.python_version(),
        "llama_cpp_python": version("llama-cpp-python"),
        "numpy": version("numpy"),
        "commit": commit or "unknown",
        "date": datetime.now(UTC).date().isoformat(),
    }
