"""Surfaces that are called: each a maker of work, given a folder of its own."""

import inspect
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.hostile.drawing import text, value
from et_agent.errors import EtAgentError

__all__ = ["CALLED", "Work"]

Work = Callable[[random.Random], object]


def public_functions(folder: Path) -> Work:
    """Every public callable, one argument hostile."""
    from tests.test_boundary import PUBLIC, leaves_cleanly, sound_arguments

    sound = sound_arguments(folder)
    callables = {
        name: found
        for name, found in PUBLIC.items()
        if [one for one in inspect.signature(found).parameters.values() if one.kind in (1, 3)]
        # These render, draw or decode for seconds as they should.
        if name.rpartition(".")[2] not in ("write_report", "run_pilot")
    }
    names = sorted(callables)

    def work(draw: random.Random) -> object:
        name = draw.choice(names)
        parameters = inspect.signature(callables[name]).parameters.values()
        taken = [one for one in parameters if one.kind in (1, 3)]
        hostile = draw.choice(taken).name
        arguments = {hostile: value(draw)}
        for one in taken:
            if one.name != hostile and one.default is one.empty:
                arguments[one.name] = sound.get(one.name) or value(draw)
        told = leaves_cleanly(name, callables[name], arguments)
        if told is not None:
            raise EtAgentError(told)
        return name

    return work


def json_values(_: Path) -> Work:
    """Values where JSON is wanted, and schemas."""
    from et_agent.grammar import json_rule
    from et_agent.validation import plain_json

    keys = ("type", "enum", "anyOf", "items", "properties", "minimum", "pattern", "$ref", "const")

    def work(draw: random.Random) -> object:
        if draw.random() < 0.9:
            return plain_json(value(draw), "the value")
        return json_rule({draw.choice(keys): value(draw) for _ in range(draw.randrange(1, 3))})

    return work


def questions(_: Path) -> Work:
    """Questions, conversations, tools and schemas for a model."""
    from et_agent import MultiChain, ScriptedModel, ask

    model = ScriptedModel.from_texts({"So \\boxed{4}": 0.7, '{"a": 1}': 0.3}, context=1024)
    chains = MultiChain(leaves=2, max_tokens=16)

    def work(draw: random.Random) -> object:
        roles = ("user", "assistant", "system", "tool", text(draw))
        said = [
            {"role": draw.choice(roles), "content": draw.choice([text(draw), value(draw)])}
            for _ in range(draw.randrange(1, 4))
        ]
        question: Any = draw.choice([text(draw), value(draw), said])
        name = draw.choice(["schema", "tools", "context", "kind", "stop", "system_prompt", "seed"])
        changes: dict[str, Any] = {name: value(draw)} if draw.random() < 0.5 else {}
        return ask(model, question, decoder=chains, **changes)

    return work


def answers(_: Path) -> Work:
    """Texts that answers are read from."""
    from et_agent.answers import AnswerKind, extract, guess_kind

    kinds = [one for one in AnswerKind if one is not AnswerKind.AUTO]

    def work(draw: random.Random) -> object:
        said = text(draw) * draw.choice([1, 1, 1, 30])
        return guess_kind(said), extract(said, draw.choice(kinds), question=text(draw))

    return work


CALLED: Final[dict[str, Callable[[Path], Work]]] = {
    "public functions": public_functions,
    "JSON": json_values,
    "questions": questions,
    "answers": answers,
}
