"""Reads the pages of package indexes: the simple repository API, PEP 503 (HTML) and PEP 691 (JSON)."""

from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urldefrag, urljoin, urlsplit
from urllib.request import url2pathname

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from et_agent.storage import user_path

__all__ = ["ACCEPT", "WheelLink", "local_path", "read_html", "read_json"]

ACCEPT = (
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, "
    "text/html;q=0.1"
)
"""What to ask a server for: JSON, which tells sizes, or else HTML."""


class WheelLink(NamedTuple):
    """A file that a page offers."""

    filename: str
    url: str
    sha256: str | None = None
    size: int | None = None
    """In bytes."""
    yanked: bool = False

    def is_wheel_of(self, package: str, version: str) -> bool:
        """Tell whether this is a wheel of that package and version, for whatever system."""
        try:
            name, mine, _, _ = parse_wheel_filename(self.filename)
            return name == canonicalize_name(package) and mine == Version(version)
        except (InvalidWheelFilename, InvalidVersion):
            return False


def local_path(address: str) -> Path | None:
    """Give the path that an address means, a `file:` URL or a plain path; None for a remote one."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if "://" in address else user_path(address)


def read_json(page: Mapping[str, Any], base: str) -> list[WheelLink]:
    """Read a page in JSON.

    Args:
        page: The page.
        base: Its address.

    Raises:
        ValueError: It is not such a page.
    """
    try:
        return [
            WheelLink(
                file["filename"],
                urljoin(base, file["url"]),
                file["hashes"].get("sha256"),
                file.get("size"),
                bool(file.get("yanked")),
            )
            for file in page["files"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no list of files: {error!r}") from error


def read_html(page: str, base: str) -> list[WheelLink]:
    """Read a page in HTML; `base` is its address. A page without links gives none."""
    parser = _LinkParser(base)
    parser.feed(page)
    parser.close()
    return parser.links


class _LinkParser(HTMLParser):
    def __init__(self, base: str) -> None:
        super().__init__()
        self.links: list[WheelLink] = []
        self._base = base

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        href = values.get("href")
        if href and tag == "base":
            self._base = urljoin(self._base, href)
        elif href and tag == "a":
            url, fragment = urldefrag(urljoin(self._base, href))
            filename = unquote(urlsplit(url).path.rpartition("/")[2])
            (sha256,) = parse_qs(fragment).get("sha256", [None])[:1]
            self.links.append(WheelLink(filename, url, sha256, yanked="data-yanked" in values))
