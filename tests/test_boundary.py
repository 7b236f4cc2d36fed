"""Every public callable takes anything, and leaves with its result or an `EtAgentError`.

Each argument in turn is hostile, the others are sound. What an annotation allows is drawn by it too, so
that sound values of odd kinds are among them.
"""

import contextlib
import enum
import importlib
import inspect
import math
import pkgutil
import typing
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import et_agent
from et_agent import AskOptions, Greedy, MultiChain, ScriptedModel, ask
from et_agent.answers import AnswerKind, extract
from et_agent.errors import EtAgentError
from et_agent.evaluation import Item, RunStore
from et_agent.gate import Gate, GatePolicy
from et_agent.uncertainty import check_leaves

OUTSIDE: Final = ("cli", "kernels", "renaming", "extras", "storage", "engines", "models")
"""Rooms that are no part of what programs call: the command line, the build, internal helpers."""
INTERNAL: Final = {
    "et_agent.arguments",
    "et_agent.arrays",
    "et_agent.errors",
    "et_agent.kept",
    "et_agent.limited_process",
    "et_agent.made_once",
    "et_agent.soundness",
    "et_agent.validation",
    "et_agent.waiting",
    "et_agent.wording",
}
NETWORKED: Final = {"OpenAICompatibleModel", "load_model", "public_sets", "load_items", "own_sets"}
"""These would ask servers and indexes for what they are named; their own tests are hostile too."""
VALUES: Final = {
    *("Branch", "Fork", "Request", "Run", "RunInputs", "Scheduler", "Clarification"),
    "call_grammar",
}
"""Parts of a decoder's protocol that carry state of the engine, or read the tokens of a part of it."""


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    names = [f"et_agent.{one.name}" for one in pkgutil.iter_modules(et_agent.__path__)]
    for name in ("et_agent", *names):
        if name in INTERNAL or name.partition(".")[2] in OUTSIDE:
            continue
        module = importlib.import_module(name)
        for attribute in getattr(module, "__all__", ()):
            found = getattr(module, attribute)
            if callable(found) and _is_called(attribute, found):
                yield f"{name}.{attribute}", found


def _is_called(name: str, found: Any) -> bool:
    if name in NETWORKED | VALUES:
        return False
    if inspect.isclass(found):
        plain = issubclass(found, enum.Enum) or getattr(found, "_is_protocol", False)
        return not plain and not hasattr(found, "__dataclass_fields__")
    return inspect.isfunction(found)


PUBLIC: Final = dict(public())

SURROGATE: Final = "\ud800"
DEEP: Any = None
for _ in range(3000):
    DEEP = [DEEP]
CIRCLE: Final[list[Any]] = []
CIRCLE.append(CIRCLE)


class Odd:
    """An object whose every use raises."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def __len__(self) -> int:
        return 10**12


HOSTILE: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(codec=None)),
    st.binary(max_size=20),
    st.lists(st.none() | st.integers() | st.text(max_size=5), max_size=4),
    st.dictionaries(st.text(max_size=4) | st.integers(), st.none() | st.floats(), max_size=3),
    st.sampled_from(
        [
            SURROGATE,
            "\0",
            "x" * 3000,
            10**400,
            -1,
            math.nan,
            math.inf,
            1e308,
            2**63,
            DEEP,
            CIRCLE,
            object(),
            Odd(),
            type,
            lambda *_: None,
            Path(__file__) / "below a file",
            np.zeros((2, 2)),
            np.array([math.nan]),
            {"role": "user", "content": SURROGATE},
            [{"role": "user", "content": None}],
            {1, 2},
            range(5),
            iter(()),
        ]
    ),
)


def sound_arguments(folder: Path) -> dict[str, Any]:
    """Sound arguments by their names."""
    model = ScriptedModel.from_texts({"So \\boxed{4}": 0.7, "So \\boxed{5}": 0.3})
    store = RunStore(folder / "runs.sqlite")
    question = "How many legs has a cat?"
    result = ask(model, question, decoder=MultiChain(leaves=4, temperature=1))
    leaves = check_leaves([0, 0, 1], [0.5, 0.25, 0.25])
    item = Item(id="1", question=question, kind=AnswerKind.NUMBER, golds=("4",))
    run = store.begin("a", {"seed": 1})
    return {
        "model": model,
        "question": question,
        "questions": [question],
        "options": AskOptions(decoder=Greedy()),
        "answer": "4",
        "answers": [extract("So \\boxed{4}", "number")],
        "text": "So \\boxed{4}",
        "kind": "number",
        "pieces": ["So ", "4"],
        "leaves": leaves,
        "result": result,
        "decision": Gate(GatePolicy(answer_at=0.8)).decide(result),
        "policy": GatePolicy(answer_at=0.8),
        "answer_at": 0.8,
        "right": True,
        "reply": "1",
        "items": [item],
        "count": 1,
        "records": [],
        "first": [],
        "second": [],
        "caps": [1],
        "store": store,
        "run": run,
        "runs": {},
        "path": folder / "file",
        "folder": folder / "report",
        "decoders": {"greedy": Greedy()},
        "data": "data",
        "sets": [],
        "schema": {"type": "integer"},
        "rules": 'start: "a"',
        "script": lambda _prompt, _tokens: np.zeros(258, dtype=np.float32),
        "features": dict.fromkeys(result.features),
        "confidences": [0.5, 0.9],
        "coverage": 0.5,
        "wrong": 2.0,
        "key": "model",
        "value": "smollm2-135m",
        "index": [0, 0, 1],
        "weights": [0.5, 0.25, 0.25],
        "cut_off": [False, False, True],
        "spec": "/nowhere/model.gguf",
    }


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("boundary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ET_AGENT_CACHE", str(folder / "cache"))
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        patch.chdir(folder)  # where files go whose names are drawn
        found = sound_arguments(folder)
        with found["model"], found["store"]:
            yield found


def leaves_cleanly(
    name: str, function: Callable[..., Any], arguments: dict[str, Any]
) -> str | None:
    """Call it; returns the message of an error of ours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old names are told, and taken
            made = function(**arguments)
        if inspect.isgenerator(made):
            list(made)
        elif hasattr(made, "cancel"):
            made.cancel()
        close = getattr(made, "close", None)
        if callable(close) and not isinstance(made, type):
            with contextlib.suppress(EtAgentError):
                close()
    except EtAgentError as error:
        told = str(error)
    else:
        return None
    assert told, name
    told.encode("utf-8")
    return told


@pytest.mark.parametrize("name", sorted(PUBLIC))
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,  # benchmarks.hostile draws anew
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_public_callable_leaves_with_its_result_or_an_error_of_ours(
    name: str, data: st.DataObject, sound: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    function = PUBLIC[name]
    monkeypatch.setenv("ET_AGENT_CONFIG", str(sound["folder"].parent / "config.toml"))
    parameters = {
        one.name: one
        for one in inspect.signature(function).parameters.values()
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    }
    if not parameters:
        leaves_cleanly(name, function, {})
        return
    hostile = data.draw(st.sampled_from(sorted(parameters)), label="argument")
    arguments = {hostile: data.draw(HOSTILE, label="value")}
    for other, parameter in parameters.items():
        if other != hostile and parameter.default is inspect.Parameter.empty:
            arguments[other] = sound[other] if other in sound else data.draw(HOSTILE, label=other)
    leaves_cleanly(name, function, arguments)


def test_all_that_is_public_is_looked_at() -> None:
    assert len(PUBLIC) > 60
    assert {"et_agent.ask", "et_agent.gate.Gate", "et_agent.answers.extract"} <= set(PUBLIC)
    assert typing.get_type_hints(PUBLIC["et_agent.answers.extract"])
