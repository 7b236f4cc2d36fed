"""What is served and how the server does: models, health, figures."""

from fastapi import APIRouter, Response

from et_agent_server.errors import ApiError
from et_agent_server.models import GATED, ServedModel
from et_agent_server.state import Shared
from et_agent_server.wire import ModelCard, ModelList

__all__ = ["router"]

router = APIRouter()


@router.get("/v1/models", tags=["OpenAI"], summary="List the models")
async def models(shared: Shared) -> ModelList:
    """All names that a request may give as `model`."""
    return ModelList(
        data=[_card(one, gated) for one in shared.models.all() for gated in (False, True)]
    )


@router.get("/v1/models/{name:path}", tags=["OpenAI"], summary="Describe a model")
async def model(name: str, shared: Shared) -> ModelCard:
    """What is known of a model."""
    return _card(*shared.models.find(name))


def _card(served: ServedModel, gated: bool) -> ModelCard:
    info = served.model.info
    return ModelCard(
        id=served.name + (GATED if gated else ""),
        created=served.created,
        et_agent={
            "fingerprint": info.fingerprint,
            "parameters": getattr(info, "parameters", 0),
            "context": getattr(info, "context", None),
            "gated": gated,
        },
    )


@router.get("/healthz", tags=["operation"], summary="Tell whether the process lives")
async def healthy() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@router.get("/readyz", tags=["operation"], summary="Tell whether requests are taken")
async def ready(shared: Shared) -> dict[str, str]:
    """Whether requests are taken; 503 while as many wait as may."""
    if shared.admission.full:
        raise ApiError(503, "as many requests wait as may", kind="server_error", retry_after=1)
    return {"status": "ready"}


@router.get(
    "/metrics",
    tags=["operation"],
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
async def metrics(shared: Shared) -> Response:
    """Requests, tokens, queue and times."""
    return Response(shared.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
