"""Models by name: loaded once, shared, freed; runnables serialised and pickled without weights."""

import copy
import gc
import json
import pickle
import subprocess
import sys
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_core.load import dumpd, dumps, load
from langchain_core.prompts import (
    ChatPromptTemplate,
    HumanMessagePromptTemplate,
    PromptTemplate,
)
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnableSequence

from et_agent import EntropyTree, MultiChain, ScriptedModel
from et_agent.calibration import Calibrator
from et_agent.errors import ModelFileError, SettingsError
from et_agent.gate import DecisionLog, Gate, GatePolicy
from et_agent.runnables import EntropyTreeRunnable, GateRunnable
from tests.calibration.conftest import questions
from tests.runnables.conftest import QUESTION, TEXTS, held


class Loader:
    """Stands in for `load_model` and counts."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.models: list[weakref.ref[ScriptedModel]] = []

    def __call__(self, spec: str, **options: Any) -> ScriptedModel:
        if spec == "missing":
            self.calls.append((spec, options))
            raise ModelFileError("there is no model 'missing'")
        model = ScriptedModel.from_texts(TEXTS)
        held(model).set()
        self.calls.append((spec, options))
        self.models.append(weakref.ref(model))
        return model


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Loader:
    counting = Loader()
    monkeypatch.setattr("et_agent.engines.loading.load_model", counting)
    return counting


def test_a_model_is_loaded_at_the_first_question(loader: Loader) -> None:
    tree = EntropyTreeRunnable(model="some", load_options={"context": 512}, leaves=2)
    assert loader.calls == []
    assert tree.invoke(QUESTION).answer == "4"
    tree.batch([QUESTION, QUESTION])
    assert loader.calls == [("some", {"context": 512})]
    assert tree.language_model() is loader.models[0]()


def test_whatever_configures_a_field_does_not_load_again(loader: Loader) -> None:
    tree = EntropyTreeRunnable(model="some", leaves=2)
    configurable = tree.configurable_fields(leaves=ConfigurableField(id="leaves"))
    configurable.invoke(QUESTION)
    configurable.invoke(QUESTION, {"configurable": {"leaves": 3}})
    configurable.with_config(configurable={"leaves": 4}).batch([QUESTION, QUESTION])
    tree.invoke(QUESTION, seed=4)
    tree.bind(leaves=1).invoke(QUESTION)
    copy.deepcopy(tree).invoke(QUESTION)
    assert len(loader.calls) == 1


def test_a_model_can_be_configured_too(loader: Loader) -> None:
    tree = EntropyTreeRunnable(model="some", leaves=1).configurable_fields(
        model=ConfigurableField(id="model")
    )
    tree.invoke(QUESTION)
    tree.invoke(QUESTION, {"configurable": {"model": "other"}})
    assert [spec for spec, _ in loader.calls] == ["some", "other"]
    described = tree.get_config_jsonschema()["$defs"]["Configurable"]["properties"]["model"]
    assert (described["type"], described["default"]) == ("string", "some")


def test_runnables_that_name_the_same_model_share_it(loader: Loader) -> None:
    one = EntropyTreeRunnable(model="some", leaves=1)
    other = EntropyTreeRunnable(model="some", leaves=2)
    elsewhere = EntropyTreeRunnable(model="some", load_options={"threads": 1})
    assert one.language_model() is other.language_model()
    assert elsewhere.language_model() is not one.language_model()
    assert len(loader.calls) == 2


def test_the_first_of_many_threads_loads_it(loader: Loader) -> None:
    tree = EntropyTreeRunnable(model="some", leaves=1)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: tree.invoke(QUESTION), range(8)))
    assert len(loader.calls) == 1


def test_the_model_is_freed_with_the_last_runnable(loader: Loader) -> None:
    one = EntropyTreeRunnable(model="some", leaves=1)
    other = EntropyTreeRunnable(model="some", leaves=2)
    one.invoke(QUESTION)
    del one
    gc.collect()
    assert loader.models[0]() is not None
    other.invoke(QUESTION)
    del other
    for _ in range(3):  # the model's thread may still hold the last step
        gc.collect()
    assert loader.models[0]() is None
    assert len(loader.calls) == 1


def test_a_model_that_cannot_be_loaded_is_tried_again(loader: Loader) -> None:
    tree = EntropyTreeRunnable(model="missing")
    for _ in range(2):
        with pytest.raises(ModelFileError):
            tree.invoke(QUESTION)
    assert len(loader.calls) == 2


# Serialising.


def loaded(value: Any) -> Any:
    # Through JSON, as a file or a network would have it.
    plain = json.loads(json.dumps(value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `load` is marked as beta
        return load(
            plain,
            allowed_objects=[
                EntropyTreeRunnable,
                GateRunnable,
                RunnableSequence,
                ChatPromptTemplate,
                HumanMessagePromptTemplate,
                PromptTemplate,
            ],
            valid_namespaces=["et_agent"],
        )


TREES = [
    EntropyTreeRunnable(),
    EntropyTreeRunnable(
        model="some",
        load_options={"context": 512, "threads": None},
        decoder=EntropyTree(schedule="stratified", leaves=5),
        temperature=0.4,
        kind="choice",
        seed=3,
        system_prompt="",
        chat="plain",
        calibrator=None,
        include_tree=True,
        name="legs",
    ),
    EntropyTreeRunnable(decoder=MultiChain(leaves=3), max_tokens=5),
]


@pytest.mark.parametrize("tree", TREES, ids=["default", "all", "chains"])
def test_a_tree_is_serialised_without_its_model(tree: EntropyTreeRunnable, loader: Loader) -> None:
    again = loaded(dumpd(tree))
    assert again == tree
    assert again.settings() == tree.settings()
    assert loader.calls == []
    assert dumpd(tree)["id"] == ["et_agent", "runnables", "EntropyTreeRunnable"]
    assert len(dumps(tree)) < 2_000


def test_a_calibrator_is_part_of_it() -> None:
    calibrator = Calibrator("platt").fit(*questions(100)[:2])
    tree = EntropyTreeRunnable(calibrator=calibrator)
    again = loaded(dumpd(tree))
    assert again.calibrator.document() == calibrator.document()
    pickled = pickle.loads(pickle.dumps(tree))
    assert pickled.calibrator.document() == calibrator.document()


def test_a_program_is_serialised_as_a_whole() -> None:
    prompt = ChatPromptTemplate.from_messages([("human", "{question}")])
    gate = GateRunnable(
        gate=GatePolicy(answer_at=0.8, topics={"payment": {"answer_at": 0.95}}),
        escalate=EntropyTreeRunnable(model="other"),
        target_error=0.1,
        topic="payment",
    )
    chain: Any = prompt | EntropyTreeRunnable(model="some") | gate
    again = loaded(dumpd(chain))
    assert again.steps[1] == chain.steps[1]
    assert again.last.gate.policy == gate.gate.policy
    assert again.last.escalate == gate.escalate
    assert (again.last.target_error, again.last.topic) == (0.1, "payment")


def test_a_loaded_model_is_marked_as_not_serialisable(model: ScriptedModel) -> None:
    dumped = dumpd(EntropyTreeRunnable(model=model))
    assert dumped["kwargs"]["model"]["type"] == "not_implemented"
    with pytest.raises(NotImplementedError):
        loaded(dumped)


# Pickling.


@pytest.mark.parametrize("tree", TREES, ids=["default", "all", "chains"])
def test_a_tree_is_pickled_without_its_model(tree: EntropyTreeRunnable, loader: Loader) -> None:
    assert pickle.loads(pickle.dumps(tree)) == tree
    assert loader.calls == []


def test_a_pickled_tree_takes_part_in_the_same_model(loader: Loader) -> None:
    tree = EntropyTreeRunnable(model="some", leaves=1)
    tree.invoke(QUESTION)
    again = pickle.loads(pickle.dumps(tree))
    assert again.language_model() is tree.language_model()


def test_a_loaded_model_cannot_be_pickled(model: ScriptedModel) -> None:
    tree = EntropyTreeRunnable(model=model)
    with pytest.raises(SettingsError, match="cannot be pickled: name the model"):
        pickle.dumps(tree)
    with pytest.raises(SettingsError, match="cannot be pickled"):
        pickle.dumps(RunnableLambda(str) | tree)
    assert copy.deepcopy(tree).language_model() is model


def test_a_gate_is_pickled_as_its_policy(tmp_path: Path) -> None:
    gate = GateRunnable(gate=GatePolicy(answer_at=0.8), target_error=0.1)
    again = pickle.loads(pickle.dumps(gate))
    assert (again.gate.policy, again.target_error) == (gate.gate.policy, 0.1)
    policy = GatePolicy(answer_at=0.8)
    for live in (Gate(policy, escalate=str), Gate(policy, log=DecisionLog(tmp_path / "log.db"))):
        with pytest.raises(SettingsError, match="cannot be pickled: make the runnable"):
            pickle.dumps(GateRunnable(gate=live))
        assert copy.deepcopy(GateRunnable(gate=live)).gate is live


USE = """
import pickle, sys
tree = pickle.load(sys.stdin.buffer)
result = tree.invoke("What is 2 + 3?")
print(result.usage.leaves, result.question, result.answer)
"""


@pytest.mark.model
def test_a_pickled_tree_works_in_another_process(small_model_path: Path) -> None:
    tree = EntropyTreeRunnable(
        model=str(small_model_path),
        load_options={"context": 1024, "threads": 1},
        leaves=2,
        max_tokens=8,
    )
    done = subprocess.run(
        [sys.executable, "-c", USE], input=pickle.dumps(tree), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    here = tree.invoke("What is 2 + 3?")
    assert done.stdout.decode().strip() == f"{here.usage.leaves} {here.question} {here.answer}"
