"""`et-agent doctor`: versions, folders, what a model allows, and a self-test of a few seconds."""

import json
import signal
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from et_agent.cli.guard import be_verbose, command
from et_agent.cli.run_options import MODEL_METAVAR, MODEL_SHOWN, GpuLayers, MainGpu, SplitMode
from et_agent.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from et_agent.cli.loading import GpuSettings
    from et_agent.cli.self_test import Check
    from et_agent.weights.catalog import LocatedModel

__all__ = ["doctor"]

_TINY_MODEL: Final = "smollm2-135m"
_LEAST_DISK: Final = 2_000_000_000
_QUICK: Final = frozenset({"AVX512", "AVX512_VNNI", "AVX_VNNI", "AMX_INT8"})
"""Without any of these, quantized weights are multiplied slowly; with others that was not measured."""
_FEATURES: Final = (
    "AVX",
    "AVX2",
    "AVX512",
    "AVX512_VNNI",
    "AVX_VNNI",
    "AMX_INT8",
    "FMA",
    "F16C",
    "NEON",
    "DOTPROD",
    "MATMUL_INT8",
    "SVE",
)
_SECONDS: Final = 900


@command
def doctor(
    model: Annotated[
        str | None,
        typer.Option(
            metavar=MODEL_METAVAR,
            help="Test this model.",
            show_default=f"{MODEL_SHOWN}; a smaller one if only that is cached",
        ),
    ] = None,
    pull: Annotated[
        bool, typer.Option("--pull", help="Download the model if it is not cached.")
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(
            help="CPU threads.",
            show_default="the cores",
        ),
    ] = None,
    gpu_layers: GpuLayers = None,
    split_mode: SplitMode = None,
    main_gpu: MainGpu = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the log.")] = False,
) -> int:
    """Check this installation. Each line is ok, warn or fail, and says what to do."""
    if verbose:
        be_verbose()
    from et_agent.cli.loading import GpuSettings, check_load_settings

    gpu = GpuSettings(gpu_layers, split_mode, main_gpu)
    check_load_settings(context=None, threads=threads)
    checks = []
    for check in _checks(model, pull=pull, threads=threads, gpu=gpu):
        checks.append(check)
        if not as_json:
            _print(check)
    failed = any(check.status == "fail" for check in checks)
    if as_json:
        from et_agent.cli.terminal import write_line

        data = {"ok": not failed, "checks": [asdict(check) for check in checks]}
        write_line(json.dumps(data, indent=2))
    return int(failed)


def _print(check: "Check") -> None:
    from rich.table import Table
    from rich.text import Text

    from et_agent.cli.terminal import output_console, print_block, visible

    style = {"ok": "green", "warn": "yellow", "fail": "bold red"}[check.status]
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=4)
    line.add_column(width=17, no_wrap=True)
    line.add_column(overflow="fold")
    line.add_row(Text(check.status, style=style), Text(check.name), Text(visible(check.detail)))
    if check.fix:
        line.add_row("", "", Text("fix: " + visible(check.fix), style="yellow"))
    print_block(output_console(), line)


def _checks(
    model: str | None, *, pull: bool, threads: int | None, gpu: "GpuSettings"
) -> "Iterator[Check]":
    yield from _installation(threads)
    yield from _folder()
    settings = _settings()
    yield from settings
    if any(check.status == "fail" for check in settings):
        return
    from et_agent.weights.addresses import is_address
    from et_agent.weights.catalog import default_model

    spec = model or default_model()
    if is_address(spec):
        yield _served(spec, threads, gpu)
        return
    located, found = _find_model(model, pull=pull)
    yield from found
    if located is None:
        return
    usable, capabilities = _capabilities(located)
    yield from capabilities
    if usable:
        yield from run_self_test(located, threads, gpu)


def _served(spec: str, threads: int | None, gpu: "GpuSettings") -> "Check":
    """Whether a server can be reached and has the model."""
    from et_agent.cli.loading import open_model
    from et_agent.cli.self_test import Check
    from et_agent.errors import EtAgentError

    try:
        with open_model(spec, threads=threads, gpu=gpu) as model:
            return Check("model", "ok", f"{model.info.name}, behind a server")
    except EtAgentError as error:
        return Check("model", "fail", str(error))


def _installation(threads: int | None) -> "Iterator[Check]":
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from et_agent.cli.kernels import kernels_check
    from et_agent.cli.self_test import Check
    from et_agent.kernels.threads import cores

    for package in ("et-agent", "python", "llama-cpp-python", "numpy"):
        try:
            found = platform.python_version() if package == "python" else version(package)
            yield Check(package, "ok", found)
        except PackageNotFoundError:
            if package == "et-agent":
                yield Check(package, "warn", "runs from a source folder", "pip install -e .")
            else:
                yield Check(package, "fail", "is not installed", f"pip install {package}")
    yield _cpu()
    yield from _gpus()
    yield kernels_check()
    yield Check("threads", "ok", f"{threads or cores()} of {counted(cores(), 'core')}")


def _cpu() -> "Check":
    from et_agent.cli.self_test import Check

    try:
        from et_agent.engines.llama_cpp.binding import llama_cpp

        text = llama_cpp.llama_print_system_info().decode("utf-8", "replace")
    except Exception as error:
        # A library that cannot be loaded raises whatever its loader does.
        return Check(
            "llama.cpp",
            "fail",
            f"cannot be loaded: {error}",
            "pip install --force-reinstall --no-binary llama-cpp-python llama-cpp-python",
        )
    pairs = (part.split("=") for part in text.replace("|", ":").split(":") if part.count("=") == 1)
    used = [name.strip() for name, value in pairs if value.strip() == "1"]
    known = [name for name in _FEATURES if name in used]
    detail = f"built for {', '.join(known) or 'a plain CPU'}"
    if "AVX2" in known and not _QUICK.intersection(known):
        detail += "; --dequantize may decode wide batches faster, at 16 bits per weight"
    return Check("llama.cpp", "ok", detail)


def _gpus() -> "Iterator[Check]":
    from et_agent.cli.self_test import Check
    from et_agent.weights.download import human_bytes

    try:
        from et_agent.engines.llama_cpp.devices import devices, driver
    except Exception:
        return  # what could not be loaded is told above
    found = devices()
    if not found:
        yield Check("GPU", "ok", "none that this llama.cpp can use: it decodes on the CPU")
    for number, one in enumerate(found):
        memory = f"{human_bytes(one.free)} of {human_bytes(one.total)} free"
        detail = f"{one.name}, {one.description} ({one.kind}): {memory}"
        yield Check(f"GPU {number}", "ok", detail)
    if found:
        yield Check("GPU driver", "ok", driver())


def _folder() -> "Iterator[Check]":
    import os
    import shutil

    from et_agent.cli.self_test import Check
    from et_agent.storage import cache_dir
    from et_agent.weights.download import human_bytes

    folder = cache_dir()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if os.access(there, os.W_OK | os.X_OK) and there.is_dir():
        yield Check("cache folder", "ok", str(folder))
    else:
        yield Check(
            "cache folder",
            "warn",
            f"{folder} is not writable: only models that are in it already can be used",
            "set ET_AGENT_CACHE to a writable folder",
        )
    free = shutil.disk_usage(there).free
    if free < _LEAST_DISK:
        fix = "free some space, or set ET_AGENT_CACHE to a folder on another disk"
        yield Check("free disk", "warn", human_bytes(free), fix)
    else:
        yield Check("free disk", "ok", human_bytes(free))


def _settings() -> "list[Check]":
    """The user's settings and where they come from; nothing where there are none."""
    from et_agent.cli.self_test import Check
    from et_agent.config import read_config, source_of
    from et_agent.errors import SettingsError

    try:
        given = read_config().model_dump(exclude_none=True)
    except SettingsError as error:
        return [Check("settings", "fail", str(error))]
    told = [f"{key} = {value} ({source_of(key)})" for key, value in given.items()]
    return [Check("settings", "ok", ", ".join(told))] if told else []


def _find_model(model: str | None, *, pull: bool) -> "tuple[LocatedModel | None, list[Check]]":
    """The model to test, and what is to be said about it."""
    from et_agent.cli.self_test import Check
    from et_agent.cli.transfer import shown_transfer
    from et_agent.errors import EtAgentError
    from et_agent.weights.catalog import SMALL_MODEL, default_model, list_models, locate

    checks = []
    spec = model or default_model()
    listed = {one.entry.name: one.cached for one in list_models()}
    if model is None and not pull and listed.get(spec) is False:
        fix = f"et-agent models pull {spec} (or: et-agent doctor --pull)"
        checks.append(Check("default model", "warn", f"{spec} is not cached", fix))
        smaller = [one for one in (SMALL_MODEL, _TINY_MODEL) if listed[one]]
        if not smaller:
            return None, checks
        spec = smaller[0]
    try:
        with shown_transfer() as progress:
            located = locate(spec, download=pull, progress=progress)
    except EtAgentError as error:
        fix = "" if pull else "use --pull to download a model that is not cached"
        return None, [*checks, Check("model", "fail", str(error), fix)]
    return located, [*checks, Check("model", "ok", f"{located.name}: {located.path}")]


def _capabilities(located: "LocatedModel") -> "tuple[bool, Iterable[Check]]":
    from et_agent.cli.capabilities import capabilities_of
    from et_agent.cli.self_test import Check
    from et_agent.decoding.thresholds import find_thresholds
    from et_agent.errors import EtAgentError
    from et_agent.weights.catalog import fingerprint_of
    from et_agent.weights.gguf import read_gguf

    try:
        header = read_gguf(located.path)
        thresholds = find_thresholds(fingerprint_of(located, header.parts))
    except EtAgentError as error:
        return False, [Check("model file", "fail", str(error))]
    unusable = header.why_unusable()
    if unusable:
        detail = f"{located.name} ({header.architecture}): {unusable}"
        return False, [Check("model file", "fail", detail, "see `et-agent models list`")]
    size = (
        f"{header.architecture}, {header.quantisation}, {header.n_params / 1e6:,.0f} M parameters"
    )
    checks = [Check("model file", "ok", size)]
    for one in capabilities_of(header, thresholds):
        reason, _, fix = one.reason.partition(": ")
        if one.possible:
            checks.append(Check(f"allows {one.name}", "ok", one.reason))
        else:
            checks.append(Check(f"allows {one.name}", "warn", reason, fix))
    return True, checks


def run_self_test(
    located: "LocatedModel", threads: int | None, gpu: "GpuSettings"
) -> "list[Check]":
    """The self-test in a child process, which a crash of llama.cpp may end."""
    from et_agent.cli.guard import is_verbose
    from et_agent.cli.self_test import Check

    spec = located.name if located.entry is not None else str(located.path.absolute())
    wanted = json.dumps({"spec": spec, "threads": threads, "gpu": asdict(gpu)})
    try:
        child = subprocess.run(
            [sys.executable, "-m", "et_agent.cli.self_test", wanted],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        fix = "use a smaller model, or fewer --threads"
        return [Check("self-test", "fail", f"did not end within {_SECONDS} s", fix)]
    if child.returncode == 0:
        return [Check(**check) for check in json.loads(child.stdout)]
    said = child.stderr.decode("utf-8", "replace").strip()
    if is_verbose():
        print(said, file=sys.stderr)
    return [_crash(child.returncode, said)]


def _crash(code: int, said: str) -> "Check":
    from et_agent.cli.self_test import Check

    if code < 0:
        name = signal.Signals(-code).name
        detail = f"llama.cpp crashed ({name})"
        fix = "build it for this CPU: pip install --force-reinstall --no-binary :all: llama-cpp-python"
        return Check("self-test", "fail", detail, fix)
    last = said.splitlines()[-1] if said else f"exit code {code}"
    return Check("self-test", "fail", last, "run `et-agent doctor --verbose` to see the whole log")
