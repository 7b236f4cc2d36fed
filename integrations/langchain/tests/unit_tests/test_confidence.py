"""Whatever is asked, and however, the confidence comes from the best map that applies."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_et_agent import ChatEntropyTree, ConfidenceGateMiddleware
from langgraph.checkpoint.memory import InMemorySaver

from et_agent import EntropyTree, ScriptedModel, ask
from et_agent.calibration import Calibrator, Fingerprint
from et_agent.calibration.finding import save_calibrator
from et_agent.gate import Action, GatePolicy

from .agents import THREAD, agent_of, decisions_of
from .support import PERSON, QUESTION, REPLIES, TEXTS, Person, add, merged, result_of

HISTORY = [HumanMessage("Hi."), AIMessage("Hello."), HumanMessage(QUESTION)]
ADDED = [
    HumanMessage("What is 1 + 2?"),
    AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "1"}]),
    ToolMessage("3", tool_call_id="1"),
]
FORMAT = {"type": "json_schema", "json_schema": {"schema": Person.model_json_schema()}}
ASKED: dict[str, tuple[dict[str, float], Any, dict[str, Any]]] = {
    "a question": (TEXTS, QUESTION, {}),
    "a history": (TEXTS, HISTORY, {}),
    "a history with tools": (TEXTS, ADDED, {}),
    "a system message": (TEXTS, [SystemMessage("Be kind."), HumanMessage(QUESTION)], {}),
    "an own system prompt": (TEXTS, QUESTION, {"system_prompt": "Be kind."}),
    "no system prompt": (TEXTS, QUESTION, {"system_prompt": ""}),
    "a stop sequence": (TEXTS, QUESTION, {"stop": ["END"]}),
    "a kind": (TEXTS, QUESTION, {"kind": "text"}),
    "tools": (REPLIES, QUESTION, {"tools": [add]}),
    "a tool that must be called": (REPLIES, QUESTION, {"tools": [add], "tool_choice": "any"}),
    "a schema": (PERSON, QUESTION, {"response_format": FORMAT}),
    "one path": (TEXTS, QUESTION, {"temperature": 0}),
}


@pytest.mark.parametrize("what", ASKED)
async def test_every_message_with_an_answer_says_what_its_confidence_rests_on(what: str) -> None:
    texts, asked, call = ASKED[what]
    with ScriptedModel.from_texts(texts) as model:
        chat = ChatEntropyTree(engine=model, leaves=8)
        bound = {key: call[key] for key in ("tools", "tool_choice") if key in call}
        rest = {key: value for key, value in call.items() if key not in bound}
        runnable: Any = chat.bind_tools(**bound) if bound else chat
        ways = (
            runnable.invoke(asked, **rest),
            await runnable.ainvoke(asked, **rest),
            merged(list(runnable.stream(asked, **rest))),
        )
    for message in ways:
        found = result_of(message)
        assert found.answer is not None
        assert found.calibration is not None
        assert (found.calibration.source, found.calibration.labels) == ("general", 0)
        assert found.calibration.notes, "it says why there is no better source"
        assert found.confidence is not None
        low, high = found.calibration.interval
        assert low <= found.confidence <= high
        assert found.single is ("history" not in what)


def test_a_calibrator_of_one_s_own_holds_alone_and_later_in_a_conversation() -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        chat = ChatEntropyTree(engine=model, leaves=8)
        result = result_of(chat.invoke(HISTORY))
        fingerprint = Fingerprint.of_result(result.model_dump(mode="json"))
        save_calibrator(Calibrator.general(fingerprint=fingerprint).update(result, True))
        history, alone = (result_of(chat.invoke(one)) for one in (HISTORY, QUESTION))
    assert history.calibration is not None
    assert alone.calibration is not None
    assert (history.calibration.source, alone.calibration.source) == ("own", "own")


def test_each_turn_of_a_gated_agent_is_judged_by_its_confidence() -> None:
    def replies(prompt: str) -> dict[str, float]:
        return REPLIES if "1 + 2" in prompt and "\n3" not in prompt else {"It is \\boxed{3}": 1.0}

    policy = GatePolicy(answer_at=0.2, topics={"add": {"answer_at": 0.1}})
    with ScriptedModel.from_texts(replies) as model:
        chat: Any = ChatEntropyTree(engine=model, leaves=8, stop=["END"])
        agent = agent_of(
            chat,
            ConfidenceGateMiddleware(policy),
            tools=[add],
            system_prompt="You calculate.",
            checkpointer=InMemorySaver(),
        )
        made = []
        for said in ("What is 1 + 2?", "Are you sure?"):
            made += decisions_of(agent.invoke({"messages": [HumanMessage(said)]}, THREAD))
    assert [one.topic for one in made] == ["add", None, None]
    for decision in made:
        assert decision.action is Action.ANSWER
        assert decision.calibration is not None
        assert decision.calibration.source == "general"
        assert decision.compared == decision.calibration.low


def test_the_gate_of_an_agent_and_that_of_a_question_compare_the_same(
    model: ScriptedModel,
) -> None:
    asked = ask(model, QUESTION, decoder=EntropyTree(leaves=8))
    found = result_of(ChatEntropyTree(engine=model, leaves=8).invoke(QUESTION))
    assert (found.confidence, found.calibration) == (asked.confidence, asked.calibration)
