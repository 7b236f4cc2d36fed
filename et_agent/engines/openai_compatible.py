"""A model behind a server with OpenAI's interface: llama-server, Ollama, vLLM or a hosted one.

Such a server gives samples and, many of them, the log-probabilities of their tokens.

    with OpenAICompatibleModel("http://localhost:8080/v1") as model:
        result = ask(model, "How many legs have 3 cats and 2 birds?")
"""

import asyncio
import hashlib
import json
import logging
import math
import threading
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Final

import httpx

from et_agent.arguments import checks_arguments
from et_agent.engines.base import ModelIdentity
from et_agent.engines.openai_connection import REFUSING, SMALL, Connection, LoopThread, Refusal
from et_agent.engines.openai_wire import (
    Completion,
    Dialect,
    ServedModel,
    ServedModels,
    are_copies,
    body_of,
    read,
    sample_of,
)
from et_agent.engines.sampled import (
    END,
    SERVER_CALLS,
    Sample,
    SampleRequest,
    SampleUsage,
    TokenTable,
)
from et_agent.errors import ModelClosedError, ServerError, SettingsError
from et_agent.templates.tool_format import ToolFormat

__all__ = ["API_KEY_VARIABLE", "OpenAICompatibleModel"]

API_KEY_VARIABLE: Final = "ET_AGENT_API_KEY"
"""The environment variable with the key, unless another one is named."""
_log = logging.getLogger("et_agent.openai_compatible")
_PER_TOKEN: Final = 8192
"""Bytes of a token with its alternatives, several times what they take."""


class OpenAICompatibleModel:
    """A model behind a server; see `SampledModel`. Requests run in a thread of their own.

    The key is read from the environment when the model is made. It is sent in the `Authorization`
    header and appears nowhere else. Redirects are not followed.

    What a server does not take is left out from then on: it is found out from its refusals, and from
    the number of choices that it gives. Without `n` there is one request per chain, `parallel` of them
    at a time.

    Args:
        base_url: The server's address up to and with `/v1`, and `#NAME` behind it if you like.
        model: The server's name for the model; None for the only one that it has.
        api_key_env: Name of the environment variable with the key, which need not be set.
        timeout: Seconds for a request, from its beginning to the last byte.
        connect_timeout: Seconds to connect.
        retries: How often a request is repeated after a failure that may pass (no connection, 429,
            5xx), after pauses that double, or as long as the server asks for, at most a minute.
        parallel: Requests at a time.
        extra_body: Further fields of every request, such as {"top_k": 0, "min_p": 0} for servers that
            would otherwise cut off unlikely tokens.
        parameters: Number of weights, for the general confidence; 0 takes what the server tells.
        transport: Carries the requests, for tests; None for the network.

    Raises:
        SettingsError: An argument is out of range, or the name is missing and the server has several
            models.
        ServerError: The server cannot be reached or refuses the key.
    """

    @checks_arguments
    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        *,
        api_key_env: str = API_KEY_VARIABLE,
        timeout: float = 600.0,
        connect_timeout: float = 10.0,
        retries: int = 3,
        parallel: int = 8,
        extra_body: Mapping[str, Any] | None = None,
        parameters: int = 0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        address, _, named = base_url.partition("#")
        self._name = model or named or ""
        if retries < 0 or parallel < 1 or parameters < 0:
            raise SettingsError("retries and parameters are 0 or more, and parallel is 1 or more")
        if not (0 < timeout < math.inf and 0 < connect_timeout < math.inf):
            raise SettingsError("timeout and connect_timeout are seconds above 0")
        self._extra = dict(extra_body or {})
        try:
            json.dumps(self._extra, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise SettingsError(f"extra_body cannot be written as JSON: {error}") from error
        self._connection = Connection(
            address,
            key_env=api_key_env,
            timeout=timeout,
            connect_timeout=connect_timeout,
            retries=retries,
            transport=transport,
        )
        self._dialect = Dialect()
        self._table = TokenTable()
        self._closed = False
        self._lock = threading.Lock()
        self._thread = LoopThread()
        self._places = asyncio.Semaphore(parallel)
        weakref.finalize(self, self._thread.stop)
        try:
            self._info = self._thread.call(self._identified(parameters)).result()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"OpenAICompatibleModel(model={self._name!r})"

    @property
    def info(self) -> ModelIdentity:
        """What the server says of the model."""
        return self._info

    def token_bytes(self, token: int) -> bytes:
        """The bytes of a piece of a reply."""
        return self._table.bytes_of(token)

    def tool_format(self) -> ToolFormat:
        """How samples have tool calls."""
        return SERVER_CALLS

    def sample(
        self, request: SampleRequest, chains: range, take: Callable[[int, Sample], None]
    ) -> "Future[SampleUsage]":
        """Sample replies; see `SampledModel.sample`."""
        with self._lock:
            if self._closed:
                raise ModelClosedError("this model was closed: make it again")
            return self._thread.call(self._sampled(request, chains, take))

    def close(self) -> None:
        """End all requests and the thread; safe to call twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._thread.stop(self._connection.close)

    def __enter__(self) -> "OpenAICompatibleModel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- In the thread

    async def _identified(self, parameters: int) -> ModelIdentity:
        reply = await self._connection.exchange("GET", "models", None, 4 * SMALL)
        listed: list[ServedModel] = []
        if not isinstance(reply, Refusal):
            listed = read(ServedModels, reply).data
        elif reply.status not in (404, 405, 501):
            raise self._connection.error(reply)
        if not self._name:
            if len(listed) != 1:
                names = ", ".join(one.id for one in listed[:20]) or "none that it tells of"
                raise SettingsError(
                    f"name one of the server's models with #NAME or model=: {names}"
                )
            self._name = listed[0].id
        served = [one for one in listed if one.id in (self._name, f"{self._name}:latest")]
        found = next(iter(served), listed[0] if len(listed) == 1 else None)
        meta = None if found is None else found.meta
        identity = [self._name, None if found is None else found.model_dump(mode="json")]
        text = json.dumps(["openai-compatible", *identity], sort_keys=True)
        return ModelIdentity(
            name=self._name,
            fingerprint=hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
            stop_tokens=frozenset({END}),
            parameters=parameters or (meta.n_params if meta is not None else 0) or 0,
            library="openai-compatible server",
        )

    async def _sampled(
        self, request: SampleRequest, chains: range, take: Callable[[int, Sample], None]
    ) -> SampleUsage:
        tally = _Tally()
        try:
            rest = chains
            if len(chains) > 1 and self._dialect.n:
                rest = rest[await self._asked(request, chains, take, tally) :]
            async with asyncio.TaskGroup() as group:
                for at in range(len(rest)):
                    group.create_task(self._asked(request, rest[at : at + 1], take, tally))
        except asyncio.CancelledError:
            if self._closed:
                raise ModelClosedError("this model was closed while it answered") from None
            raise
        except BaseExceptionGroup as group_of_errors:
            raise group_of_errors.exceptions[0] from None
        return tally.usage()

    async def _asked(
        self,
        request: SampleRequest,
        chains: range,
        take: Callable[[int, Sample], None],
        tally: "_Tally",
    ) -> int:
        """Ask for chains in one request; returns how many came."""
        limit = SMALL + len(chains) * request.max_tokens * _PER_TOKEN
        async with self._places:
            while True:
                dialect = self._dialect
                wanted = chains if dialect.n else chains[:1]
                body = body_of(request, self._name, dialect, chain=wanted.start, count=len(wanted))
                reply = await self._connection.exchange(
                    "POST", "chat/completions", body | self._extra, limit
                )
                if not isinstance(reply, Refusal):
                    break
                # Another request may have found out the same meanwhile.
                if self._dialect == dialect and reply.status in REFUSING and not reply.too_long:
                    left = dialect.without(f"{reply.kind} {reply.message}")
                    if left is None:
                        raise self._connection.error(reply)
                    _log.info("the server refuses part of a request: %s", reply.message)
                    self._dialect = left
                elif self._dialect == dialect:
                    raise self._connection.error(reply)
        try:
            completion: Completion = read(Completion, reply)
        except ServerError as error:
            raise self._connection.failure_in(reply) or error from None
        choices = completion.choices[: len(wanted)]
        if are_copies(choices) and request.temperature > 0:
            # The server gave all choices the same seed.
            choices = choices[:1]
        if len(choices) < len(wanted):
            self._dialect = replace(self._dialect, n=False)
        tally.add(completion, given=len(choices))
        for number, choice in zip(wanted, choices, strict=False):
            take(number, sample_of(choice, self._table))
        return len(choices)


class _Tally:
    """Sums what requests cost; what one of them does not tell is not known of all."""

    def __init__(self) -> None:
        self._requests = 0
        self._prompt: int | None = None
        self._cached: int | None = None
        self._counts: dict[str, int | None] = {"completion": 0, "reasoning": 0}

    def add(self, completion: Completion, *, given: int) -> None:
        """Add a completion of which so many choices were taken."""
        usage = completion.usage
        self._requests += 1
        prompt = None if usage is None else usage.prompt_tokens
        if self._requests == 1:
            self._prompt = prompt
            details = None if usage is None else usage.prompt_tokens_details
            self._cached = None if details is None else details.cached_tokens
        details_of_reply = None if usage is None else usage.completion_tokens_details
        told = {
            # What choices cost that nobody asked for is not known.
            "completion": usage.completion_tokens
            if usage is not None and given == len(completion.choices)
            else None,
            "reasoning": None if details_of_reply is None else details_of_reply.reasoning_tokens,
        }
        for name, more in told.items():
            so_far = self._counts[name]
            self._counts[name] = None if so_far is None or more is None else so_far + more

    def usage(self) -> SampleUsage:
        """The sums."""
        return SampleUsage(
            requests=self._requests,
            prompt_tokens=self._prompt,
            cached_tokens=self._cached,
            completion_tokens=self._counts["completion"],
            reasoning_tokens=self._counts["reasoning"],
        )
