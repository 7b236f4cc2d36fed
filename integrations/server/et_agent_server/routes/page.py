"""`/`: the page, and what it needs to know of the server."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Response

from et_agent.answers import AnswerKind
from et_agent.pages import drawing_module, drawing_style
from et_agent_server.errors import ApiError
from et_agent_server.settings import OnDoubt
from et_agent_server.state import Shared
from et_agent_server.wire import Wire

__all__ = ["Offer", "router"]

router = APIRouter()

_PAGE: Final = "index.html"
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # a newer server has a newer page
}


@router.get("/", include_in_schema=False)
def page(shared: Shared) -> Response:
    """The page, which asks for a key where one is needed."""
    needs = "needed" if shared.settings.api_keys else "none"
    return _response(_PAGE, _assets()[_PAGE].replace("{{key}}", needs))


@router.get("/ui/{name}", include_in_schema=False)
def asset(name: str) -> Response:
    """A script, a style or a picture of the page."""
    text = _assets().get(name)
    if text is None or name == _PAGE:
        raise ApiError(404, "there is no such path")
    return _response(name, text)


class Offer(Wire):
    """What questions to this server may ask for."""

    models: list[str]
    """Served models, without `:gated`."""
    kinds: list[str]
    """Answer kinds."""
    doubts: list[OnDoubt]
    """What a gate can do with doubtful answers; the first one is the default."""
    leaves: int
    """Leaves of a tree where a request does not say."""
    most_leaves: int
    """Most leaves that a request may ask for."""
    answer_at: float
    """Lowest confidence at which gates answer where a request does not say."""
    keeps_decisions: bool
    """Whether there is a log of decisions."""


@router.get("/v1/offer", tags=["et-agent"], summary="Tell what requests may ask for")
def offer(shared: Shared) -> Offer:
    """Models, kinds, and what holds where a request does not say."""
    settings = shared.settings
    can_escalate = shared.models.target is not None
    doubts: list[OnDoubt] = ["abstain", "escalate", "ask", "mark"]
    return Offer(
        models=[one.name for one in shared.models.all()],
        kinds=[one.value for one in AnswerKind],
        doubts=sorted(
            (one for one in doubts if can_escalate or one != "escalate"),
            key=lambda one: one != settings.doubt,
        ),
        leaves=settings.leaves,
        most_leaves=settings.most_leaves,
        answer_at=settings.policy.answer_at,
        keeps_decisions=shared.models.log is not None,
    )


def _response(name: str, text: str) -> Response:
    return Response(text, media_type=_TYPES[name.rpartition(".")[2]], headers=dict(_HEADERS))


@cache
def _assets() -> dict[str, str]:
    """All files of the page by name: its own, and what draws results."""
    found = {
        one.name: one.read_text("utf-8")
        for one in files("et_agent_server").joinpath("page").iterdir()
        if one.name.rpartition(".")[2] in _TYPES
    }
    return {**found, "result.js": drawing_module(), "result.css": drawing_style()}
