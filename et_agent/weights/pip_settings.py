"""How this machine's pip is told to reach package indexes: its variables and its files.

Set-up reads this before anything is installed, so it needs the standard library alone.
"""

import configparser
import contextlib
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["pip_settings"]

_SECTIONS = ("global", "install")


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Read what `pip install` would go by, by option: "index-url", "find-links", "cert" ….

    Variables (`PIP_INDEX_URL`) outrank files, and a later file outranks an earlier one. Options that
    take several values have them separated by white space.
    """
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for path in _files(environ):
        parser = configparser.RawConfigParser()
        # pip itself says what is wrong with a file; here it counts as empty.
        with contextlib.suppress(OSError, ValueError, configparser.Error):
            parser.read(path, encoding="utf-8")
        for section in filter(parser.has_section, _SECTIONS):
            found[section].update({_option(k): v for k, v in parser.items(section)})
    variables = {_option(k[4:]): v for k, v in environ.items() if k.startswith("PIP_") and v}
    return {**found["global"], **found["install"], **variables}


def _option(name: str) -> str:
    return name.lower().replace("_", "-")


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """List the files that pip's documentation names, the least important first."""
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return
    home = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111  (it raises nothing)
    library = Path("Library", "Application Support")
    is_mac = platform.system() == "Darwin"
    if is_mac:
        yield "/" / library / "pip" / "pip.conf"
    for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder, "pip", "pip.conf")
    yield Path("/etc/pip.conf")
    yield home / ".pip" / "pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    if is_mac:
        yield home / library / "pip" / "pip.conf"
    yield Path(sys.prefix, "pip.conf")
    if named:
        yield Path(named)
