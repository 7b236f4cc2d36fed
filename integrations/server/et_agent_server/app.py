"""The application: routes, guards, and what becomes of errors."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from importlib.util import find_spec

from fastapi import FastAPI, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from et_agent.engines.sampled import AnyModel
from et_agent_server.errors import ApiError, error_response
from et_agent_server.guarding import Guard
from et_agent_server.models import ServedModels
from et_agent_server.routes import (
    ask,
    chat,
    completions,
    decisions,
    events,
    labels,
    operations,
    page,
    runs,
    score,
)
from et_agent_server.running import ClientGoneError
from et_agent_server.settings import ServerSettings
from et_agent_server.state import ServerState
from et_agent_server.telemetry import Watching, seen_of

__all__ = ["create_app"]


def create_app(models: Mapping[str, AnyModel], settings: ServerSettings | None = None) -> FastAPI:
    """An ASGI application that serves models.

    Args:
        models: Loaded models by the name that clients use. The caller closes them.
        settings: Limits and defaults; `ServerSettings()` if None.

    Raises:
        SettingsError: There is no model, or a name cannot be used.
        StoreError: The file of decisions cannot be opened.
    """
    settings = settings or ServerSettings()
    state = ServerState(ServedModels(models, settings), settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        state.provide_threads()
        try:
            async with running():
                yield
        finally:
            state.close()

    app = FastAPI(
        title="et-agent",
        description="Local models behind OpenAI's interface, with a confidence in every reply.",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.et_agent = state
    running: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    if find_spec("mcp") is not None:
        from et_agent_server.mcp import mounted

        running = mounted(app, state, settings)
    for module in (
        chat,
        completions,
        ask,
        events,
        score,
        labels,
        runs,
        decisions,
        operations,
        page,
    ):
        app.include_router(module.router)
    for kind in (ApiError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, error_response)
    app.add_exception_handler(ClientGoneError, _gone)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Watching, metrics=state.metrics, texts=settings.log_texts)
    return app


async def _gone(request: object, error: Exception) -> Response:
    """Nobody reads it, but the log has a status."""
    del error
    seen_of(request).left()  # type: ignore[arg-type]
    return Response(status_code=499)
