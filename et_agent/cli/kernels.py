"""`et-agent kernels`: build, check and switch off the compiled kernels."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from et_agent.cli.guard import command

if TYPE_CHECKING:
    from et_agent.cli.self_test import Check

__all__ = ["kernels_app", "kernels_check"]

kernels_app = typer.Typer(
    help="Faster products for x86 CPUs: compile them for this machine, check them, switch them off."
)


@kernels_app.callback(invoke_without_command=True)
def _root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@kernels_app.command("build")
@command
def build_(
    again: Annotated[
        bool, typer.Option("--again", help="Compile them even if they are there.")
    ] = False,
) -> int:
    """Compile the kernels for this CPU and llama.cpp, check them, and use them from now on."""
    from et_agent.cli.terminal import say, write_line
    from et_agent.kernels.building import build, switch
    from et_agent.kernels.library import VARIABLE

    found = build(again=again, say=say)
    switch(on=True)
    named = os.environ.get(VARIABLE) or found.instructions
    state = (
        "in use" if named == found.instructions else f"built, but {VARIABLE} is {named}: unset it"
    )
    write_line(
        f"kernels for {found.instructions} and llama-cpp-python {found.llama_cpp_python} are {state}"
    )
    return 0


@kernels_app.command()
@command
def check() -> int:
    """Compare the kernels with float64 and with llama.cpp's own products again."""
    from et_agent.cli.terminal import write_line
    from et_agent.errors import KernelError
    from et_agent.kernels.building import find_build, llama_library
    from et_agent.kernels.checking import check_library
    from et_agent.kernels.library import attach

    kernels, llama = attach(), llama_library()
    found = None
    if kernels.instructions is not None and llama is not None:
        found = find_build(kernels.instructions, llama)
    if found is None or llama is None:
        raise KernelError(f"there is nothing to check: {kernels.explained}")
    if problem := check_library(found.library, llama):
        raise KernelError(
            f"the kernels are wrong: {problem}; switch them off with `et-agent kernels off`"
        )
    write_line(f"kernels for {found.instructions}: no less exact than llama.cpp's own")
    return 0


@kernels_app.command()
@command
def off() -> int:
    """Use llama.cpp's own kernels from now on."""
    from et_agent.cli.terminal import write_line
    from et_agent.kernels.building import switch

    switch(on=False)
    write_line("llama.cpp's own kernels are used from now on; `et-agent kernels build` ends that")
    return 0


def kernels_check() -> "Check":
    """What `doctor` says of the kernels."""
    from et_agent.cli.self_test import Check
    from et_agent.kernels.library import attach

    kernels = attach()
    if kernels.in_use:
        return Check("kernels", "ok", f"compiled for {kernels.name}")
    detail = f"llama.cpp's own: {kernels.reason}"
    return Check("kernels", "warn" if kernels.fix else "ok", detail, kernels.fix)
