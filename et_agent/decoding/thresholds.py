"""Percentiles of token entropy and attention, measured by a pilot on other questions.

tau and delta must be fixed before a question is seen, or forks depend on what they should predict.
A pilot (`et-agent pilot`) measures the percentiles once for a model file; they are found again by the
file's SHA-256. The catalog's models ship with theirs in `et_agent/decoding/pilots/`.
"""

import json
import os
from importlib import resources
from pathlib import Path
from typing import Final, Literal

import numpy as np
from pydantic import ConfigDict, Field

from et_agent.errors import SettingsError
from et_agent.storage import (
    cache_dir,
    data_dir,
    read_regular,
    sealed,
    unsealed,
    write_atomically,
)
from et_agent.validation import Record, parsed_json

__all__ = ["Thresholds", "find_thresholds", "save_thresholds", "thresholds_folder"]

_POINTS: Final = 101
_LARGEST: Final = 4 << 20
"""A larger file is no pilot, bytes."""


class Thresholds(Record):
    """Percentiles 0 to 100 of what a pilot saw in a model's generated tokens."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    schema_version: Literal[1] = 1
    """Version of this file format."""
    model_sha256: str
    """SHA-256 of the model file that was measured."""
    model_name: str
    """The model's name, for people."""
    created: str
    """Day of the pilot, ISO 8601."""
    questions: int = Field(ge=1)
    """Questions in the pilot."""
    tokens: int = Field(ge=1)
    """Generated tokens that were measured."""
    temperature: float = Field(gt=0)
    """Temperature at which the pilot's texts were sampled."""
    source: str
    """Where the questions came from."""
    entropy: tuple[float, ...] = Field(min_length=_POINTS, max_length=_POINTS)
    """Percentiles of token entropy at temperature 1, nats."""
    received: tuple[float, ...] | None = Field(min_length=_POINTS, max_length=_POINTS)
    """Percentiles of the mean attention a token received from later queries; None without."""
    prompt_attention: tuple[float, ...] | None = Field(min_length=_POINTS, max_length=_POINTS)
    """Percentiles of the attention that deciding queries gave the prompt; None without."""

    def entropy_at(self, percentile: float) -> float:
        """Token entropy at a percentile in [0, 100], nats."""
        return _at(self.entropy, percentile)

    def received_at(self, percentile: float) -> float | None:
        """Attention received from later queries at a percentile; None when it was not measured."""
        return None if self.received is None else _at(self.received, percentile)

    def prompt_attention_at(self, percentile: float) -> float | None:
        """Attention given to the prompt at a percentile; None when it was not measured."""
        return None if self.prompt_attention is None else _at(self.prompt_attention, percentile)


def _at(points: tuple[float, ...], percentile: float) -> float:
    return float(np.interp(percentile, np.arange(_POINTS), points))


def thresholds_folder() -> Path:
    """Where pilots of the user's own models are kept."""
    if os.environ.get("ET_AGENT_CACHE"):
        return cache_dir() / "pilots"
    return data_dir() / "pilots"


def find_thresholds(model_sha256: str) -> Thresholds | None:
    """The thresholds of a model file: the user's own pilot first, then the shipped one.

    Raises:
        SettingsError: The file that was found is damaged.
    """
    name = f"{model_sha256}.json"
    own = thresholds_folder() / name
    try:
        return _read(read_regular(own, most=_LARGEST), str(own))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise SettingsError(
            f"the pilot file {own} cannot be read: {error.strerror or error}; mend its rights, or "
            "delete it and run `et-agent pilot` again"
        ) from error
    shipped = resources.files("et_agent.decoding") / "pilots" / name
    if shipped.is_file():
        return _read(shipped.read_bytes(), name)
    return None


def _read(text: bytes, where: str) -> Thresholds:
    try:
        return Thresholds.model_validate(unsealed(parsed_json(text)))
    except ValueError as error:  # not UTF-8, not JSON, or not this format
        raise SettingsError(
            f"the pilot file {where} cannot be read; delete it and run `et-agent pilot` again"
        ) from error


def save_thresholds(thresholds: Thresholds, path: Path | None = None) -> Path:
    """Write thresholds, whole or not at all; return the path.

    Args:
        thresholds: The thresholds.
        path: The file; None for where a model's thresholds are looked for.

    Raises:
        SettingsError: They cannot be written.
    """
    path = thresholds_folder() / f"{thresholds.model_sha256}.json" if path is None else path
    text = json.dumps(sealed(json.loads(thresholds.model_dump_json())), indent=1) + "\n"
    write_atomically(path, text, error=SettingsError)
    return path
