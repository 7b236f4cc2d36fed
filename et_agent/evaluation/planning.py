"""What decides a run, as its store has it: read off a model, a decoder and the prompt."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Unpack

from et_agent.answers import AnswerKind, instruction
from et_agent.answers.joining import JOINED_KINDS
from et_agent.answers.kinds import DIRECT_INSTRUCTION
from et_agent.asking.options import AskOptions, PromptKeywords
from et_agent.asking.thinking import Thinking
from et_agent.decoding import EntropyTree
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.direct import Direct
from et_agent.decoding.naming import described
from et_agent.decoding.thresholds import Thresholds, find_thresholds
from et_agent.engines.base import LanguageModel
from et_agent.engines.sampled import AnyModel
from et_agent.evaluation.datasets.own import OWN_ENDINGS
from et_agent.evaluation.store import RunInfo, RunStore, versions

__all__ = ["Plan", "RunPlan", "begin_run", "plan_runs"]

_PUBLIC_KINDS: Final = (
    AnswerKind.NUMBER,
    AnswerKind.MATH,
    AnswerKind.CHOICE,
    AnswerKind.TEXT,
)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A run that is to be begun or gone on with; `RunStore.begin` takes it.

    Attributes:
        name: Name of a new run.
        config: Everything that decides what is decoded, in plain JSON types.
        made_with: Versions of packages, the kernels and the model's number of parameters.
    """

    name: str
    config: Mapping[str, Any]
    made_with: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an evaluation decodes, and how.

    Attributes:
        options: How questions are asked.
        runs: A run for each decoder, by the decoder's name.
    """

    options: AskOptions
    runs: Mapping[str, RunPlan]


def plan_runs(
    model: AnyModel,
    decoders: Mapping[str, DecoderSettings],
    *,
    data: str,
    thresholds: Thresholds | None = None,
    kinds: Collection[AnswerKind] = (),
    **prompt: Unpack[PromptKeywords],
) -> Plan:
    """Plan a run for each decoder; see `evaluate` for the arguments.

    `kinds` are those of the questions.
    """
    found = _thresholds(model, thresholds)
    reads = isinstance(model, LanguageModel)
    options = AskOptions(thresholds=found, calibrator=None, attention=reads, **prompt)
    runs = {
        name: _plan_run(model, decoder, name, options, data=data, kinds=kinds)
        for name, decoder in decoders.items()
    }
    return Plan(options, runs)


def begin_run(
    store: RunStore,
    model: AnyModel,
    decoder: DecoderSettings,
    name: str,
    *,
    data: str,
    thresholds: Thresholds | None = None,
    kinds: Collection[AnswerKind] = (),
    **prompt: Unpack[PromptKeywords],
) -> RunInfo:
    """The run that `evaluate` would go on with, or a new one; see there for the arguments.

    `kinds` are those of the questions.
    """
    planned = plan_runs(
        model, {name: decoder}, data=data, thresholds=thresholds, kinds=kinds, **prompt
    )
    run = planned.runs[name]
    return store.begin(run.name, run.config, made_with=run.made_with)


def _plan_run(
    model: AnyModel,
    decoder: DecoderSettings,
    name: str,
    options: AskOptions,
    *,
    data: str,
    kinds: Collection[AnswerKind],
) -> RunPlan:
    found = options.thresholds
    config = {
        "data": data,
        "model": {"name": model.info.name, "fingerprint": model.info.fingerprint},
        "seed": options.seed,
        "system_prompt": options.system_prompt,
        "chat": options.chat,
        # Chains know no thresholds: a new pilot must not make another run of them.
        "thresholds": found.model_dump(mode="json")
        if found is not None and isinstance(decoder, EntropyTree)
        else None,
        "instructions": _instructions(decoder, kinds) if options.system_prompt is None else None,
        "attention_layers": list(model.info.attention_layers),
        "decoder": described(decoder),
        # Of other kinds nothing is joined, and their runs are those of earlier versions.
        **({"same": "tests"} if JOINED_KINDS.intersection(kinds) else {}),
    }
    config |= _thinking(model, options, decoder)
    # A file of the user's own goes by its name.
    known = Path(data).stem if Path(data).suffix.lower() in OWN_ENDINGS else data
    label = f"{known}-{model.info.name}-{name}".replace(":", "-").replace("/", "-")
    parameters = model.info.parameters
    return RunPlan(
        label, config, {**versions(), **({"parameters": str(parameters)} if parameters else {})}
    )


def _thinking(model: AnyModel, options: AskOptions, decoder: DecoderSettings) -> dict[str, Any]:
    """What the template is told and how long thoughts may be; nothing for models without thoughts."""
    found = Thinking.of(model, options)
    limit = None if isinstance(decoder, Direct) else found.limit
    told = {"template_options": dict(found.template) or None, "max_thinking_tokens": limit}
    return {name: value for name, value in told.items() if value is not None}


def _instructions(decoder: DecoderSettings, kinds: Collection[AnswerKind]) -> dict[str, str]:
    """The default system prompt of each kind that the decoder answers.

    The kinds of the public data sets are always there, so that a run of theirs is the same one whatever
    other kinds there are.
    """
    if isinstance(decoder, Direct):
        return {AnswerKind.CHOICE.value: DIRECT_INSTRUCTION}
    named = [kind for kind in AnswerKind if kind in _PUBLIC_KINDS or kind in kinds]
    return {kind.value: instruction(kind) for kind in named}


def _thresholds(model: AnyModel, given: Thresholds | None) -> Thresholds | None:
    if given is None and model.info.fingerprint:
        return find_thresholds(model.info.fingerprint)
    return given
