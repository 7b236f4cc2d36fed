"""Where clients are met: on standard input and output, or at `/mcp` of an application."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, TextIO

import anyio
from fastapi import FastAPI
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings

from et_agent.engines.sampled import AnyModel
from et_agent_server.mcp.protocol import mcp_server
from et_agent_server.models import ServedModels
from et_agent_server.settings import ServerSettings
from et_agent_server.state import ServerState

__all__ = ["mounted", "protocol_output", "serve_stdio"]

_PATH: Final = "/mcp"
_MOST_SESSIONS: Final = 1000


@contextlib.contextmanager
def protocol_output() -> Iterator[TextIO]:
    """Standard output for the protocol alone: whatever else is written there goes to standard error.

    It holds for code in other languages too, so enter it before a model is loaded. Lines come there at
    once, as it is with standard error: a signal may end the process.
    """
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    stdout = sys.stdout if isinstance(sys.stdout, io.TextIOWrapper) else None
    waits = stdout is not None and not stdout.line_buffering
    if stdout is not None and waits:
        stdout.reconfigure(line_buffering=True)
    try:
        with open(private, "w", encoding="utf-8", closefd=False) as output:
            yield output
    finally:
        sys.stdout.flush()
        if stdout is not None and waits:
            stdout.reconfigure(line_buffering=False)
        os.dup2(private, 1)
        os.close(private)


def serve_stdio(models: Mapping[str, AnyModel], settings: ServerSettings, output: TextIO) -> None:
    """Serve one client until it closes standard input. Calls in work are then cancelled.

    For the main thread of a program that does nothing else.

    Args:
        models: Loaded models by the name that clients use. The caller closes them.
        settings: Limits and defaults.
        output: Where replies are written, from `protocol_output`.

    Raises:
        SettingsError: There is no model, or a name cannot be used.
        StoreError: The file of decisions cannot be opened.
    """
    shared = ServerState(ServedModels(models, settings), settings)
    server = mcp_server(shared)

    async def run() -> None:
        shared.provide_threads()
        async with stdio_server(stdout=anyio.wrap_file(output)) as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())

    # A thread waits for input, which nothing but input ends: Ctrl-C ends the process, as SIGTERM does.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        anyio.run(run)
    finally:
        signal.signal(signal.SIGINT, before)
        shared.close()


def mounted(
    app: FastAPI, shared: ServerState, settings: ServerSettings
) -> Callable[[], AbstractAsyncContextManager[None]]:
    """Add the path `/mcp` to an application; what is returned has to be entered while it serves.

    Args:
        app: The application, whose guard checks keys, hosts and sizes.
        shared: What its routes share.
        settings: The server's settings.
    """
    server = mcp_server(shared)
    served = server.streamable_http_app(
        streamable_http_path=_PATH,
        max_request_body_size=settings.max_body,
        max_sessions=_MOST_SESSIONS,
        # The guard has looked at hosts and origins already.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    app.router.routes.extend(served.routes)

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with server.session_manager.run():
            yield

    return running
