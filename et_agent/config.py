"""The user's settings: what holds where neither an argument nor an option says anything.

A setting comes from the first of these that has it:

    1. the argument of a function, the option of a command
    2. the environment variable, such as ET_AGENT_MODEL
    3. the user's file (`et-agent config path`), in TOML
    4. the built-in default

The file is read when a model is loaded or named, never at import. It is small: a setting that is not
in it does not exist, and an unknown key is an error.
"""

import contextlib
import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import Field, ValidationError

from et_agent.arguments import checks_arguments
from et_agent.errors import SettingsError
from et_agent.storage import config_file, locked, read_regular, write_atomically
from et_agent.validation import Frozen, parsed_toml, shown

__all__ = [
    "VARIABLES",
    "Config",
    "known_key",
    "read_config",
    "set_value",
    "shown_variable",
    "source_of",
    "unset_value",
    "variable_of",
]

_MOST_BYTES: Final = 1024 * 1024
_PASSWORD: Final = re.compile(r"//[^/\s]*@")


class Config(Frozen):
    """The settings and what they mean; None where the built-in default holds."""

    model: str | None = Field(default=None, min_length=1)
    """The model where none is named: a catalog name, a path, `hf:…`, `ollama:…`, a server's address."""
    threads: int | None = Field(default=None, ge=1, le=512)
    """CPU threads; otherwise what `et-agent tune` found, or all cores."""
    prefix_memory: int | None = Field(default=None, ge=0, le=2**20)
    """Memory for beginnings of prompts that later questions go on from, MiB; otherwise 64."""


VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ET_AGENT_MODEL": "the setting `model`",
        "ET_AGENT_THREADS": "the setting `threads`",
        "ET_AGENT_PREFIX_MEMORY": "the setting `prefix_memory`, MiB",
        "ET_AGENT_API_KEY": "the key of models behind servers",
        "ET_AGENT_SERVER_KEYS": "keys of clients of `et-agent serve`, separated by commas",
        "ET_AGENT_CONFIG": "the file of the settings",
        "ET_AGENT_CACHE": "the folder of models and of what is compiled, measured or fitted for them",
        "ET_AGENT_DATA": "the folder of evaluation data sets",
        "ET_AGENT_RUNS": "the file of evaluation runs",
        "ET_AGENT_INDEX": "package indexes (addresses or folders) that model files come from",
        "ET_AGENT_KERNELS": "instruction set of the kernels, or `off` for none",
        "ET_AGENT_GATE_…": "a gate's policy, such as ET_AGENT_GATE_ANSWER_AT=0.8",
    }
)
"""Every environment variable of et-agent, and what it sets."""


@checks_arguments
def variable_of(key: str) -> str:
    """The environment variable of a setting."""
    return f"ET_AGENT_{key.upper()}"


@checks_arguments
def shown_variable(name: str) -> str | None:
    """What an environment variable holds, for eyes: without keys and passwords; None if unset.

    A name that ends in "…" stands for all variables that begin so.
    """
    value = os.environ.get(name)
    if name.endswith("…"):
        alike = sorted(one for one in os.environ if one.startswith(name[:-1]))
        value = " ".join(f"{one}={os.environ[one]}" for one in alike) or None
    if value and name.endswith(("_KEY", "_KEYS")):
        return "(a key)"
    return None if value is None else _PASSWORD.sub("//…@", value)


def read_config() -> Config:
    """The settings of the environment and the user's file.

    Raises:
        SettingsError: The file is not TOML or cannot be read, a key is unknown, or a value does not
            fit. It names the file or the variable, and the key.
    """
    in_file = _checked(_in_file(), str(config_file()), strict=True)
    named = _in_environment()
    places = ", ".join(map(variable_of, named))
    in_environment = _checked(named, places).model_dump(exclude_unset=True)
    return in_file.model_copy(update=in_environment)


@checks_arguments
def source_of(key: str) -> str | None:
    """Where a setting comes from: the name of a variable or the path of the file; None if unset."""
    if key in _in_environment():
        return variable_of(key)
    return str(config_file()) if key in _in_file() else None


@checks_arguments
def known_key(key: str) -> str:
    """The name of a setting as it is written in the file.

    Raises:
        SettingsError: There is no such setting; names those that there are.
    """
    return _known(key)


@checks_arguments
def set_value(key: str, value: str) -> Config:
    """Write a setting to the user's file, whose other lines stay as they are.

    Args:
        key: Name of the setting.
        value: As it is written on a command line: a number or a text.

    Raises:
        SettingsError: The key is unknown, the value does not fit, or the file cannot be written.
    """
    known = _known(key)
    checked = _checked({known: value}, fix="nothing was set")
    written = f"{known} = {_toml(getattr(checked, known))}"
    with _changing():
        lines = _lines()
        before = _parsed(lines)
        numbers = [number for number, line in enumerate(lines) if _key(line) == known]
        if numbers:
            lines[numbers[0]] = written
        else:
            lines.append(written)
        return _write(lines, {**before, known: getattr(checked, known)})


@checks_arguments
def unset_value(key: str) -> bool:
    """Remove a key from the user's file, known or not; tells whether it was there.

    Raises:
        SettingsError: The file cannot be read or written.
    """
    with _changing():
        lines = _lines()
        names = {key.strip(), key.strip().lower().replace("-", "_")}
        kept = [line for line in lines if _key(line) not in names]
        if len(kept) == len(lines):
            if names & _parsed(lines).keys():
                raise SettingsError(
                    f"{config_file()}: {key} spans several lines; remove it by hand"
                )
            return False
        if not _is_kept(lines, kept, names):
            raise _by_hand()
        _write_lines(kept)
        return True


@contextlib.contextmanager
def _changing() -> Iterator[None]:
    """Keep other processes from changing the user's file meanwhile."""
    path = config_file()
    try:
        with locked(path.parent / f".{path.name}.lock", lambda: None, poll_seconds=0.02):
            yield
    except OSError as error:
        raise SettingsError(
            f"the settings cannot be written to {path}: {error.strerror or error}. Check its "
            "permissions, or set ET_AGENT_CONFIG to another file."
        ) from None


def _is_kept(lines: list[str], kept: list[str], names: set[str]) -> bool:
    """Whether all other keys mean what they did: a line may stand in a text of several."""
    try:
        found = _parsed(lines)
    except SettingsError:
        return True  # it may be TOML without this line
    try:
        return _parsed(kept) == {key: one for key, one in found.items() if key not in names}
    except SettingsError:
        return False


def _by_hand() -> SettingsError:
    return SettingsError(
        f"{config_file()} is written in a way that is not changed: edit it by hand"
    )


def _in_environment() -> dict[str, str]:
    found = {key: os.environ.get(variable_of(key), "").strip() for key in Config.model_fields}
    return {key: value for key, value in found.items() if value}


def _in_file() -> dict[str, Any]:
    found = _parsed(_lines())
    for key in found:
        _known(key, where=f"{config_file()}: ")
    return found


def _lines() -> list[str]:
    path = config_file()
    try:
        text = read_regular(path, most=_MOST_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise SettingsError(f"the settings in {path} cannot be read: {said}") from None
    # Not `splitlines`: a text may hold other ends of lines.
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []


def _parsed(lines: list[str]) -> dict[str, Any]:
    try:
        return parsed_toml("\n".join(lines))
    except ValueError as error:
        raise SettingsError(
            f"{config_file()} is not TOML: {error}. Correct or delete it."
        ) from None


def _key(line: str) -> str | None:
    match = re.match(r"\s*(?:\"([^\"]*)\"|'([^']*)'|([\w-]+))\s*=", line)
    return next((one for one in match.groups() if one is not None), None) if match else None


def _known(key: str, where: str = "") -> str:
    name = key.strip().lower().replace("-", "_") if not where else key
    if name in Config.model_fields:
        return name
    close = difflib.get_close_matches(name, Config.model_fields, n=1, cutoff=0.5)
    meant = f" Did you mean {close[0]}?" if close else ""
    remove = f" `et-agent config unset {key}` removes it." if where else ""
    raise SettingsError(
        f"{where}there is no setting {key!r}.{meant} "
        f"There are {', '.join(Config.model_fields)}.{remove}"
    )


def _checked(
    values: Mapping[str, Any],
    place: str = "",
    *,
    strict: bool = False,
    fix: str = "correct or remove it",
) -> Config:
    try:
        return Config.model_validate(dict(values), strict=strict)
    except ValidationError as error:
        where = f"{place}: " if place else ""
        found = (
            f"{key} takes {_taken(key)}, not {shown(item['input'])}"
            for item in error.errors(include_url=False)
            for key in map(str, item["loc"])
        )
        raise SettingsError(f"{where}{'; '.join(found)}: {fix}") from None


def _taken(key: str) -> str:
    """What a setting takes, in words."""
    limits = Config.model_fields[key].metadata
    bounds = [getattr(one, side) for side in ("ge", "le") for one in limits if hasattr(one, side)]
    return (
        f"a whole number from {bounds[0]} to {bounds[1]}" if bounds else "a text that is not empty"
    )


def _toml(value: str | int) -> str:
    """A value in TOML; JSON's strings are TOML's, but for the one control character it lets pass."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _write(lines: list[str], expected: Mapping[str, Any]) -> Config:
    """Write lines that must mean `expected`: a key may stand in a text of several lines."""
    if _parsed(lines) != expected:
        raise _by_hand()
    _write_lines(lines)
    return _checked(expected, str(config_file()))


def _write_lines(lines: list[str]) -> None:
    write_atomically(config_file(), "".join(f"{line}\n" for line in lines))
