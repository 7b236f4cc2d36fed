"""Options that commands have in common which decode the questions of data sets."""

from typing import Annotated, Final

import typer

__all__ = [
    "FAST_HELP",
    "MODEL_HELP",
    "MODEL_METAVAR",
    "MODEL_SHOWN",
    "ContextSize",
    "CpuThreads",
    "Dequantize",
    "Fast",
    "LeavesPerQuestion",
    "MaxTokens",
    "ModelSpec",
    "SystemPrompt",
    "Temperature",
    "Unpack",
    "Verbose",
    "Width",
]

MODEL_METAVAR: Final = "NAME|PATH|hf:…"
MODEL_SHOWN: Final = "qwen2.5-coder-0.5b, or your setting"
"""What is said of the default: `et_agent.weights.catalog.default_model`."""
MODEL_HELP: Final = (
    "A catalog name, a GGUF file, hf:owner/repo/file.gguf, or a model of another program such as "
    "ollama:llama3.2."
)

FAST_HELP: Final = "Take the small model, qwen2.5-coder-0.5b, whatever your setting is."

Fast = Annotated[bool, typer.Option("--fast", metavar="", help=FAST_HELP)]
ModelSpec = Annotated[
    str | None,
    typer.Option(metavar=MODEL_METAVAR, show_default=MODEL_SHOWN, help=MODEL_HELP),
]
LeavesPerQuestion = Annotated[
    int | None, typer.Option(help="Leaves per question.", show_default="16")
]
MaxTokens = Annotated[int | None, typer.Option(help="Longest path in tokens.", show_default="320")]
Temperature = Annotated[
    float | None, typer.Option(help="Sampling temperature.", show_default="0.7")
]
SystemPrompt = Annotated[str | None, typer.Option(help="Replaces the answer kind's instruction.")]
ContextSize = Annotated[
    int | None,
    typer.Option(help="Context size: tokens of prompt and path.", show_default="8192"),
]
CpuThreads = Annotated[int | None, typer.Option(help="CPU threads.", show_default="the cores")]
Width = Annotated[
    int | None, typer.Option(help="Largest number of branches in a batch.", show_default="32")
]
Unpack = Annotated[bool, typer.Option("--unpack", hidden=True)]
Dequantize = Annotated[
    bool, typer.Option("--dequantize", metavar="", help="Decode from float16 weights.")
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the log.")]
