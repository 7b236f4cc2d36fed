"""The server of the soak, in a process of its own, which tells what it holds: `GET /held`."""

import ctypes
import gc
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from et_agent_server import ServerSettings, create_app
from et_agent_server.serving import serve

from et_agent import load_model
from et_agent.decoding.scheduler import scheduler_of
from et_agent.engines.llama_cpp.model import LlamaCppModel


def held(model: LlamaCppModel) -> dict[str, Any]:
    """What the process holds, between two questions."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps for later is no leak
    process, scheduler = Path("/proc/self"), scheduler_of(model)
    pages = int((process / "statm").read_text("utf-8").split()[1])
    times = os.times()
    return {
        "memory": pages * os.sysconf("SC_PAGE_SIZE"),
        "cpu_seconds": times.user + times.system + times.children_user + times.children_system,
        "free_cells": model.free_positions,
        "paths_in_cache": scheduler.paths_in_cache,
        "pending": scheduler.pending,
        "threads": threading.active_count(),
        "files": sum(1 for _ in (process / "fd").iterdir()),
        "children": sum(
            len((one / "children").read_text("utf-8").split())
            for one in (process / "task").iterdir()
        ),
        "objects": len(gc.get_objects()),
        "prefix_bytes": 0 if model.prefixes is None else model.prefixes.bytes,
    }


def main() -> None:
    """Serve a small model until told to stop; the address goes to standard output."""
    name, threads, folder = sys.argv[1:]
    with load_model(
        name, context=2048, max_sequences=32, threads=int(threads), prefix_memory=4 << 20
    ) as model:
        settings = ServerSettings(
            port=0,
            leaves=2,
            max_tokens=8,
            concurrent=4,
            queue=16,
            most_labels=50,
            decisions=f"{folder}/decisions.sqlite",
        )
        app = create_app({"small": model}, settings)
        app.add_api_route("/held", lambda: held(model))
        serve(app, settings, ready=lambda url: print(json.dumps(url), flush=True))


if __name__ == "__main__":
    main()
