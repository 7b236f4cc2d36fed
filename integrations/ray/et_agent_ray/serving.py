"""The server of et-agent-server on a cluster: a replica per node, equal beginnings to the same one."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from typing import Any, Final

import uvicorn
from et_agent_server import ServerSettings, create_app
from et_agent_server.errors import too_large
from ray import serve
from ray.serve.config import RequestRouterConfig
from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from uvicorn.lifespan.on import LifespanOn

from et_agent.errors import ClusterError
from et_agent_ray.cluster import only_on_holders
from et_agent_ray.hosting import Hosting

__all__ = ["PrefixRouter", "application", "prefix_of"]

_LONG: Final = 200
"""Characters of a shared beginning that are worth a place of their own."""
_SERVED_BY: Final = "et-agent-replica"

Message = MutableMapping[str, Any]


def prefix_of(body: bytes) -> str:
    """A digest of what the prompt of a request begins with; empty for a request without one.

    That is the system message, the tools and the passages, if these are long; otherwise the first
    message of the user belongs to it too, so that the turns of a conversation stay together.
    """
    try:
        asked = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(asked, dict):
        return ""
    messages = asked.get("messages")
    said = messages if isinstance(messages, list) else []
    roles = [one.get("role") if isinstance(one, dict) else None for one in said]
    users = roles.index("user") if "user" in roles else len(said)
    shared = [asked.get("model"), said[:users], asked.get("tools"), asked.get("context")]
    rest = [said[users : users + 1], asked.get("prompt"), asked.get("question")]
    written = json.dumps(shared, sort_keys=True)
    if len(written) < _LONG:
        written += json.dumps(rest, sort_keys=True)
    return hashlib.sha256(written.encode()).hexdigest()


class PrefixRouter(RequestRouter):  # type: ignore[misc]
    """Sends requests with the same `prefix` to the same replica, and on to the next one if it is full.

    The order of replicas is by rendezvous hashing: where one comes or goes, only its own prefixes move.
    A `prefix` that is the id of a replica asks for that one.
    """

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """All replicas, each a rank of its own, the preferred one first."""
        prefix = "" if pending_request is None else pending_request.kwargs.get("prefix", "")
        if not prefix:
            return [candidate_replicas]
        by_id = {one.replica_id.unique_id: one for one in candidate_replicas}
        return [[by_id[key]] for key in ranked(prefix, list(by_id))]


def ranked(prefix: str, replicas: Sequence[str]) -> list[str]:
    """Replicas by how much they are for a prefix, by rendezvous hashing; one that it names first."""

    def rank(one: str) -> tuple[bool, bytes]:
        return one != prefix, hashlib.sha256(f"{prefix}/{one}".encode()).digest()

    return sorted(replicas, key=rank)


class ServerReplica:
    """The server's application with a model of its own.

    Args:
        hosting: Which model.
        name: The name that clients use.
        settings: Limits and defaults of the server.
        threads: CPU threads.
    """

    async def __init__(  # type: ignore[misc]  # Ray Serve waits for it
        self, hosting: Hosting, name: str, settings: ServerSettings, threads: int
    ) -> None:
        self._model = await asyncio.to_thread(hosting.open, threads)
        self._app = create_app({name: self._model}, settings)
        self._id = serve.get_replica_context().replica_id.unique_id
        # A task of its own is within what the application enters while it serves.
        self._life = LifespanOn(uvicorn.Config(self._app))
        await self._life.startup()
        if self._life.startup_failed or self._life.error_occurred:
            raise ClusterError("the server did not start on this node: its log says why")

    async def reply(
        self, scope: Mapping[str, Any], body: bytes, *, prefix: str
    ) -> AsyncIterator[Message]:
        """Run the application on a request and give what it sends, message by message.

        Args:
            scope: The request, as ASGI has it.
            body: Its body.
            prefix: For the router alone.
        """
        del prefix
        sent: asyncio.Queue[Message | None] = asyncio.Queue()
        given = iter([{"type": "http.request", "body": body, "more_body": False}])
        gone = asyncio.Event()

        async def receive() -> Message:
            if (message := next(given, None)) is not None:
                return message
            await gone.wait()
            return {"type": "http.disconnect"}

        async def run() -> None:
            try:
                await self._app(dict(scope), receive, sent.put)
            finally:
                await sent.put(None)

        work = asyncio.create_task(run())
        try:
            while (message := await sent.get()) is not None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (_SERVED_BY, self._id)]
                yield message
            await work
        finally:
            gone.set()
            work.cancel()


class Front:
    """Takes requests, reads what they begin with, and passes on what a replica replies.

    Args:
        replicas: Handle of the deployment of `ServerReplica`.
        max_body: Largest request, bytes.
    """

    def __init__(self, replicas: Any, max_body: int) -> None:
        self._replicas = replicas.options(stream=True)
        self._max_body = max_body

    async def __call__(self, request: Request) -> Response:
        """Pass a request on."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > self._max_body:  # before it is copied to a replica
                return too_large(self._max_body).response()
        scope = {name: request.scope[name] for name in _SCOPE if name in request.scope}
        scope["root_path"] = ""
        wanted = request.headers.get(_SERVED_BY) or prefix_of(body)
        messages = self._replicas.reply.remote(scope, body, prefix=wanted)
        start = await anext(aiter(messages))

        async def content() -> AsyncIterator[bytes]:
            async for message in messages:
                yield message.get("body", b"")

        reply = StreamingResponse(content(), status_code=start["status"])
        reply.raw_headers = [(_bytes(name), _bytes(value)) for name, value in start["headers"]]
        return reply


_SCOPE: Final = (
    "type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string",
    "headers", "client", "server",
)  # fmt: skip


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def application(
    hosting: Hosting,
    settings: ServerSettings | None = None,
    *,
    name: str,
    replicas: int,
    at_once: int = 16,
) -> Any:
    """An application for `ray.serve.run`, with at most one replica on each node that has the model.

    Args:
        hosting: Which model; `cpus` are those of a replica, one if it does not say.
        settings: Limits and defaults of the server.
        name: The model's name for clients.
        replicas: Number of replicas.
        at_once: Requests that a replica has at once before others with the same beginning go elsewhere.

    Raises:
        ClusterError: No node holds the model and has the CPUs.
    """
    cpus = hosting.cpus or 1
    options = {"num_cpus": cpus, **only_on_holders(hosting, cpus)}
    server = serve.deployment(
        num_replicas=replicas,
        max_replicas_per_node=1,
        max_ongoing_requests=at_once,
        ray_actor_options=options,
        request_router_config=RequestRouterConfig(request_router_class=PrefixRouter),
    )(ServerReplica)
    front = serve.deployment(
        max_ongoing_requests=at_once * replicas * 2, ray_actor_options={"num_cpus": 0}
    )(Front)
    settings = settings or ServerSettings()
    return front.bind(server.bind(hosting, name, settings, cpus), settings.max_body)
