"""What the routes of one server share."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final

from fastapi import Depends, Request

from et_agent_server.admission import Admission
from et_agent_server.answering import Answered
from et_agent_server.models import ServedModels
from et_agent_server.remembering import Remembered
from et_agent_server.settings import ServerSettings
from et_agent_server.telemetry import Metrics, Seen, seen_of

__all__ = ["SeenHere", "ServerState", "Shared"]

_SPARE_THREADS: Final = 8
"""For labels and files, which need no place."""


class ServerState:
    """Models, settings, places and figures of one server."""

    def __init__(self, models: ServedModels, settings: ServerSettings) -> None:
        self.models, self.settings = models, settings
        self.admission = Admission(settings)
        self.remembered = Remembered(settings.most_labels, keep_texts=settings.log_texts)
        self.metrics = Metrics()
        self.metrics.watch(self.admission)

    async def answered(self, seen: Seen, found: Answered) -> None:
        """Count and remember a reply, before the client has its end."""
        seen.answered(found)
        await asyncio.to_thread(self.remembered.keep, found)

    def provide_threads(self) -> None:
        """Give the running event loop threads for all that decode: some wait in one all the time.

        The loop's own are few on a small machine, and requests would wait for those of others.
        """
        count = 2 * self.settings.concurrent + _SPARE_THREADS
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(count, "et-agent"))

    def close(self) -> None:
        """Close the server's files; the models are their owner's."""
        self.models.close()
        self.remembered.close()


def _state(request: Request) -> ServerState:
    state: ServerState = request.app.state.et_agent
    return state


Shared = Annotated[ServerState, Depends(_state)]
SeenHere = Annotated[Seen, Depends(seen_of)]
