"""What is counted, logged and traced of requests; no texts unless they are asked for."""

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from fastapi import Request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from et_agent_server.errors import ApiError
from et_agent_server.tracing import Tracing

if TYPE_CHECKING:
    from et_agent_server.admission import Admission
    from et_agent_server.answering import Answered
    from et_agent_server.calls import Call

__all__ = ["TIME", "Metrics", "Seen", "Watching", "seen_of", "tell"]

TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
"""How the log writes a time, UTC."""

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_CLIENT_GONE: Final = 499
_log = logging.getLogger("et_agent.server")


@dataclass
class Seen:
    """What is known of one request.

    Attributes:
        route: Path of the route; empty where there is none.
        model: The model's name; empty where none is asked.
        began: `time.perf_counter()` at its beginning.
        waited: Seconds in the queue.
        first: Seconds to the first text.
        status: HTTP status; 0 before.
        fields: What the log says besides.
        outcome: "done", "failed" after the status of a stream was sent, or "client gone".
    """

    route: str = ""
    model: str = ""
    began: float = field(default_factory=time.perf_counter)
    waited: float | None = None
    first: float | None = None
    status: int = 0
    outcome: str = "done"
    input_tokens: int = 0
    output_tokens: int = 0
    action: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self.began

    def called(self, call: "Call", waited: float) -> None:
        """It got its place."""
        self.model, self.waited = call.name, waited
        self.fields |= {"id": call.id, **call.parameters}

    def left(self) -> None:
        """The client went away."""
        self.outcome = "client gone"

    def failed(self, status: int) -> None:
        """A stream failed whose status is sent already; this is the one that it should have had."""
        self.outcome, self.status = "failed", status

    def texted(self) -> None:
        """It has its first text."""
        if self.first is None:
            self.first = self.seconds

    def answered(self, found: "Answered") -> None:
        """It is answered."""
        results = [found.result] if found.before is None else [found.before, found.result]
        self.input_tokens = sum(one.usage.prompt_tokens for one in results)
        self.output_tokens = sum(one.usage.tokens_decoded for one in results)
        self.fields |= {"confidence": found.result.confidence, "finish": found.leaf.finish}
        if found.decision is not None:
            self.action = found.decision.action.value
            self.fields |= {"action": self.action, "escalated": found.decision.escalated}
        self.texts = {"question": found.result.question, "reply": found.leaf.text}


class Metrics:
    """The figures of one server, for Prometheus."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, what: str, labels: tuple[str, ...]) -> Counter:
            return Counter(f"et_agent_{name}", what, labels, registry=self.registry)

        def histogram(name: str, what: str) -> Histogram:
            return Histogram(
                f"et_agent_{name}", what, ("model",), registry=self.registry, buckets=_SECONDS
            )

        self._requests = counter("requests", "Requests by result.", ("route", "model", "status"))
        self._tokens = counter("tokens", "Tokens by kind.", ("model", "kind"))
        self._actions = counter("gate_actions", "What gates did.", ("model", "action"))
        self._gone = counter("clients_gone", "Requests whose client went away.", ("route",))
        self._waited = histogram("queue_seconds", "Time in the queue.")
        self._first = histogram("first_text_seconds", "Time to the first text.")
        self._took = histogram("request_seconds", "Time of a request.")

    def watch(self, admission: "Admission") -> None:
        """Show how many decode and wait."""
        for name, what in (
            ("decoding", "Requests being decoded."),
            ("waiting", "Requests waiting."),
        ):
            gauge = Gauge(f"et_agent_{name}", what, registry=self.registry)
            gauge.set_function(lambda name=name: getattr(admission, name))  # type: ignore[misc]

    def count(self, seen: Seen) -> None:
        """Count a request that has ended."""
        self._requests.labels(seen.route, seen.model, str(seen.status)).inc()
        if seen.outcome == "client gone":
            self._gone.labels(seen.route).inc()
        if not seen.model:
            return
        self._took.labels(seen.model).observe(seen.seconds)
        if seen.waited is not None:
            self._waited.labels(seen.model).observe(seen.waited)
        if seen.first is not None:
            self._first.labels(seen.model).observe(seen.first)
        self._tokens.labels(seen.model, "input").inc(seen.input_tokens)
        self._tokens.labels(seen.model, "output").inc(seen.output_tokens)
        if seen.action:
            self._actions.labels(seen.model, seen.action).inc()

    def text(self) -> bytes:
        """All of them as Prometheus reads them."""
        return generate_latest(self.registry)


class Watching:
    """Counts, logs and traces every request.

    Args:
        app: What answers.
        metrics: Where it is counted.
        texts: Whether the log carries texts.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, texts: bool) -> None:
        self._app, self._metrics, self._texts = app, metrics, texts
        self._tracing = Tracing()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request and take note of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = scope.setdefault("state", {})["seen"] = Seen()

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
            await send(message)

        with self._tracing.span(scope) as span:
            try:
                await self._app(scope, receive, sent)
            except asyncio.CancelledError:
                if not seen.status:
                    await _stopping().response()(scope, receive, sent)
                raise
            except Exception:
                seen.status = seen.status or 500
                raise
            finally:
                route = scope.get("route")
                seen.route = getattr(route, "path", "")
                seen.status = seen.status or _CLIENT_GONE
                self._metrics.count(seen)
                tell(seen, texts=self._texts)
                span.end(seen)


def tell(seen: Seen, *, texts: bool) -> None:
    """Write a request that has ended to the log."""
    if not seen.model and seen.status < 400:
        return  # who watches the server
    _log.info(json.dumps(_line(seen, texts=texts), ensure_ascii=False))


def _line(seen: Seen, *, texts: bool) -> Mapping[str, Any]:
    line = {
        "at": time.strftime(TIME, time.gmtime()),
        "route": seen.route,
        "model": seen.model,
        "status": seen.status,
        "outcome": seen.outcome,
        "seconds": round(seen.seconds, 4),
        "queue_seconds": None if seen.waited is None else round(seen.waited, 4),
        "first_text_seconds": None if seen.first is None else round(seen.first, 4),
        "input_tokens": seen.input_tokens,
        "output_tokens": seen.output_tokens,
        **seen.fields,
    }
    return {**line, **seen.texts} if texts else line


def _stopping() -> ApiError:
    return ApiError(503, "the server is being stopped", kind="server_error", retry_after=10)


def seen_of(request: Request) -> Seen:
    """What is noted of a request."""
    seen: Seen = request.scope["state"]["seen"]
    return seen
