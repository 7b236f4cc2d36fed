"""Serves an application until it is told to stop."""

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from et_agent.errors import SettingsError
from et_agent_server.settings import ServerSettings
from et_agent_server.telemetry import TIME

__all__ = ["log_lines", "serve"]


def serve(
    app: FastAPI, settings: ServerSettings, *, ready: Callable[[str], None] = lambda _: None
) -> None:
    """Listen until SIGTERM or Ctrl-C. Requests in work then get `grace_seconds`.

    Args:
        app: The application.
        settings: Where it listens, and how long it waits for requests in work.
        ready: Told the address, when it is listened on.

    Raises:
        SettingsError: The address cannot be listened on.
    """
    log_lines()
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
        # Headers that do not end hold memory, and no more than this of it.
        h11_max_incomplete_event_size=64 * 1024,
    )
    try:
        listening = config.bind_socket()
    except SystemExit:
        raise SettingsError(
            f"{settings.host}:{settings.port} cannot be listened on: another program may do so, use "
            "another --port"
        ) from None
    with listening:
        listening.listen(config.backlog)  # who is told the address may come at once
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        with _ended_by_sigterm():
            ready(f"http://{host}:{listening.getsockname()[1]}/v1")
            uvicorn.Server(config).run(sockets=[listening])


class _Terminated(BaseException):
    """SIGTERM came."""


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end this block and not the process, so that the caller can close its models.

    When its requests have ended, uvicorn raises the signal again for the handler from before it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except _Terminated:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


class _Lines(logging.Formatter):
    """JSON objects: those of requests are that already, and what went wrong becomes one."""

    def format(self, record: logging.LogRecord) -> str:
        if record.levelno < logging.WARNING:
            return record.getMessage()
        line = {
            "at": time.strftime(TIME, time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_lines() -> None:
    """Let requests be logged on standard error, one JSON object per line."""
    log = logging.getLogger("et_agent.server")
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Lines())
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
