"""What commands print with `--json` that is no record of the Python interface.

The commands build it as these types, and `et-agent schema` describes it by them.
"""

from typing import Literal, NotRequired

from pydantic import JsonValue, with_config
from typing_extensions import TypedDict

from et_agent.scores import ScoreReport

__all__ = [
    "DoctorCheck",
    "Feature",
    "Findings",
    "KnownModel",
    "ListedRun",
    "LocalFile",
    "LocalFiles",
    "LocalFolder",
    "LocalProblem",
    "MeasuredRate",
    "ModelFacts",
    "ModelInfo",
    "ScoredRow",
    "Setting",
    "Settings",
    "Tuned",
]

_printed = with_config(extra="forbid", use_attribute_docstrings=True)


# Written so because Python has the key as a keyword.
_From = TypedDict("_From", {"from": str | None})


@_printed
class Setting(_From):
    """A setting, and where it is from: a file or an environment variable."""

    value: JsonValue
    """Its value; null where the default holds."""


@_printed
class Settings(TypedDict):
    """Settings by name, and environment variables with what they hold."""

    settings: dict[str, Setting]
    """Settings by name."""
    variables: dict[str, str | None]
    """Environment variables; null where one is not set."""


@_printed
class ListedRun(TypedDict):
    """A run of a store."""

    name: str
    """Its name."""
    questions: int
    """Questions that were decoded."""
    wanted: int
    """Questions that there are to be; 0 where that is not known."""
    accuracy: float | None
    """Share of right answers; null without a question."""
    created: str
    """When it was begun, ISO 8601."""
    settings: dict[str, JsonValue]
    """Model, data, decoder and what is not the decoder's default."""


@_printed
class KnownModel(TypedDict):
    """A model of the catalog."""

    name: str
    """What `--model` takes."""
    title: str
    """What its publisher calls it, with the quantisation."""
    size: int
    """Bytes."""
    licence: str
    """SPDX identifier, or the name of the terms."""
    instruct: bool
    """Tuned to follow instructions; false for a base model."""
    sha256: str
    """Checksum of the file."""
    path: str
    """Where the file is, or will be."""
    cached: bool
    """Whether it is there."""
    default: bool
    """Whether it is the model that is taken where none is named."""
    tried: bool
    """Whether this project runs its tests or its measurements with it."""
    sources: list[str]
    """Where it can be had, tried in this order."""


@_printed
class LocalFile(TypedDict):
    """A model file of another program. What its header says is null where that cannot be read."""

    name: str
    """What `--model` takes."""
    program: str
    """The program's name."""
    path: str
    """The file."""
    size: int | None
    """Bytes."""
    architecture: str | None
    """llama.cpp's name of the architecture."""
    quantisation: str | None
    """Type of most weights."""
    parameters: int | None
    """Number of weights."""
    chat_template: bool | None
    """Whether it brings a chat template."""
    usable: bool
    """Whether it can answer questions here."""
    reason: str | None
    """Why it cannot."""


@_printed
class LocalProblem(TypedDict):
    """Something of another program that could not be read."""

    program: str
    """The program's name."""
    path: str
    """The file or folder."""
    name: str | None
    """What the program calls the model that it is about, if that is known."""
    problem: str
    """What is wrong with it."""


@_printed
class LocalFolder(TypedDict):
    """A folder that was looked at."""

    program: str
    """The program's name."""
    path: str
    """The folder."""


@_printed
class LocalFiles(TypedDict):
    """Models of other programs on this machine."""

    models: list[LocalFile]
    """The files."""
    problems: list[LocalProblem]
    """What could not be read."""
    folders: list[LocalFolder]
    """Folders that were looked at and exist."""


@_printed
class Feature(TypedDict):
    """Whether a model file supports something."""

    possible: bool
    """Whether it does."""
    reason: str
    """Why, or why not and what to do."""


@_printed
class ModelFacts(TypedDict):
    """What a model file contains. Null is what its header does not say."""

    name: str
    """Catalog name or file name."""
    path: str
    """The file."""
    title: str | None
    """The model's own name."""
    architecture: str
    """llama.cpp's name of the architecture."""
    parameters: int
    """Number of weights."""
    quantisation: str
    """Type of most weights."""
    size: int
    """Bytes."""
    layers: int | None
    """Number of layers."""
    context: int | None
    """Tokens that the model was trained for."""
    vocabulary: int | None
    """Number of tokens in the vocabulary."""
    chat_template: bool
    """Whether it brings a chat template."""
    sliding_window: int | None
    """Width of sliding-window attention in tokens; null without it."""
    sha256: str
    """Checksum of the file."""
    licence: NotRequired[str]
    """SPDX identifier, or the name of the terms; of models of the catalog alone."""
    sources: NotRequired[list[str]]
    """Where it can be had, tried in this order; of models of the catalog alone."""


@_printed
class ModelInfo(ModelFacts):
    """What a model file contains and supports. Null is what its header does not say."""

    features: dict[str, Feature]
    """"forks", "attention", "chat" and "pilot"."""


@_printed
class DoctorCheck(TypedDict):
    """A line of `doctor`."""

    name: str
    """What was looked at."""
    status: Literal["ok", "warn", "fail"]
    """How it went."""
    detail: str
    """What was found."""
    fix: str
    """What to do about it; empty when all is well."""


@_printed
class Findings(TypedDict):
    """What `doctor` found."""

    ok: bool
    """Whether no check failed."""
    checks: list[DoctorCheck]
    """Its lines."""


@_printed
class MeasuredRate(TypedDict):
    """What one setting gives."""

    threads: int
    """CPU threads."""
    width: int
    """Rows in a batch."""
    tokens_per_second: float
    """Rows decoded per second, the fastest of some steps."""


@_printed
class Tuned(TypedDict):
    """What `tune` chose, and all that it measured."""

    threads: int
    """CPU threads."""
    width: int
    """Rows in a batch."""
    rates: list[MeasuredRate]
    """What was measured."""


@_printed
class ScoredRow(TypedDict):
    """A line of `score --file`: a row with its score, or with what kept it from having one."""

    line: int
    """Line of the row in the file."""
    id: NotRequired[str]
    """What the file calls the row."""
    row: str
    """Hash of what the score depends on, by which an interrupted file is gone on with."""
    score: NotRequired[ScoreReport]
    """The score."""
    error: NotRequired[str]
    """Why there is none."""
