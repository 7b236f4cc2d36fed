"""The connection to a server with OpenAI's interface: addresses, keys, retries, limits, refusals."""

import asyncio
import contextlib
import ipaddress
import json
import os
import random
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx

from et_agent.errors import QuestionError, ServerError, SettingsError, UnsupportedModelError
from et_agent.waiting import Birthplace
from et_agent.weights.addresses import check_address, shown_address

__all__ = ["REFUSING", "SMALL", "Connection", "LoopThread", "Refusal"]

T = TypeVar("T")

REFUSING: Final = frozenset({400, 422, 501})
"""Statuses of a request that the server does not take as it is."""
SMALL: Final = 2**20
"""Bytes of a reply besides its tokens."""
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
"""Statuses of failures that may pass."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_JSON: Final = {"Content-Type": "application/json"}
_TOLD: Final = 300
"""Characters of a server's own message that errors have."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply with an error status."""

    status: int
    message: str
    kind: str
    pause: float | None

    @property
    def too_long(self) -> bool:
        """Whether the prompt does not fit."""
        said = f"{self.kind} {self.message}".lower()
        return "context" in said and any(word in said for word in ("exceed", "length", "too long"))


class Connection:
    """A connection; all but the constructor runs in one event loop.

    Args:
        address: Up to and with `/v1`.
        key_env: Environment variable with the key.
        timeout: Seconds for a request, from its beginning to the last byte.
        connect_timeout: Seconds to connect.
        retries: How often a request is repeated.
        transport: Carries the requests; None for the network.

    Raises:
        SettingsError: The address is none, or the key cannot be one.
    """

    def __init__(
        self,
        address: str,
        *,
        key_env: str,
        timeout: float,
        connect_timeout: float,
        retries: int,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._address = _checked(address)
        self._key_env, self._key = key_env, os.environ.get(key_env, "").strip()
        if any(not 32 < ord(one) < 127 for one in self._key):
            raise SettingsError(f"{key_env} holds a character that no key has: set it again")
        self._timeout, self._retries = timeout, retries
        headers = {"Accept-Encoding": "identity", "User-Agent": "et-agent"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._client = httpx.AsyncClient(
            base_url=self._address,
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=connect_timeout),
            transport=transport,
            limits=httpx.Limits(max_connections=None),
            # A proxy cannot reach this machine's own servers.
            trust_env=not _is_loopback(self._address.host),
        )

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()

    async def exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None, limit: int
    ) -> "bytes | Refusal":
        """The body of a reply, or its refusal, after as many retries as are worth while."""
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            pause = _FIRST_PAUSE * 2**attempt * random.uniform(0.75, 1.25)
            try:
                reply = await self._once(method, path, body, limit)
            except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout):
                raise ServerError(
                    f"no reply from the server within {self._timeout:g} s: allow more (timeout), or "
                    "ask for fewer tokens"
                ) from None
            except httpx.RequestError as error:
                if last:
                    raise ServerError(
                        f"the server at {self._address} cannot be reached or broke off "
                        f"({type(error).__name__}): is it running?"
                    ) from None
            else:
                if last or not isinstance(reply, Refusal) or reply.status not in _PASSING:
                    return reply
                pause = pause if reply.pause is None else max(pause, reply.pause)
            await asyncio.sleep(min(pause, _LONGEST_PAUSE))
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    async def _once(
        self, method: str, path: str, body: Mapping[str, Any] | None, limit: int
    ) -> "bytes | Refusal":
        text = bytearray()
        content = None if body is None else _written(body)
        async with (
            asyncio.timeout(self._timeout),
            self._client.stream(method, path, content=content, headers=_JSON) as response,
        ):
            failed = response.status_code != 200
            async for chunk in response.aiter_bytes():
                text += chunk
                if len(text) > (SMALL if failed else limit):
                    raise ServerError(
                        f"the server's reply is longer than {limit >> 20} MiB, more than its tokens "
                        "can take: it was broken off"
                    )
            if not failed:
                return bytes(text)
            return self._refusal(response.status_code, bytes(text), response.headers)

    def _refusal(self, status: int, text: bytes, headers: httpx.Headers) -> Refusal:
        said: Any = text.decode("utf-8", "replace")
        kinds: list[str] = []
        with contextlib.suppress(ValueError, RecursionError):
            said = json.loads(text)
        if isinstance(said, Mapping):
            said = said.get("error") or said.get("detail") or said.get("message") or said
        if isinstance(said, Mapping):
            kinds = [str(said[key]) for key in ("type", "code", "param") if said.get(key)]
            said = said.get("message") or said
        message = " ".join(str(said).split()).encode("utf-8", "replace").decode()
        kind = " ".join(kinds)
        return Refusal(
            status, self._safe(message)[:_TOLD], self._safe(kind)[:_TOLD], _pause_of(headers)
        )

    def _safe(self, text: str) -> str:
        """A server's text without the key, should it give that back."""
        return text.replace(self._key, "…") if self._key else text

    def failure_in(self, text: bytes) -> Exception | None:
        """What to raise for an error in place of a reply, without its status; None for no error."""
        with contextlib.suppress(ValueError, RecursionError):
            said = json.loads(text)
            if isinstance(said, Mapping) and said.get("error"):
                return self.error(self._refusal(200, text, httpx.Headers()))
        return None

    def error(self, refusal: Refusal) -> Exception:
        """What to raise for a refusal."""
        said = f"{refusal.status}: {refusal.message}"
        if refusal.status in (401, 403):
            return ServerError(
                f"the server refuses access ({said}): put its key into the environment variable "
                f"{self._key_env}"
            )
        if refusal.too_long:
            return QuestionError(
                f"the prompt and the reply do not fit the server's context ({said}): shorten the "
                "question, or start the server with a larger context"
            )
        if refusal.status == 404:
            return UnsupportedModelError(
                f"the server has no such model, or no chat completions ({said}): check the name, and "
                " that the address ends as the server's does (/v1)"
            )
        if refusal.status in REFUSING:
            return UnsupportedModelError(f"the server refuses the request ({said})")
        return ServerError(f"the server failed ({said})")


def _checked(address: str) -> httpx.URL:
    check_address(address)
    try:
        return httpx.URL(address)
    except (httpx.InvalidURL, ValueError) as error:
        raise SettingsError(
            f"{shown_address(address)!r} is no address: use http://HOST:PORT/v1"
        ) from error


def _written(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise SettingsError(
            "a text of the request is not valid UTF-8: convert the tools, the stop sequences, the "
            "template's options and the model's name to UTF-8"
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _pause_of(headers: httpx.Headers) -> float | None:
    """Seconds that a server asks to wait; None where it does not say, or gives a date."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._birthplace = Birthplace("this model was made", "make it again in this process")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._serve, args=(self._loop,), name="et-agent-server", daemon=True
        )
        self._thread.start()

    @staticmethod
    def _serve(loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_forever()
        finally:
            loop.close()

    def call(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine.

        Raises:
            ModelClosedError: The thread was begun before this process was forked.
        """
        try:
            self._birthplace.require()
        except BaseException:
            work.close()
            raise
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Cancel what runs, then run `last`, and end. Waits unless it is called in the thread."""
        if self._loop.is_closed() or self._birthplace.left:
            return
        asyncio.run_coroutine_threadsafe(self._ended(last), self._loop)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    async def _ended(self, last: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        try:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if last is not None:
                await last()
        finally:
            self._loop.stop()
