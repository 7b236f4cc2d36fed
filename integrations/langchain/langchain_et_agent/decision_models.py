"""A decision model for LangChain: typed answers with probabilities from entropy trees."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.decisions import (
    BaseDecisionModel,
    Box,
    Choice,
    ChoiceAnswer,
    ClassifierRequest,
    ClassifierResponse,
    Noul,
    NoulAnswer,
    Question,
    Score,
    ScoreAnswer,
    State,
)
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable
from pydantic import ConfigDict, Field, ValidationError, model_validator

from et_agent.answers import AnswerKind
from et_agent.answers.lettering import MOST_CHOICES, lettered
from et_agent.answers.option_letters import LATIN
from et_agent.engines.sampled import AnyModel
from et_agent.errors import InputError, SettingsError
from et_agent.results import AskResult, CalibrationReport
from et_agent.validation import explained, type_of
from et_agent.weights.catalog import default_model

__all__ = ["EntropyTreeDecisionModel", "EntropyTreeResponse"]

_NOT_TEXT: Final = frozenset({"image", "image_url", "audio", "input_audio", "video", "file"})


class EntropyTreeResponse(ClassifierResponse):
    """Typed answers, and what their confidences rest on."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    calibrations: dict[str, CalibrationReport | None] = Field(default_factory=dict)
    """What each confidence rests on, by question: your own calibrator, a shipped one or the general
    map. None for a confidence that is the share, and for a question with one option."""


class EntropyTreeDecisionModel(BaseDecisionModel):
    """Answers questions about a text, messages or JSON with the shares of an entropy tree.

        decide = EntropyTreeDecisionModel(model="qwen2.5-coder-0.5b")
        decide.invoke({"state": "My card was charged twice.", "questions": {"team": Choice(…)}})

    Each question is one tree over lettered options, and all trees of a request share the model's
    batches. The probability of an option is the weight of the paths that chose it. The weight of
    paths that chose no option is distributed evenly. `confidence` is P(correct) from the best map that
    applies: your own calibrator, a shipped one, or the general map. If the tree gives none, it is the
    share of the choice, which is 0 if no path chose one. `EntropyTreeResponse.calibrations` says which
    it was. The expected `score` is computed from the probabilities.

    Attributes:
        model: A catalog name, a path, `hf:owner/repo/file.gguf`, or a loaded model.
        tree: An `EntropyTreeRunnable` with settings of its own, instead of `model`.

    Raises, when called:
        InputError: The request is invalid, or has no question, more than ten options, or an image.
        EtAgentError: Decoding failed.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, use_attribute_docstrings=True
    )

    model: str = Field(default_factory=default_model)
    """Name of the model, or of the model of `tree` if that is given."""
    tree: Runnable[Any, AskResult] = Field(default_factory=lambda data: _tree_of(data["model"]))
    """The runnable that answers a question with lettered options."""

    def __init__(self, **values: Any) -> None:
        """Check the settings, without loading anything.

        Raises:
            SettingsError: A setting is unknown or of the wrong type.
        """
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(explained(type(self).__name__, error)) from error

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: dict[str, Any]) -> dict[str, Any]:
        given = values.get("model")
        if isinstance(given, AnyModel):
            return {"tree": _tree_of(given), **values, "model": given.info.name}
        if given is None and "tree" in values:
            used = getattr(values["tree"], "model", "entropy-tree")
            return {**values, "model": used if isinstance(used, str) else used.info.name}
        return values

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Settings are written, without weights."""
        return True

    @property
    def _provider(self) -> str:
        return "et_agent"

    def _classify_and_record(self, request: ClassifierRequest) -> ClassifierResponse:
        return super()._classify_and_record(_checked(request))

    async def _aclassify_and_record(self, request: ClassifierRequest) -> ClassifierResponse:
        return await super()._aclassify_and_record(_checked(request))

    def _classify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        asked = _asked(state, questions)
        results = self.tree.batch(list(asked.values()))
        return self._response(questions, dict(zip(asked, results, strict=True)))

    async def _aclassify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        asked = _asked(state, questions)
        results = await self.tree.abatch(list(asked.values()))
        return self._response(questions, dict(zip(asked, results, strict=True)))

    def _response(
        self, questions: Mapping[str, Question], results: Mapping[str, AskResult]
    ) -> EntropyTreeResponse:
        usage = [result.usage for result in results.values()]
        prompt = sum(one.prompt_tokens for one in usage)
        cached = sum(one.cached_tokens for one in usage)
        decoded = sum(one.tokens_decoded for one in usage)
        calibrations = {name: _calibration(results.get(name)) for name in questions}
        return EntropyTreeResponse(
            model=self.model,
            answers={name: _answer(one, results.get(name)) for name, one in questions.items()},
            calibrations=calibrations,
            usage={
                "input_tokens": prompt,
                "output_tokens": decoded,
                "total_tokens": prompt + decoded,
                "input_token_details": {"cache_read": cached},
            },
        )


def _tree_of(model: str | AnyModel) -> Runnable[Any, AskResult]:
    # Imported here: a tree of the caller's own needs no other.
    from et_agent.runnables import EntropyTreeRunnable

    return EntropyTreeRunnable(model=model, kind=AnswerKind.CHOICE)


def _checked(request: Any) -> ClassifierRequest:
    """A request that is one; checked here, where callbacks see the error, not in `invoke`."""
    if (problem := _no_request(request)) is not None:
        raise InputError(f'{problem}: pass {{"state": …, "questions": {{"name": Choice(…)}}}}')
    made: ClassifierRequest = request
    return made


def _no_request(given: Any) -> str | None:
    if not isinstance(given, Mapping):
        return f"the request is {type_of(given)}"
    for key in ("state", "questions"):
        if key not in given:
            return f"the request has no {key!r}"
    if not isinstance(given["questions"], Mapping):
        return f"the questions are {type_of(given['questions'])}"
    for name, one in given["questions"].items():
        if not isinstance(one, Noul | Choice | Score | Box):
            return f"question {name!r} is {type_of(one)}"
    return None


def _options(question: Question) -> list[str]:
    """What the options say, in order."""
    match question:
        case Noul():
            criteria = question.criteria
            yes = None if criteria is None else criteria.true
            no = None if criteria is None else criteria.false
            return [_described("Yes", yes), _described("No", no)]
        case Choice():
            return [_described(label, text) for label, text in question.criteria.items()]
        case Score():
            return [_plain(text) for text in question.criteria]
        case _:
            raise InputError(
                f"a question of type {question.type!r} needs an image, but only text is supported: "
                "use Choice, Noul or Score"
            )


def _asked(state: State, questions: Mapping[str, Question]) -> dict[str, str]:
    """The texts of the questions that need a tree."""
    if not questions:
        raise InputError("there are no questions: pass at least one")
    told = _plain(state)
    asked = {}
    for name, question in questions.items():
        options = _options(question)
        if len(options) > MOST_CHOICES:
            raise InputError(
                f"question {name!r} has {len(options)} options, but at most {MOST_CHOICES} are "
                "possible: ask for a group first, then for an option in it"
            )
        if len(options) > 1:
            # On one line each: a line break would end the option.
            offered = [" ".join(text.split()) for text in options]
            if not all(offered):
                raise InputError(
                    f"question {name!r} has an empty option: leave it out, or write what it stands for"
                )
            asked[name] = lettered(f"{told}\n\n{_plain(question.instructions)}", offered)
    return asked


def _answer(
    question: Question, result: AskResult | None
) -> NoulAnswer | ChoiceAnswer | ScoreAnswer:
    count = len(_options(question))
    shares, confidence = _shares(count, result)
    match question:
        case Noul():
            return NoulAnswer(type="noul", noul=shares[0])
        case Choice():
            probabilities = dict(zip(question.criteria, shares, strict=True))
            # The rest is dealt out evenly, so the answer stays the heaviest; and the confidence is
            # about it.
            labels = dict(zip(LATIN, probabilities, strict=False))
            said = None if result is None else result.answer
            best = labels.get(said or "A", labels["A"])
            return ChoiceAnswer(
                type="choice", choice=best, probabilities=probabilities, confidence=confidence
            )
        case _:
            assert isinstance(question, Score)
            return ScoreAnswer(
                type="score",
                score=sum(level * share for level, share in enumerate(shares)),
                legend=dict(enumerate(question.criteria)),
                probabilities=dict(enumerate(shares)),
                confidence=confidence,
            )


def _calibration(result: AskResult | None) -> CalibrationReport | None:
    """What a confidence rests on; None for a share."""
    return None if result is None or result.confidence is None else result.calibration


def _shares(count: int, result: AskResult | None) -> tuple[list[float], float]:
    """Probability of each option, and the confidence; one option alone needs no tree."""
    if result is None:
        return [1.0], 1.0
    if result.kind != "choice":
        raise SettingsError(
            f'the tree reads answers of kind {result.kind}: create it with kind="choice"'
        )
    known = {one.answer: one.share for one in result.distribution}
    chosen = [known.get(letter, 0.0) for letter in LATIN[:count]]
    rest = max(0.0, 1.0 - sum(chosen)) / count
    shares = [min(1.0, share + rest) for share in chosen]
    return shares, result.share if result.confidence is None else result.confidence


def _described(label: str, text: Any) -> str:
    return label if text is None else f"{label}: {_plain(text)}"


def _plain(value: Any) -> str:
    """A text for the model; JSON if the value is not a text."""
    ready = _ready(value)
    if isinstance(value, BaseMessage):
        return str(value.text)
    if isinstance(ready, str):
        return ready
    if isinstance(ready, list) and ready and all(isinstance(one, BaseMessage) for one in value):
        return "\n".join(f"{one['role']}: {one['text']}" for one in ready)
    return json.dumps(ready, ensure_ascii=False)


def _ready(value: Any) -> Any:
    """JSON types out of what a state may hold.

    Raises:
        InputError: It holds something other than text and plain values.
    """
    match value:
        case BaseMessage():
            _ready(value.content)
            return {"role": value.type, "text": str(value.text)}
        case str() | int() | float() | None:
            return value
        case Mapping():
            kind = value.get("type")
            if isinstance(kind, str) and kind in _NOT_TEXT:
                raise InputError(
                    f"the state contains a block of type {kind!r}, but only text is "
                    "supported: leave it out or describe it in words"
                )
            return {str(key): _ready(one) for key, one in value.items()}
        case Sequence() if not isinstance(value, (bytes, bytearray)):
            return [_ready(one) for one in value]
        case _:
            raise InputError(f"the state contains {type_of(value)}: use text and JSON types")
