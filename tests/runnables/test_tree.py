from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda

from et_agent import EntropyTree, Greedy, MultiChain, ScriptedModel, ask
from et_agent.answers import AnswerKind
from et_agent.errors import EtAgentError, ModelClosedError, QuestionError, SettingsError
from et_agent.results import AskResult
from et_agent.runnables import EntropyTreeRunnable
from tests.runnables.conftest import QUESTION, Recorder, timeless


def test_a_question_gives_what_ask_gives_without_the_tree(model: ScriptedModel) -> None:
    decoder = EntropyTree(leaves=6, temperature=1)
    tree = EntropyTreeRunnable(model=model, decoder=decoder, seed=3)
    asked = ask(model, QUESTION, decoder=decoder, seed=3)
    assert timeless(tree.invoke(QUESTION)) == {**timeless(asked), "tree": None}
    whole = tree.invoke(QUESTION, include_tree=True)
    assert whole.tree == asked.tree
    assert whole.tree is not None


def test_settings_apply_to_whatever_decoder(model: ScriptedModel) -> None:
    tree = EntropyTreeRunnable(model=model, leaves=3, temperature=0.5, max_tokens=40)
    assert tree.decoder_settings() == EntropyTree(leaves=3, temperature=0.5, max_tokens=40)
    chains = EntropyTreeRunnable(model=model, decoder=MultiChain(temperature=1), leaves=2)
    assert chains.decoder_settings() == MultiChain(leaves=2, temperature=1)
    assert EntropyTreeRunnable(decoder={"name": "Greedy"}).decoder_settings() == Greedy()
    stopping = EntropyTreeRunnable(decoder={"name": "EntropyTree", "stop_above": 0.6}, leaves=3)
    assert stopping.decoder_settings() == EntropyTree(schedule="rounds", stop_above=0.6, leaves=3)
    assert chains.invoke(QUESTION).usage.leaves == 2
    assert EntropyTreeRunnable(model=model, kind="text").invoke(QUESTION).kind == "text"
    assert EntropyTreeRunnable(model=model, chat="plain").invoke(QUESTION).chat == "plain"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"leaves": 0}, "leaves"),
        ({"leafs": 3}, "leafs: Extra inputs are not permitted"),
        ({"temperature": 0}, "temperature"),
        ({"seed": -1}, "seed"),
        ({"kind": "novel"}, "kind"),
        ({"decoder": Greedy(), "leaves": 2}, "Greedy settings: leaves"),
        ({"decoder": {"name": "Beam"}}, "one of EntropyTree, MultiChain, Greedy"),
        ({"decoder": {"name": "Greedy", "beams": 2}}, "beams"),
        ({"load_options": {"contexts": 5}}, "load_options.contexts"),
        ({"model": 5}, "model"),
        ({"calibrator": "best"}, "calibrator"),
        ({"calibrator": {}}, "not an et-agent calibrator"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        EntropyTreeRunnable(**settings)
    assert caught.value.__cause__ is not None


def test_load_options_of_a_loaded_model_would_do_nothing(model: ScriptedModel) -> None:
    with pytest.raises(SettingsError, match="leave them out"):
        EntropyTreeRunnable(model=model, load_options={"context": 512})


def test_nothing_in_it_changes(model: ScriptedModel) -> None:
    tree = EntropyTreeRunnable(model=model)
    with pytest.raises(ValueError, match="frozen"):
        tree.leaves = 3  # type: ignore[misc]


def test_the_system_message_replaces_the_system_prompt(model: ScriptedModel) -> None:
    tree = EntropyTreeRunnable(model=model, leaves=1, system_prompt="Be brief.")
    assert tree.invoke(QUESTION).instruction == "Be brief."
    found = tree.invoke([SystemMessage("Be long."), HumanMessage(QUESTION)])
    assert (found.instruction, found.question) == ("Be long.", QUESTION)


def test_pipes_on_both_sides(model: ScriptedModel) -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Count."), ("human", "{animal} legs?")])
    tree = EntropyTreeRunnable(model=model, leaves=4)
    chain = prompt | tree | (lambda result: [result.answer, result.question, result.instruction])
    assert chain.invoke({"animal": "Cat"}) == ["4", "Cat legs?", "Count."]
    assert chain.batch([{"animal": "Cat"}, {"animal": "Dog"}])[1][1] == "Dog legs?"
    # A step that cannot stream waits for the last chunk, which is the result.
    assert list(chain.stream({"animal": "Cat"})) == [["4", "Cat legs?", "Count."]]


async def test_pipes_in_an_event_loop(model: ScriptedModel) -> None:
    prompt = ChatPromptTemplate.from_messages([("human", "{animal} legs?")])
    chain = prompt | EntropyTreeRunnable(model=model, leaves=4) | (lambda result: result.answer)
    assert await chain.ainvoke({"animal": "Cat"}) == "4"
    assert [chunk async for chunk in chain.astream({"animal": "Cat"})] == ["4"]


def test_schemas(model: ScriptedModel) -> None:
    tree = EntropyTreeRunnable(model=model)
    assert tree.get_output_schema() is AskResult
    described = tree.get_input_jsonschema()
    assert {"type": "string"} in described["anyOf"]
    assert "HumanMessage" in described["$defs"]
    assert tree.get_name() == "EntropyTreeRunnable"
    schema: Any = tree.input_schema
    assert schema.model_validate("Why?").model_dump() == "Why?"


def configurable(model: ScriptedModel) -> Any:
    return EntropyTreeRunnable(model=model, decoder=MultiChain()).configurable_fields(
        leaves=ConfigurableField(id="leaves"),
        temperature=ConfigurableField(id="temperature"),
    )


def test_configurable_fields(model: ScriptedModel) -> None:
    tree = configurable(model)
    assert tree.invoke(QUESTION).decoder["leaves"] == 16
    found = tree.invoke(QUESTION, {"configurable": {"leaves": 3, "temperature": 0.5}})
    assert (found.decoder["leaves"], found.decoder["temperature"]) == (3, 0.5)
    bound = tree.with_config(configurable={"leaves": 2})
    assert [one.usage.leaves for one in bound.batch([QUESTION, QUESTION])] == [2, 2]
    properties = tree.get_config_jsonschema()["$defs"]["Configurable"]["properties"]
    assert "Largest number of leaves" in properties["leaves"]["description"]
    with pytest.raises(SettingsError, match="leaves"):
        tree.invoke(QUESTION, {"configurable": {"leaves": 0}})


def test_fields_for_one_call(model: ScriptedModel) -> None:
    tree = EntropyTreeRunnable(model=model, decoder=MultiChain(leaves=4))
    assert tree.invoke(QUESTION, leaves=2).usage.leaves == 2
    assert tree.bind(leaves=3).batch([QUESTION])[0].usage.leaves == 3
    assert tree.bind(seed=5).invoke(QUESTION).seed == 5
    assert list(tree.stream(QUESTION, leaves=1))[-1].usage.leaves == 1
    assert tree.invoke(QUESTION).usage.leaves == 4


def test_config_reaches_the_callbacks(model: ScriptedModel, recorder: Recorder) -> None:
    tree = EntropyTreeRunnable(model=model, leaves=2, name="legs")
    tree.invoke(QUESTION, {"callbacks": [recorder], "tags": ["zoo"], "metadata": {"user": 7}})
    assert recorder.told == [("start", "legs"), ("end", "legs")]
    assert recorder.tags["legs"] == ["zoo"]
    assert recorder.metadata["legs"]["user"] == 7
    tree.invoke(QUESTION, {"callbacks": [recorder], "run_name": "counting"})
    assert recorder.told[-1] == ("end", "counting")
    assert isinstance(recorder.outputs[0], AskResult)


def test_retries_and_fallbacks(model: ScriptedModel) -> None:
    closed = ScriptedModel.from_texts({})
    closed.close()
    tree = EntropyTreeRunnable(model=model, leaves=2)
    broken = EntropyTreeRunnable(model=closed)
    assert broken.with_fallbacks([tree]).invoke(QUESTION).answer == "4"
    assert [one.answer for one in broken.with_fallbacks([tree]).batch([QUESTION] * 2)] == ["4"] * 2
    tries = Recorder()
    with pytest.raises(ModelClosedError):
        broken.with_retry(stop_after_attempt=2, wait_exponential_jitter=False).invoke(
            QUESTION, {"callbacks": [tries]}
        )
    # The run of the retries has the same name, and two below it.
    assert tries.told.count(("error", "EntropyTreeRunnable")) == 3


@pytest.mark.parametrize("value", [[], "", " ", [SystemMessage("Hi")], 5, [("human", "")]])
async def test_bad_input_is_a_typed_error_everywhere(model: ScriptedModel, value: Any) -> None:
    tree = EntropyTreeRunnable(model=model, leaves=2)
    seen = Recorder()
    config: Any = {"callbacks": [seen]}
    with pytest.raises(QuestionError):
        tree.invoke(value, config)
    with pytest.raises(QuestionError):
        tree.batch([value], config)
    with pytest.raises(QuestionError):
        list(tree.stream(value, config))
    with pytest.raises(QuestionError):
        await tree.ainvoke(value, config)
    with pytest.raises(QuestionError):
        await tree.abatch([value], config)
    with pytest.raises(QuestionError):
        [chunk async for chunk in tree.astream(value, config)]
    assert [told for told, _ in seen.told] == ["start", "error"] * 6
    assert all(isinstance(error, QuestionError) for error in seen.errors)
    assert model.decoded == 0


@pytest.mark.parametrize("changes", [{"leaves": 0}, {"stop": ["x"]}])
def test_a_bad_setting_for_a_call_is_seen_by_callbacks(
    model: ScriptedModel, recorder: Recorder, changes: dict[str, Any]
) -> None:
    tree = EntropyTreeRunnable(model=model)
    with pytest.raises(SettingsError):
        tree.invoke(QUESTION, {"callbacks": [recorder]}, **changes)
    assert [type(error) for error in recorder.errors] == [SettingsError]


async def test_a_closed_model(recorder: Recorder) -> None:
    closed = ScriptedModel.from_texts({})
    closed.close()
    tree = EntropyTreeRunnable(model=closed)
    config: Any = {"callbacks": [recorder]}
    with pytest.raises(ModelClosedError):
        tree.invoke(QUESTION, config)
    with pytest.raises(ModelClosedError):
        await tree.ainvoke(QUESTION, config)
    found = tree.batch([QUESTION], config, return_exceptions=True)
    assert isinstance(found[0], ModelClosedError)
    assert len(recorder.errors) == 3
    assert all(isinstance(error, EtAgentError) for error in recorder.errors)


def test_two_runs_share_one_runnable(model: ScriptedModel) -> None:
    tree = EntropyTreeRunnable(model=model, leaves=3)
    one, other = tree.stream(QUESTION), tree.stream("How many legs has a dog?")
    both = [*zip(one, other, strict=False)]
    assert all(left.question == QUESTION for left, _ in both)
    assert all(right.question.endswith("dog?") for _, right in both)


def test_a_tree_inside_a_function(model: ScriptedModel, recorder: Recorder) -> None:
    tree = EntropyTreeRunnable(model=model, leaves=2)

    def answer(value: str) -> str | None:
        return tree.invoke(value).answer

    outer = RunnableLambda(answer, name="outer")
    assert outer.invoke(QUESTION, {"callbacks": [recorder]}) == "4"
    assert recorder.parents["EntropyTreeRunnable"] == "outer"


def test_the_kind_is_an_enum(model: ScriptedModel) -> None:
    assert EntropyTreeRunnable(model=model, kind="number").kind is AnswerKind.NUMBER


def test_a_calibrator_that_is_no_json_is_refused() -> None:
    for calibrator in ({("a",): 1}, {"a": {1, 2}}, {"a": float("nan")}, {"a": "\ud800"}, {"a": 1}):
        with pytest.raises(SettingsError):
            EntropyTreeRunnable(calibrator=calibrator)
