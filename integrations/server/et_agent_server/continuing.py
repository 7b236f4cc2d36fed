"""Texts that go on as they are, for `/v1/completions`: no template, no answer, nothing to judge."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from et_agent import Greedy
from et_agent.answers import AnswerKind
from et_agent.answers.stops import StopSequences
from et_agent.asking.reading import PathReader
from et_agent.decoding.base import Decoder, DecoderSettings, RunInputs
from et_agent.decoding.request import Request
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.tree import Finish
from et_agent.engines.base import LanguageModel
from et_agent.errors import EtAgentError, UnsupportedModelError
from et_agent_server.calls import checked_stop, decoder_of, seed_of
from et_agent_server.errors import api_error, invalid
from et_agent_server.models import ServedModel, ServedModels
from et_agent_server.settings import ServerSettings
from et_agent_server.wire import (
    CompletionChoice,
    CompletionLogProbs,
    CompletionRequest,
    UsageReport,
)

__all__ = ["Continuation", "continued"]

_MOST_PROMPTS = 64
_MOST_CHOICES = 256
"""Of all prompts together."""


@dataclass(frozen=True)
class Continuation:
    """What a completion request asks for, prepared.

    Attributes:
        id: Identifies the reply.
        served: The model.
        requests: What is decoded, one request per prompt.
        reader: Reads the texts.
        choices: Continuations of each prompt.
        copies: Whether they are copies of one, since the most likely tokens are taken.
        logprobs: Likely tokens that are told beside each; None for no log-probabilities.
        parameters: Settings for the log and traces.
    """

    id: str
    name: str
    served: ServedModel
    requests: tuple[Request, ...]
    reader: PathReader
    choices: int
    copies: bool
    logprobs: int | None
    parameters: dict[str, Any]

    @property
    def chains(self) -> int:
        """Chains of each request."""
        return 1 if self.copies else self.choices

    def result(self) -> list[CompletionChoice]:
        """The continuations, those of the first prompt first.

        Raises:
            EtAgentError: Decoding failed.
        """
        found: list[CompletionChoice] = []
        for request in self.requests:
            request.result()
            for number in range(self.choices):
                branch = 0 if self.copies else number
                found.append(self._choice(request, branch, len(found)))
        return found

    def _choice(self, request: Request, branch: int, index: int) -> CompletionChoice:
        tree = request.run.tree
        _, text = self.reader.said(tree.path(branch), ended=True)
        stopped = tree.branches[branch].finish is Finish.STOP
        return CompletionChoice(
            index=index,
            text=text,
            logprobs=None if self.logprobs is None else self._log_probs(request, branch, text),
            finish_reason="stop" if stopped else "length",
        )

    def _log_probs(self, request: Request, branch: int, text: str) -> CompletionLogProbs:
        model, tree = request.model, request.run.tree
        found = tree.branches[branch]
        tokens: list[str] = []
        log_probs: list[float | None] = []
        offsets: list[int] = []
        tops: list[dict[str, float]] = []
        offset, left = 0, len(text.encode())
        for at, token in enumerate(found.tokens):
            piece = model.token_bytes(token)
            if not piece or left <= 0:
                continue
            left -= len(piece)
            tokens.append(piece.decode("utf-8", "replace"))
            log_probs.append(found.log_probs[at])
            offsets.append(offset)
            likely = tree.likely(branch, found.start + at) if self.logprobs else ()
            tops.append({_text(model.token_bytes(one.token)): one.log_prob for one in likely})
            offset += len(tokens[-1])
        return CompletionLogProbs(
            tokens=tokens,
            token_logprobs=log_probs,
            top_logprobs=tops if self.logprobs else None,
            text_offset=offsets,
        )

    def usage(self) -> UsageReport:
        """What they cost."""
        prompt = sum(request.prompt_tokens for request in self.requests)
        made = sum(request.tokens_decoded for request in self.requests)
        return UsageReport(prompt_tokens=prompt, completion_tokens=made, total_tokens=prompt + made)


def _text(piece: bytes) -> str:
    return piece.decode("utf-8", "replace")


def continued(
    body: CompletionRequest, models: ServedModels, settings: ServerSettings
) -> Continuation:
    """Prepare what a completion request asks for; nothing is decoded.

    Raises:
        ApiError: A field cannot be used; it is named.
    """
    served, gated = models.find(body.model)
    if gated:
        raise invalid(
            "model", "a continuation is no answer that a gate could judge: leave :gated out"
        )
    model = served.model
    prompts = _prompts(body.prompt)
    if len(prompts) * body.n > _MOST_CHOICES:
        raise invalid(
            "n", f"{len(prompts)} prompts x {body.n} choices: ask for up to {_MOST_CHOICES} in all"
        )
    stops = StopSequences(checked_stop(body.stop))
    decoder = decoder_of(
        served,
        settings,
        choices=body.n,
        leaves=None if body.n > 1 else 1,
        temperature=body.temperature,
        max_tokens=body.max_tokens,
    )
    seed = seed_of(body.seed)
    try:
        if not isinstance(model, LanguageModel):
            raise UnsupportedModelError(
                f"{served.name} is behind a server that replies to conversations: use "
                "/v1/chat/completions"
            )
        reader = PathReader(model, "", AnswerKind.TEXT, stops)
        requests = tuple(
            _request(model, one, decoder, reader, stops, seed, body.logprobs or 0)
            for one in prompts
        )
    except EtAgentError as error:
        raise api_error(error, asked="prompt", formed=None) from error
    return Continuation(
        id=f"cmpl-{secrets.token_hex(12)}",
        name=body.model,
        served=served,
        requests=requests,
        reader=reader,
        choices=body.n,
        copies=isinstance(decoder, Greedy),
        logprobs=body.logprobs,
        parameters={
            "temperature": decoder.temperature,
            "max_tokens": decoder.max_tokens,
            "choices": body.n,
            "seed": seed,
        },
    )


def _prompts(given: str | list[str] | list[int] | list[list[int]]) -> list[str | list[int]]:
    prompts: list[str | list[int]]
    if isinstance(given, str):
        prompts = [given]
    elif given and all(isinstance(one, int) for one in given):
        prompts = [[one for one in given if isinstance(one, int)]]
    else:
        prompts = [one for one in given if not isinstance(one, int)]
    if not 1 <= len(prompts) <= _MOST_PROMPTS:
        raise invalid("prompt", f"there are {len(prompts)} prompts: send 1 to {_MOST_PROMPTS}")
    if not all(prompts):
        raise invalid("prompt", "is empty: send some text")
    return prompts


def _request(
    model: LanguageModel,
    prompt: str | Sequence[int],
    decoder: DecoderSettings,
    reader: PathReader,
    stops: StopSequences,
    seed: int,
    alternatives: int,
) -> Request:
    if isinstance(prompt, str):
        tokens = model.plain_tokens(prompt)
    else:
        tokens = list(prompt)
        if not all(0 <= one < model.info.vocabulary for one in tokens):
            raise invalid("prompt", f"tokens are numbers from 0 to {model.info.vocabulary - 1}")
    inputs = RunInputs(
        prompt_length=len(tokens),
        stop_tokens=model.info.stop_tokens,
        seed=seed,
        ends=reader.ends if stops else None,
        alternatives=alternatives,
    )
    assert isinstance(decoder, Decoder)
    return scheduler_of(model).prepare(tokens, decoder, inputs)
