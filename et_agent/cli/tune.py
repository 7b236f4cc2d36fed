"""`et-agent tune`: measure widths and threads on this machine, and keep what fits."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from et_agent.cli.guard import command
from et_agent.cli.run_options import Fast, GpuLayers, MainGpu, ModelSpec, SplitMode
from et_agent.wording import counted

__all__ = ["tune"]


@command
def tune(
    model: ModelSpec = None,
    fast: Fast = False,
    gpu_layers: GpuLayers = None,
    split_mode: SplitMode = None,
    main_gpu: MainGpu = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure, but keep nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Measure which width of a batch and how many threads are fastest, and use them from now on.

    Takes some seconds on an idle machine. What is kept belongs to the model, the CPU, the
    kernels and the layers on a GPU.
    """
    from et_agent.cli.loading import GpuSettings, chosen_model
    from et_agent.cli.terminal import say, write_line
    from et_agent.cli.transfer import shown_transfer
    from et_agent.engines.llama_cpp.tuning import Rate, Tuning, keep_tuning
    from et_agent.engines.llama_cpp.tuning import tune as measure
    from et_agent.engines.loading import load_model
    from et_agent.errors import SettingsError
    from et_agent.weights.addresses import is_address, shown_address

    def show(rate: Rate) -> None:
        threads = counted(rate.threads, "thread")
        say(f"{threads}, {rate.width:2} rows: {rate.tokens_per_second:5.0f} tokens per second")

    spec = chosen_model(model, fast=fast)
    if is_address(spec):
        raise SettingsError(
            f"models are tuned in this process, and {shown_address(spec)} is a server's address: name "
            "a model file with --model"
        )
    gpu = GpuSettings(gpu_layers, split_mode, main_gpu)
    with shown_transfer() as progress:
        loaded = load_model(spec, attention=False, progress=progress, **gpu.given())
    with loaded:
        rates = measure(loaded, on_rate=show)
        found = Tuning.of(rates)
        if not dry_run:
            keep_tuning(loaded.info.fingerprint, loaded.info.library, found)
    if as_json:
        write_line(json.dumps({**asdict(found), "rates": [asdict(rate) for rate in rates]}))
    else:
        threads = counted(found.threads, "thread")
        kept = "not kept" if dry_run else "used from now on"
        write_line(f"{found.width} rows per batch with {threads}: {kept}")
    return 0
