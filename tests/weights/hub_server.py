"""A model hub on 127.0.0.1 that can stall, break off, refuse, or send wrong bytes."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.weights.serving import served


@dataclass
class Hub:
    """What the server does, changeable while it runs, and what it was asked."""

    content: bytes
    """The file, served under every address."""
    url: str = ""
    status: int = 200
    error_code: str | None = None
    """Value of X-Error-Code."""
    break_after: int | None = None
    """Close the connection after so many bytes of a body."""
    stall: threading.Event | None = None
    """With `break_after`: keep the connection open until this is set."""
    ranges: bool = True
    """Honour Range."""
    etag: str | None = None
    announce: bytes | None = None
    """Describe this content instead of the one sent."""
    commit: str | None = "c" * 40
    """Value of X-Repo-Commit, by which a hub is known."""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and Range of every request."""
    sent: threading.Event = field(default_factory=threading.Event)
    """Set when `break_after` bytes have gone out."""

    def gets(self) -> list[str | None]:
        return [asked for method, _, asked in self.requests if method == "GET"]


@contextmanager
def serving(content: bytes) -> Iterator[Hub]:
    hub = Hub(content)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            hub.requests.append(("HEAD", self.path, None))
            self._head(hub.status, len(hub.announce or hub.content))

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            hub.requests.append(("GET", self.path, asked))
            start = 0
            if asked and hub.ranges:
                start = int(asked.removeprefix("bytes=").partition("-")[0])
            body = hub.content[start:]
            extra = {}
            status = hub.status
            if start:
                status = 206
                extra["Content-Range"] = f"bytes {start}-{len(hub.content) - 1}/{len(hub.content)}"
            self._head(status, len(body), extra)
            if hub.break_after is None:
                self.wfile.write(body)
                return
            self.wfile.write(body[: hub.break_after])
            self.wfile.flush()
            hub.sent.set()
            if hub.stall is not None:
                hub.stall.wait(20)
            self.close_connection = True

        def _head(self, status: int, length: int, extra: dict[str, str] | None = None) -> None:
            announced = hub.announce or hub.content
            etag = hub.etag or hashlib.sha256(announced).hexdigest()
            self.send_response(status)
            self.send_header("Content-Length", str(length if status < 400 else 0))
            self.send_header("ETag", f'"{etag}"')
            if hub.commit:
                self.send_header("X-Repo-Commit", hub.commit)
            if hub.error_code:
                self.send_header("X-Error-Code", hub.error_code)
            for name, value in (extra or {}).items():
                self.send_header(name, value)
            self.end_headers()

    with served(Handler) as address:
        hub.url = address
        try:
            yield hub
        finally:
            if hub.stall is not None:
                hub.stall.set()
