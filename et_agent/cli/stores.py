"""Options of commands that work with stored evaluation runs."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from et_agent.evaluation.store import RunStore

__all__ = ["RunNames", "StoreFile", "open_store"]

StoreFile = Annotated[
    str | None,
    typer.Option("--store", metavar="FILE", help="File with runs.", show_default="your own"),
]
RunNames = Annotated[
    list[str], typer.Argument(metavar="RUN…", help="Runs, or prefixes of their names.")
]


def open_store(path: str | None) -> "RunStore":
    """The store at a path; the user's own for None."""
    from et_agent.evaluation.store import RunStore, default_store_path
    from et_agent.storage import user_path

    return RunStore(default_store_path() if path is None else user_path(path))
