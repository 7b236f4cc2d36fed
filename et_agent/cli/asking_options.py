"""Options of the commands that ask something: `ask`, `gate ask`, `score`, and in part `eval run`.

What two of them have is declared here once, so that it means the same everywhere.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from et_agent.cli.decoders import TREE_PANEL
from et_agent.storage import user_path

if TYPE_CHECKING:
    from et_agent.asking.options import Calibration

__all__ = [
    "Alternatives",
    "CalibratorFile",
    "ChatName",
    "ChatStyle",
    "Choices",
    "DecoderName",
    "Explain",
    "Kind",
    "KindName",
    "Passages",
    "SameAnswers",
    "SameName",
    "Schema",
    "Seed",
    "System",
    "kind_of",
    "read_calibrator",
]

_PROMPT: Final = "Question"
_OUTPUT: Final = "Output"


class KindName(StrEnum):
    """Answer kinds, as `et_agent.answers.AnswerKind`."""

    NUMBER = "number"
    MATH = "math"
    CHOICE = "choice"
    TEXT = "text"
    DATE = "date"
    QUANTITY = "quantity"
    RANGE = "range"
    LIST = "list"
    YES_NO = "yes_no"
    JSON = "json"
    CODE = "code"
    LONG = "long"
    AUTO = "auto"


class ChatName(StrEnum):
    """Prompt styles, as `et_agent.asking.options.Chat`."""

    MODEL = "model"
    PLAIN = "plain"


class SameName(StrEnum):
    """Which answers are one, as `et_agent.asking.options.Same`."""

    MEANING = "meaning"
    TESTS = "tests"
    WORDS = "words"


Passages = Annotated[
    list[str] | None,
    typer.Option(
        "--passage",
        metavar="TEXT|@FILE",
        help="Answer from this text, or from that of a file, and say so if it does not hold the "
        "answer. May be given several times.",
        show_default=False,
        rich_help_panel=_PROMPT,
    ),
]
Choices = Annotated[
    list[str] | None,
    typer.Option(
        "--choice",
        metavar="TEXT",
        help="An option to choose from. Give it once for each.",
        show_default=False,
        rich_help_panel=_PROMPT,
    ),
]
Kind = Annotated[
    KindName,
    typer.Option(
        metavar="KIND",
        case_sensitive=False,
        help="Kind of answer: number, math, choice, text, date, quantity, range, list, yes_no, "
        "json, code, long for several sentences that are judged claim by claim, or auto, which "
        "decides among the others by the question.",
        rich_help_panel=_PROMPT,
    ),
]
System = Annotated[
    str | None,
    typer.Option(
        "--system",
        "--system-prompt",
        metavar="TEXT|@FILE",
        help='System prompt instead of the default for the kind; "" uses none.',
        rich_help_panel=_PROMPT,
    ),
]
Schema = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A JSON schema that the answer has to fit. Each of its fields gets a confidence.",
        rich_help_panel=_PROMPT,
    ),
]
ChatStyle = Annotated[
    ChatName,
    typer.Option(
        metavar="CHAT",
        case_sensitive=False,
        help="model: its own chat template; plain: a plain prompt.",
        rich_help_panel=_PROMPT,
    ),
]
SameAnswers = Annotated[
    SameName | None,
    typer.Option(
        "--same",
        case_sensitive=False,
        metavar="RULE",
        help="Which answers are one. meaning: those that the model says mean the same; tests: by tests "
        "of their words; words: those of the same words.",
        show_default="tests, and words with --passage",
        rich_help_panel=_PROMPT,
    ),
]
DecoderName = Annotated[
    str | None,
    typer.Option(
        "--decoder",
        metavar="NAME",
        help="entropy-tree, multi-chain or greedy.",
        show_default="entropy-tree; multi-chain for servers",
        rich_help_panel=TREE_PANEL,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="Random seed. The same seed gives the same tree.",
        show_default="0",
        rich_help_panel=TREE_PANEL,
    ),
]
Alternatives = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Keep the N most likely tokens at each token of the tree, for --json --tree and "
        "for pages.",
        show_default="5 with --html, else 0",
        rich_help_panel=_OUTPUT,
    ),
]
CalibratorFile = Annotated[
    str | None,
    typer.Option(
        "--calibrator",
        metavar="FILE",
        help="Calibrator that gives the confidence, or `none`.",
        show_default="the one that matches",
        rich_help_panel=_OUTPUT,
    ),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain",
        metavar="",
        help="Show more figures, and what moved the confidence.",
        rich_help_panel=_OUTPUT,
    ),
]


def read_calibrator(given: str | None) -> "Calibration":
    """What `--calibrator` names: "auto" where it was left out.

    Raises:
        CalibrationError: The file holds no calibrator.
    """
    from et_agent.calibration import Calibrator

    if given is None:
        return "auto"
    return None if given == "none" else Calibrator.load(user_path(given))


def kind_of(kind: KindName, choices: list[str] | None) -> KindName:
    """The kind of answer to questions that perhaps offer choices.

    Raises:
        SettingsError: They do, and the kind is of other answers.
    """
    from et_agent.errors import SettingsError

    if not choices:
        return kind
    if kind not in (KindName.AUTO, KindName.CHOICE):
        raise SettingsError(f"--choice asks for one of the choices: leave out --kind {kind.value}")
    return KindName.CHOICE
