"""Traces by OpenTelemetry's conventions for generative AI, where its packages are installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

if TYPE_CHECKING:
    from et_agent_server.telemetry import Seen

__all__ = ["Span", "Tracing"]

_OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/ask": "chat",
}


class Span:
    """A request's span; without OpenTelemetry it does nothing."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def end(self, seen: "Seen") -> None:
        """Say what is known at the end; questions and answers are no part of it."""
        if self._span is None:
            return
        operation = _OPERATIONS.get(seen.route)
        span, fields = self._span, seen.fields
        span.update_name(f"{operation or 'POST'} {seen.model or seen.route}".strip())
        span.set_attribute("http.response.status_code", seen.status)
        span.set_attribute("http.route", seen.route)
        if operation is None:
            return
        found = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "et_agent",
            "gen_ai.request.model": seen.model or None,
            "gen_ai.response.model": seen.model or None,
            "gen_ai.response.id": fields.get("id"),
            "gen_ai.request.temperature": fields.get("temperature"),
            "gen_ai.request.max_tokens": fields.get("max_tokens"),
            "gen_ai.request.choice.count": fields.get("choices"),
            "gen_ai.request.seed": fields.get("seed"),
            "gen_ai.usage.input_tokens": seen.input_tokens,
            "gen_ai.usage.output_tokens": seen.output_tokens,
            "et_agent.leaves": fields.get("leaves"),
            "et_agent.confidence": fields.get("confidence"),
            "et_agent.action": fields.get("action"),
            "error.type": str(seen.status) if seen.status >= 400 else None,
        }
        for name, value in found.items():
            if value is not None:
                span.set_attribute(name, value)
        if finish := fields.get("finish"):
            span.set_attribute("gen_ai.response.finish_reasons", [finish])


class Tracing:
    """Begins spans."""

    def __init__(self) -> None:
        self._tracer: Any = None
        self._extract: Any = None
        try:
            from opentelemetry import trace
            from opentelemetry.propagate import extract
        except ImportError:
            return
        self._kind = trace.SpanKind.INTERNAL  # the convention for models of the same process
        self._current = trace.get_current_span
        self._tracer = trace.get_tracer("et_agent.server")
        self._extract = extract

    @contextmanager
    def span(self, scope: Scope) -> Iterator[Span]:
        """The span of a request, as part of the trace that the client names."""
        if self._tracer is None or scope["method"] != "POST":
            yield Span()
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        # FastAPI itself may have begun the span of the HTTP request.
        outer = self._current().get_span_context().is_valid
        with self._tracer.start_as_current_span(
            scope["path"], context=None if outer else self._extract(headers), kind=self._kind
        ) as span:
            yield Span(span)
