"""Serves an application until it is told to stop."""

import logging
import sys
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from et_agent.errors import SettingsError
from et_agent_server.settings import ServerSettings

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
        # A client that is slow to take a reply holds memory, and no more than this of it.
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
        ready(f"http://{host}:{listening.getsockname()[1]}/v1")
        uvicorn.Server(config).run(sockets=[listening])


def log_lines() -> None:
    """Let requests be logged on standard error, one JSON object per line."""
    log = logging.getLogger("et_agent.server")
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
