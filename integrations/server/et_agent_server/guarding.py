"""Who may ask, and how much: keys, hosts, sizes and the time that a body may take."""

import asyncio
import hashlib
import hmac
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from et_agent_server.errors import ApiError, too_large
from et_agent_server.settings import ServerSettings, is_loopback

__all__ = ["Guard"]

_OPEN: Final = frozenset({"/", "/healthz", "/readyz"})
_OPEN_FOLDER: Final = "/ui/"
"""What needs no key: it tells nothing. The page asks for the key itself."""


class Guard:
    """Lets requests through that may come.

    Args:
        app: What answers them.
        settings: The server's settings.
    """

    def __init__(self, app: ASGIApp, *, settings: ServerSettings) -> None:
        self._app, self._settings = app, settings
        self._keys = [_digest(key.get_secret_value().encode()) for key in settings.api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal.response()(scope, receive, send)
            return
        await self._app(scope, self._limited(receive), send)

    def _refusal(self, scope: Scope) -> ApiError | None:
        headers = dict(scope["headers"])
        is_open = scope["path"] in _OPEN or scope["path"].startswith(_OPEN_FOLDER)
        if not is_open and not self._is_known(headers.get(b"authorization", b"")):
            return ApiError(
                401,
                "the API key is missing or wrong: send it as Authorization: Bearer KEY",
                kind="authentication_error",
                param="Authorization",
                code="invalid_api_key",
            )
        if not self._keys and not _is_own_name(headers.get(b"host", b"")):
            # A page of the web could name this machine by a name of its own.
            return ApiError(
                403,
                "without an API key, the server is asked as localhost or 127.0.0.1 only",
                param="Host",
            )
        origin = headers.get(b"origin")
        if not self._keys and origin is not None and not _is_own_page(origin):
            # Browsers send some requests of other pages unasked, and only hide the reply from them.
            return ApiError(
                403,
                "without an API key, pages of other machines may not ask this server",
                param="Origin",
            )
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._settings.max_body:
            return too_large(self._settings.max_body)
        return None

    def _is_known(self, header: bytes) -> bool:
        if not self._keys:
            return True
        scheme, _, given = header.partition(b" ")
        found = _digest(given.strip())
        # All are compared, so that the time tells nothing.
        equal = [hmac.compare_digest(found, key) for key in self._keys]
        return scheme.lower() == b"bearer" and any(equal)

    def _limited(self, receive: Receive) -> Receive:
        """The same, but that the body has to come in time and keep to its size."""
        size, complete = 0, False
        until = asyncio.get_running_loop().time() + self._settings.send_seconds

        async def limited() -> Message:
            nonlocal size, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "the request took too long to arrive") from None
            size += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if size > self._settings.max_body:
                raise HTTPException(413, too_large(self._settings.max_body).message)
            return message

        return limited


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _is_own_page(origin: bytes) -> bool:
    scheme, _, host = origin.partition(b"://")
    return scheme.lower() in (b"http", b"https") and _is_own_name(host)


def _is_own_name(host: bytes) -> bool:
    name = host.decode("latin-1").lower()
    if not name.endswith("]"):
        name = name.rpartition(":")[0] if ":" in name else name
    return is_loopback(name)
