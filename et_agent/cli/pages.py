"""Results as files to look at: `--html`, `--svg` and `--png`."""

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Final

import typer

from et_agent.cli.policies import policy_of
from et_agent.cli.terminal import say
from et_agent.errors import SettingsError
from et_agent.extras import install_hint
from et_agent.storage import user_path

if TYPE_CHECKING:
    from et_agent.gate import Decision
    from et_agent.results import AskResult

__all__ = ["Html", "PageFiles", "Png", "Svg", "decision_about"]

_ALTERNATIVES: Final = 5
"""Alternatives per token in a page, unless the options say otherwise."""
_PANEL: Final = "Output"

Html = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Write a page to look at: the tree, its tokens, the distribution, the confidence and "
        "what a gate decides. One file that needs no network.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
"""The option for a page."""
Svg = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Draw the tree as SVG.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
"""The option for a picture of lines."""
Png = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Draw the tree as PNG.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
"""The option for a picture of points."""


@dataclass(frozen=True, slots=True)
class PageFiles:
    """The files that a call writes for each of its results.

    Raises:
        SettingsError: One of them cannot be written there, two are the same, or matplotlib is missing.
            This is told before anything is decoded.
    """

    html: str | None = None
    svg: str | None = None
    png: str | None = None

    def __post_init__(self) -> None:
        given = [(ending, file) for ending, file in self._given() if file is not None]
        for ending, file in given:
            path = user_path(file)
            if path.is_dir() or not path.parent.is_dir():
                what = "is a folder" if path.is_dir() else f"has no folder {path.parent}"
                raise SettingsError(
                    f"--{ending} {file} {what}: name a file in a folder that exists"
                )
            if ending != "html" and path.suffix.lower() != f".{ending}":
                raise SettingsError(f"--{ending} {file}: let the name end in .{ending}")
        if len({user_path(file).resolve() for _, file in given}) < len(given):
            raise SettingsError("two of --html, --svg and --png name the same file: name two files")
        if (self.svg or self.png) and find_spec("matplotlib") is None:
            raise SettingsError(f"pictures need matplotlib: {install_hint('eval')}")

    def _given(self) -> Iterator[tuple[str, str | None]]:
        yield from (("html", self.html), ("svg", self.svg), ("png", self.png))

    @property
    def wanted(self) -> bool:
        """Whether there is any."""
        return any(file is not None for _, file in self._given())

    def alternatives(self, given: int | None) -> int:
        """Tokens that are kept at each token: those that were asked for, or what a page shows."""
        return (0 if self.html is None else _ALTERNATIVES) if given is None else given

    def write(self, result: "AskResult", *, number: int = 0, decision: "Decision | None") -> None:
        """Write the files of one result.

        Args:
            result: The result.
            number: Stands in the names if a call has several results; 0 for the only one.
            decision: What a gate decided; None if none was asked.

        Raises:
            SettingsError: A file cannot be written, or the result carries no tree.
        """
        from et_agent.pages import draw_tree_picture, result_page

        for ending, file in self._given():
            if file is None:
                continue
            path = user_path(file)
            if number:
                path = path.with_name(f"{path.stem}-{number}{path.suffix}")
            try:
                if ending == "html":
                    path.write_text(result_page(result, decision), encoding="utf-8")
                else:
                    draw_tree_picture(result, path)
            except OSError as error:
                reason = error.strerror or errno.errorcode.get(error.errno or 0, str(error))
                raise SettingsError(f"cannot write {path}: {reason}") from error
            say(f"wrote {path}")


def decision_about(
    result: "AskResult", policy: str | None = None, answer_at: float | None = None
) -> "Decision":
    """What a gate decides about a result, without calling or asking anybody.

    Args:
        result: The result.
        policy: A TOML file; None for the environment's policy, or that of `gate ask`.
        answer_at: Replaces the policy's threshold.

    Raises:
        PolicyError: The policy cannot be read.
    """
    from et_agent.gate import Gate

    changes = {"clarify": False} | ({} if answer_at is None else {"answer_at": answer_at})
    return Gate(policy_of(policy, changes)).decide(result)
