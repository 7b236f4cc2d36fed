"""Passages as input of a runnable, as retrievers give them."""

from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableParallel, RunnablePassthrough

from et_agent import ScriptedModel, ask
from et_agent.errors import QuestionError
from et_agent.gate import Action, GatePolicy
from et_agent.runnables import EntropyTreeRunnable, GateRunnable
from tests.runnables.conftest import timeless

PASSAGES = ["Rollo led the men.", "Bob stayed."]
QUESTION = "Who led?"


def script(prompt: str) -> Mapping[str, float]:
    if "one letter, A or B" in prompt:
        return {"A": 0.5, "B": 0.5}
    if "Rollo led" in prompt:
        return {"\\boxed{Rollo}": 1.0}
    return {"\\boxed{not in the passages}": 1.0}


class Retriever(BaseRetriever):
    """Gives the passages that hold the last word of the query."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        word = query.rstrip("?").split()[-1]
        return [Document(one) for one in PASSAGES if word in one]


@pytest.mark.parametrize(
    "context", [PASSAGES, [Document(one) for one in PASSAGES]], ids=["texts", "documents"]
)
def test_a_mapping_gives_what_ask_gives(context: Any) -> None:
    with ScriptedModel.from_texts(script) as model:
        tree = EntropyTreeRunnable(model=model, leaves=4)
        found = tree.invoke({"question": QUESTION, "context": context})
        wanted = ask(model, QUESTION, context=PASSAGES, decoder=tree.decoder_settings())
    assert timeless(found) == {**timeless(wanted), "tree": None}
    assert (found.answer, found.passages) == ("Rollo", tuple(PASSAGES))


def test_the_question_may_be_messages_and_the_context_missing() -> None:
    with ScriptedModel.from_texts(script) as model:
        tree = EntropyTreeRunnable(model=model, leaves=4, kind="text")
        said = [SystemMessage("Be brief."), HumanMessage(QUESTION)]
        found = tree.invoke({"question": said, "context": PASSAGES[0]})
        alone = tree.invoke({"question": QUESTION})
    assert (found.instruction, found.answer) == ("Be brief.", "Rollo")
    assert (alone.passages, alone.declined) == ((), False)


def test_a_retriever_before_it_and_a_gate_behind() -> None:
    with ScriptedModel.from_texts(script) as model:
        tree = EntropyTreeRunnable(model=model, leaves=4)
        given = RunnableParallel[Any](question=RunnablePassthrough(), context=Retriever())
        chain = given | tree | GateRunnable(gate=GatePolicy(answer_at=0.0))
        found, absent = chain.batch(["Who led?", "What has Bob stayed?"])
        with pytest.raises(QuestionError, match="no passage"):
            chain.invoke("Where is Paris?")
    assert (found.action, found.answer) == (Action.ANSWER, "Rollo")
    assert (absent.action, absent.declined) == (Action.ABSTAIN, True)


async def test_an_event_loop_gets_the_same() -> None:
    with ScriptedModel.from_texts(script) as model:
        tree = EntropyTreeRunnable(model=model, leaves=4)
        asked = {"question": QUESTION, "context": PASSAGES}
        assert timeless(await tree.ainvoke(asked)) == timeless(tree.invoke(asked))
        *_, last = [chunk async for chunk in tree.astream(asked)]
    assert last.features["chosen"] == pytest.approx(0.0, abs=1e-6)
    assert last.features["beside"] == 1.0


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"context": "a"}, "no question"),
        ({"question": "a", "passages": "b"}, "the key passages"),
        ({"question": "a", "context": 7}, "the context is an int"),
        ({"question": 7, "context": "a"}, "an int is not a question"),
    ],
)
def test_inputs_that_are_refused(value: Any, says: str) -> None:
    with (
        ScriptedModel.from_texts(script) as model,
        pytest.raises(QuestionError, match=says),
    ):
        EntropyTreeRunnable(model=model).invoke(value)


def test_the_schema_of_the_input_has_them() -> None:
    schema = EntropyTreeRunnable(model="x").get_input_jsonschema()
    assert "QuestionWithContext" in str(schema)
