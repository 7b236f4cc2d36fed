"""Options that commands have in common which load a model, or decode questions."""

from enum import StrEnum
from typing import Annotated, Final

import typer

__all__ = [
    "FAST_HELP",
    "MODEL_METAVAR",
    "MODEL_SHOWN",
    "Attention",
    "ContextSize",
    "CpuThreads",
    "Dequantize",
    "Fast",
    "GpuLayers",
    "LeavesPerQuestion",
    "MainGpu",
    "MaxTokens",
    "ModelSpec",
    "PrefixFile",
    "PrefixMemory",
    "SplitMode",
    "SplitModeName",
    "Temperature",
    "Unpack",
    "Verbose",
    "Width",
]

MODEL_METAVAR: Final = "MODEL"
MODEL_SHOWN: Final = "qwen2.5-coder-0.5b, or your setting"
"""What is said of the default: `et_agent.weights.catalog.default_model`."""
MODEL_HELP: Final = (
    "A catalog name, a GGUF file, hf:owner/repo/file.gguf, a model of another program such as "
    "ollama:llama3.2, or the address of an OpenAI-compatible server, http://HOST:PORT/v1#NAME; its key "
    "is read from the environment variable ET_AGENT_API_KEY."
)

FAST_HELP: Final = "Take the small model, qwen2.5-coder-0.5b, whatever your setting is."

_MODEL: Final = "Model"
_GPU: Final = "GPU"

Fast = Annotated[bool, typer.Option("--fast", metavar="", help=FAST_HELP, rich_help_panel=_MODEL)]
ModelSpec = Annotated[
    str | None,
    typer.Option(
        metavar=MODEL_METAVAR, show_default=MODEL_SHOWN, help=MODEL_HELP, rich_help_panel=_MODEL
    ),
]
LeavesPerQuestion = Annotated[
    int | None, typer.Option(help="Leaves per question.", show_default="16")
]
MaxTokens = Annotated[int | None, typer.Option(help="Longest path in tokens.", show_default="320")]
Temperature = Annotated[
    float | None, typer.Option(help="Sampling temperature.", show_default="0.7")
]
ContextSize = Annotated[
    int | None,
    typer.Option(
        help="Context size: tokens of prompt and path.",
        show_default="8192",
        rich_help_panel=_MODEL,
    ),
]
CpuThreads = Annotated[
    int | None,
    typer.Option(help="CPU threads.", show_default="the cores", rich_help_panel=_MODEL),
]
Width = Annotated[
    int | None,
    typer.Option(
        help="Largest number of branches in a batch.", show_default="32", rich_help_panel=_MODEL
    ),
]


class SplitModeName(StrEnum):
    """How layers are divided among several GPUs."""

    NONE = "none"
    LAYER = "layer"
    ROW = "row"
    TENSOR = "tensor"


GpuLayers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Layers on the GPU, the last ones first; 0 for none.",
        show_default="all",
        rich_help_panel=_GPU,
    ),
]
SplitMode = Annotated[
    SplitModeName | None,
    typer.Option(
        metavar="HOW",
        case_sensitive=False,
        help="How they are divided among several GPUs: layer, row, tensor, or none for one alone.",
        show_default="layer",
        rich_help_panel=_GPU,
    ),
]
MainGpu = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="That one's number, in the order of `et-agent doctor`.",
        show_default="0",
        rich_help_panel=_GPU,
    ),
]
Unpack = Annotated[bool, typer.Option("--unpack", hidden=True)]
Dequantize = Annotated[
    bool,
    typer.Option(
        "--dequantize",
        metavar="",
        help="Decode from float16 weights, faster on CPUs without AMX or AVX-512 (see doctor).",
        rich_help_panel=_MODEL,
    ),
]
PrefixMemory = Annotated[
    int | None,
    typer.Option(
        metavar="MIB",
        help="Memory for beginnings of prompts that later questions go on from, MiB; 0 keeps none.",
        show_default="64",
        rich_help_panel=_MODEL,
    ),
]
PrefixFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Keep prompts in this file, so that the next call need not decode a long one again.",
        rich_help_panel=_MODEL,
    ),
]
Attention = Annotated[
    bool | None,
    typer.Option(
        "--attention/--no-attention",
        help="Read attention always, for --json --tree; or never.",
        show_default="where the decoder or the confidence needs it",
        rich_help_panel=_MODEL,
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        metavar="",
        help="Show the log, including that of llama.cpp.",
        rich_help_panel="Output",
    ),
]
