"""How commands get a model; tests put a scripted one in its place."""

from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass
from typing import Any, Final, TypedDict

from et_agent.cli.terminal import say, tell_deprecated
from et_agent.engines import opening as engines
from et_agent.engines.base import DEFAULT_WIDTH
from et_agent.engines.sampled import AnyModel
from et_agent.errors import (
    ContextError,
    ModelFileError,
    SettingsError,
    UnsupportedModelError,
)
from et_agent.kernels.threads import cores
from et_agent.weights.addresses import is_address, shown_address
from et_agent.weights.progress import TransferProgress

__all__ = [
    "NO_GPU_SETTINGS",
    "GpuSettings",
    "LoadSettings",
    "check_load_settings",
    "check_target",
    "chosen_model",
    "dequantizes",
    "load_settings",
    "open_model",
]

_SEQUENCES: Final = 64
_MOST_SEQUENCES: Final = 256


@dataclass(frozen=True, slots=True)
class GpuSettings:
    """`--gpu-layers`, `--split-mode` and `--main-gpu`; None where they were not given."""

    gpu_layers: int | None = None
    split_mode: str | None = None
    main_gpu: int | None = None

    def given(self) -> dict[str, Any]:
        """Those that were given, as arguments of `et_agent.load_model`."""
        return {name: value for name, value in asdict(self).items() if value is not None}


NO_GPU_SETTINGS: Final = GpuSettings()


class LoadSettings(TypedDict, total=False):
    """How a model is loaded: arguments of `open_model`."""

    context: int | None
    threads: int | None
    width: int | None
    attention: bool
    dequantize: bool
    gpu: GpuSettings
    prefix_memory: int | None
    prefix_file: str | None


def check_load_settings(
    *, context: int | None, threads: int | None, width: int | None = None
) -> None:
    """Refuse what llama.cpp would not survive or would silently replace.

    Raises:
        SettingsError: The threads or the width are out of range.
        ContextError: The context is out of range.
    """
    if threads is not None and not 1 <= threads <= 512:
        raise SettingsError(f"--threads is {threads}: use 1 to 512 (this machine: {cores()})")
    if width is not None and not 1 <= width <= _MOST_SEQUENCES:
        raise SettingsError(
            f"--width is {width}: use 1 to {_MOST_SEQUENCES} (default {DEFAULT_WIDTH})"
        )
    if context is not None and not 32 <= context <= 2**22:
        raise ContextError(f"--context is {context}: use 32 to {2**22} (default 8192)")


def chosen_model(model: str | None, *, fast: bool) -> str:
    """The model that `--model` or `--fast` names, or the default.

    Raises:
        SettingsError: Both were given, or the user's settings cannot be read.
    """
    from et_agent.weights.catalog import SMALL_MODEL, default_model

    if fast and model is not None:
        raise SettingsError(f"--fast takes {SMALL_MODEL}: leave out --fast or --model")
    if fast:
        return SMALL_MODEL
    return default_model() if model is None else model


def check_target(spec: str, option: str, *, template: bool) -> None:
    """Refuse now a model that is loaded later, and that cannot serve as far as this can be known.

    Args:
        spec: As `open_model` takes it. A model that is still to be downloaded is not looked into.
        option: What names it, for messages.
        template: Whether it needs a chat template.

    Raises:
        ModelError: It names no model or a file that is not there, or one that cannot answer questions.
        SettingsError: It is no address of a server, or one that holds a password.
    """
    from et_agent.weights.catalog import CATALOG, locate, settled
    from et_agent.weights.gguf import read_gguf

    try:
        settled(spec)
    except ModelFileError as error:
        raise ModelFileError(f"{option}: {error}") from error
    if is_address(spec) or spec.lower() in CATALOG:
        return
    try:
        located = locate(spec, download=False)
    except ModelFileError:
        return  # it comes from the hub
    info = read_gguf(located.path)
    reason = info.why_unusable()
    if reason is None and template and info.chat_template is None:
        reason = "a model without a chat template (a base model?): use --chat plain or another one"
    if reason is not None:
        raise UnsupportedModelError(f"{option}: {located.name} is {reason}")


def dequantizes(dequantize: bool, unpack: bool) -> bool:
    """Whether weights are dequantized, by `--dequantize` or its old name `--unpack`."""
    if unpack:
        tell_deprecated("--unpack", "--dequantize")
    return dequantize or unpack


def load_settings(
    *,
    context: int | None = None,
    width: int | None = None,
    attention: bool = True,
    dequantize: bool = False,
    gpu: GpuSettings = NO_GPU_SETTINGS,
    prefix_memory: int | None = None,
) -> dict[str, Any]:
    """Options of commands as arguments of `et_agent.load_model`; `prefix_memory` is in MiB."""
    return {
        "context": 8192 if context is None else context,
        "attention": attention,
        "best_width": width,
        "dequantize": dequantize,
        **gpu.given(),
        "prefix_memory": None if prefix_memory is None else prefix_memory << 20,
        "max_sequences": max(_SEQUENCES, width or 0),
    }


def open_model(
    spec: str,
    *,
    context: int | None = None,
    threads: int | None = None,
    width: int | None = None,
    attention: bool = True,
    dequantize: bool = False,
    gpu: GpuSettings = NO_GPU_SETTINGS,
    prefix_memory: int | None = None,
    prefix_file: str | None = None,
    progress: TransferProgress | None = None,
) -> AbstractContextManager[AnyModel]:
    """Load a model or connect to its server; see `open_model` of the engines for errors.

    `prefix_memory` is in MiB.
    """
    if is_address(spec):
        given = {
            "--context": context,
            "--threads": threads,
            "--width": width,
            "--dequantize": dequantize or None,
            "--prefix-memory": prefix_memory,
            "--prefix-file": prefix_file,
            "--gpu-layers, --split-mode, --main-gpu": gpu.given() or None,
        }
        if of_process := [name for name, value in given.items() if value is not None]:
            raise SettingsError(
                f"{', '.join(of_process)}: for models in this process, and "
                f"{shown_address(spec)} is a server's address: leave it out, and set it where "
                "the server is started"
            )
        return closing(engines.open_model(spec))
    from et_agent.engines.loading import load_model
    from et_agent.kernels import attach

    model = load_model(
        spec,
        threads=threads,
        prefix_file=prefix_file,
        progress=progress,
        **load_settings(
            context=context,
            width=width,
            attention=attention,
            dequantize=dequantize,
            gpu=gpu,
            prefix_memory=prefix_memory,
        ),
    )
    kernels = attach()
    if kernels.fix:
        say(f"slower than it could be: {kernels.explained}")
    return closing(model)
