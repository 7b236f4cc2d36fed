"""Entry point of the `et-agent` command."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.main import get_command

from et_agent.cli import guard
from et_agent.cli.ask import AskCommand, ask
from et_agent.cli.calibration import calibrate_app
from et_agent.cli.chat import ChatCommand, chat
from et_agent.cli.config import config_app
from et_agent.cli.doctor import doctor
from et_agent.cli.evaluation import eval_app
from et_agent.cli.gating import gate_app
from et_agent.cli.help import with_plain_flags
from et_agent.cli.kernels import kernels_app
from et_agent.cli.label_files import label
from et_agent.cli.mcp import mcp
from et_agent.cli.models import models_app
from et_agent.cli.pilot import pilot
from et_agent.cli.schemas import schema
from et_agent.cli.scoring import ScoreCommand, score
from et_agent.cli.serving import serve
from et_agent.cli.terminal import make_streams_safe
from et_agent.cli.tree import tree
from et_agent.cli.tune import tune

__all__ = ["app", "main"]

app = typer.Typer(
    name="et-agent",
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=AskCommand)(ask)
app.command(cls=ChatCommand)(chat)
app.command(cls=ScoreCommand)(score)
app.command()(tree)
app.command()(serve)
app.command()(label)
# The options of a command are part of its name here.
app.command(context_settings={"ignore_unknown_options": True})(schema)
app.command()(mcp)
app.add_typer(models_app, name="models")
app.add_typer(config_app, name="config")
app.command()(doctor)
app.command()(pilot)
app.command()(tune)
app.add_typer(eval_app, name="eval")
app.add_typer(calibrate_app, name="calibrate")
app.add_typer(gate_app, name="gate")
app.add_typer(kernels_app, name="kernels")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"et-agent {version('et-agent')}")
        except PackageNotFoundError:
            print("et-agent, run from a source folder")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show the log, and tracebacks for bugs.")
    ] = False,
) -> None:
    """A local model that knows when it does not know.

    Decodes an entropy tree with llama.cpp. Gives the answer and the distribution over all answers.
    """
    del version
    if verbose:
        guard.be_verbose()
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code; see `guard` for the codes."""
    make_streams_safe()
    guard.reset()
    try:
        code: Any = with_plain_flags(get_command(app)).main(
            args=None if arguments is None else list(arguments),
            prog_name="et-agent",
            standalone_mode=False,
        )
    except typer.Abort:
        return guard.INTERRUPTED
    except Exception as error:
        # Typer's usage errors have no common public name through its versions.
        message = getattr(error, "format_message", None)
        if message is None:
            return guard.tell_bug(error)
        return _wrong_usage(error, str(message()))
    return code if isinstance(code, int) else 0


def _wrong_usage(error: Exception, message: str) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        return 0  # a group without a command has shown its help
    context = getattr(error, "ctx", None)
    path = "et-agent" if context is None else str(context.command_path)
    # Typer's own checks leave in what pydantic puts before a message.
    code = guard.fail(
        message.replace("Value error, ", ""), int(getattr(error, "exit_code", guard.USER_ERROR))
    )
    print(f"see `{path} --help`", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
