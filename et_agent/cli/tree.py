"""`et-agent tree`: looks at a result that `ask --json --tree` printed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from et_agent.cli.guard import command
from et_agent.cli.pages import Html, PageFiles, Png, Svg, decision_about

if TYPE_CHECKING:
    from et_agent.results import AskResult

__all__ = ["tree"]


@command
def tree(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="What `ask --json --tree` printed: one result, or one per line. - reads standard "
            "input. Single tokens and their alternatives need `--alternatives 5` there.",
        ),
    ],
    line: Annotated[
        int | None,
        typer.Option(help="Which of several results, counted from 1.", show_default=False),
    ] = None,
    html: Html = None,
    svg: Svg = None,
    png: Png = None,
    policy: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The gate's policy as a TOML file.", show_default=False),
    ] = None,
    answer_at: Annotated[
        float | None,
        typer.Option(help="The gate's threshold, instead of the policy's.", show_default="0.8"),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", metavar="", help="Show what moved the confidence.")
    ] = False,
) -> int:
    """Look at a result again: in the terminal, or as a page or a picture."""
    from et_agent.cli.report import print_result

    files = PageFiles(html, svg, png)
    result = read_result(file, line)
    decision = decision_about(result, policy, answer_at)
    if files.wanted:
        files.write(result, decision=decision)
    else:
        print_result(result, tree=True, explain=explain)
    return 0


def read_result(file: str, line: int | None = None) -> "AskResult":
    """A result as `ask --json --tree` prints it.

    Args:
        file: A file with one result, or one per line; "-" for standard input.
        line: Which of several, counted from 1; None for the only one.

    Raises:
        InputError: The file cannot be read, holds no such result, or the result has no tree.
    """
    from pydantic import ValidationError

    from et_agent.cli.standard_input import NAME
    from et_agent.errors import InputError
    from et_agent.evaluation.result_files import read_documents
    from et_agent.results import AskResult
    from et_agent.validation import explained

    name = NAME if file == "-" else file
    documents = [one for _, one in read_documents(_read(file), name)]
    if not documents:
        raise InputError(f"{name} is empty: use what `ask --json --tree` prints")
    if line is None and len(documents) > 1:
        raise InputError(f"{name} holds {len(documents)} results: choose one with --line")
    if line is not None and not 1 <= line <= len(documents):
        raise InputError(f"--line is {line}: {name} holds results 1 to {len(documents)}")
    found = documents[(line or 1) - 1]
    if isinstance(found, dict) and "trace_id" in found:
        raise InputError(
            f"{name} is a decision of a gate, which has no tree: use what `ask --json --tree` prints"
        )
    try:
        result = AskResult.model_validate(found)
    except ValidationError as error:
        told = explained("the result", error)
        raise InputError(f"{name} is no result of `ask --json --tree`: {told[:300]}") from error
    if result.tree is None or not result.tree.nodes:
        raise InputError(f"the result in {name} has no tree: print it with `ask --json --tree`")
    return result


def _read(file: str) -> str:
    from et_agent.cli.standard_input import stdin_text
    from et_agent.evaluation.result_files import read_text

    return stdin_text() if file == "-" else read_text(Path(file))
