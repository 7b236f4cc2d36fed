"""Options that commands have in common which decode the questions of data sets."""

from typing import Annotated

import typer

__all__ = [
    "ContextSize",
    "CpuThreads",
    "Dequantize",
    "LeavesPerQuestion",
    "MaxTokens",
    "ModelSpec",
    "SystemPrompt",
    "Temperature",
    "Unpack",
    "Verbose",
    "Width",
]

ModelSpec = Annotated[
    str | None,
    typer.Option(metavar="NAME|PATH|hf:…", show_default="qwen2.5-coder-0.5b", help="Model."),
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
