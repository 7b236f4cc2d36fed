"""Errors in OpenAI's shape, each with the field of the request that is at fault."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from et_agent.errors import (
    BusyError,
    CalibrationError,
    ContextError,
    EtAgentError,
    InputError,
    ModelClosedError,
    OutOfMemoryError,
    PromptTooLongError,
    QuestionError,
    ServerError,
    TimeLimitError,
    UnsupportedModelError,
)

__all__ = [
    "ApiError",
    "api_error",
    "error_response",
    "field_of",
    "invalid",
    "of_validation",
    "too_large",
    "unforeseen",
]

_TYPES: Final = frozenset({"str", "int", "float", "bool", "dict", "none"})
"""Parts of pydantic's locations that name a member of a union and no field."""


class ApiError(Exception):
    """An error that the client is told.

    Args:
        status: HTTP status.
        message: What is wrong and how to mend it.
        kind: OpenAI's type of error.
        param: The field that is at fault.
        code: OpenAI's code.
        retry_after: Seconds after which another try may succeed.
        headers: Further headers of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.headers = dict(headers or {})
        self.status, self.message, self.kind = status, message, kind
        self.param, self.code, self.retry_after = param, code, retry_after

    def body(self) -> dict[str, Any]:
        """The error as OpenAI's interface writes it."""
        error = {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }
        return {"error": error}

    def response(self) -> JSONResponse:
        """The response that tells it."""
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body(), self.status, headers)


def invalid(param: str, message: str, code: str | None = None) -> ApiError:
    """A request that cannot be answered because of a field."""
    return ApiError(400, f"{param}: {message}", param=param, code=code)


def api_error(error: EtAgentError, *, asked: str, formed: str | None) -> ApiError:
    """What a client is told of an error of et-agent.

    Args:
        error: The error.
        asked: The field that holds the question.
        formed: The field that holds tools or a schema, if there is one: what is left to be found wrong
            when a question is prepared is the grammar's.
    """
    message = str(error)
    match error:
        case PromptTooLongError() | ContextError():
            return ApiError(400, message, param=asked, code="context_length_exceeded")
        case QuestionError():
            return ApiError(400, message, param=asked, code="invalid_value")
        case UnsupportedModelError() if formed is not None:
            return ApiError(400, message, param=formed, code="unsupported_model")
        case UnsupportedModelError():
            return ApiError(400, message, param="model", code="unsupported_model")
        case CalibrationError():
            return ApiError(400, message, param="right", code="invalid_value")
        case InputError():
            return ApiError(400, message, param=formed or asked, code="invalid_value")
        case BusyError():
            return ApiError(
                429, message, kind="rate_limit_error", code="rate_limit_exceeded", retry_after=5
            )
        case ModelClosedError() | OutOfMemoryError():
            return ApiError(503, message, kind="server_error", retry_after=5)
        case TimeLimitError():
            return ApiError(504, message, kind="timeout_error", code="timeout")
        case ServerError():
            return ApiError(502, message, kind="server_error")
        case _:
            return ApiError(500, message, kind="server_error")


def field_of(place: Sequence[int | str]) -> str:
    """A field as it is written in the request, such as messages[0].content."""
    name = ""
    for part in place:
        if isinstance(part, int):
            name += f"[{part}]"
        elif part.isidentifier() and part not in _TYPES:
            name += f".{part}" if name else part
    return name


def too_large(most: int) -> ApiError:
    """What a client is told whose request is larger than so many bytes."""
    return ApiError(413, f"the request is larger than {most} bytes", code="request_too_large")


def unforeseen() -> ApiError:
    """What a client is told of an error that nobody foresaw."""
    return ApiError(500, "the server failed: its log says why", kind="server_error")


async def error_response(request: Request, error: Exception) -> JSONResponse:
    """The response to an error that a route raised."""
    del request
    return _api_error_of(error).response()


def _api_error_of(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            return of_validation(error)
        case HTTPException():
            said = "there is no such path" if error.status_code == 404 else str(error.detail)
            return ApiError(error.status_code, said, headers=error.headers)
        case _:
            return unforeseen()


def of_validation(error: RequestValidationError | ValidationError) -> ApiError:
    """What a client is told of a request that does not fit its schema: the first field at fault."""
    found = error.errors()
    first = found[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "")
        return ApiError(400, f"the body is not JSON: {reason}", code="invalid_json")
    param = field_of([part for part in first["loc"] if part not in ("body", "query", "path")])
    said = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        said = "this server knows no such field: leave it out"
    if not param:
        return ApiError(400, f"the body: {said} (send JSON, as application/json)")
    code = "missing_required_parameter" if first["type"] == "missing" else "invalid_value"
    return invalid(param, said, code)
