"""Models of one's own: plain prompts, calibrators, and messages with the whole tree."""

import json
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_et_agent import ChatEntropyTree, ConfidenceGateMiddleware

from et_agent import Greedy, MultiChain, ScriptedModel, ask
from et_agent.calibration import Calibrator, Fingerprint
from et_agent.errors import (
    CalibratorMismatchError,
    SettingsError,
    UnsupportedModelError,
)
from et_agent.gate import GatePolicy

from .agents import ASK, agent_of, decisions_of
from .support import QUESTION, TEXTS, Person, add, essence, merged, result_of


@pytest.fixture
def prompts() -> list[str]:
    return []


@pytest.fixture
def base(prompts: list[str]) -> Iterator[ScriptedModel]:
    """A base model: it has no chat template."""

    def replies(prompt: str) -> dict[str, float]:
        prompts.append(prompt)
        return TEXTS

    with ScriptedModel.from_texts(replies, chat_template=False, tools=False) as model:
        yield model


def learnt(model: ScriptedModel, **asking: Any) -> Calibrator:
    """A calibrator that a label has moved."""
    result = ask(model, QUESTION, calibrator=None, **asking)
    return Calibrator.general().update(result, True)


def test_a_base_model_answers_with_a_plain_prompt_and_a_general_confidence(
    base: ScriptedModel, prompts: list[str]
) -> None:
    with pytest.raises(UnsupportedModelError, match="plain"):
        ChatEntropyTree(engine=base).invoke(QUESTION)
    chat = ChatEntropyTree(engine=base, chat="plain", leaves=8)
    found = result_of(chat.invoke(QUESTION))
    assert (found.answer, found.chat, found.single) == ("4", "plain", True)
    assert found.calibration is not None
    assert found.calibration.source == "general"
    assert found.confidence is not None
    assert found == ask(base, QUESTION, chat="plain", decoder=chat.decoder_for({})).model_copy(
        update={"tree": None, "usage": found.usage}
    )
    assert prompts[-1].endswith(f"Question: {QUESTION}\nAnswer:\n")
    assert chat.invoke(QUESTION, chat="plain").content == chat.invoke(QUESTION).content


@pytest.mark.parametrize(
    ("system", "own", "head"),
    [
        (None, "Be kind.", "Be kind.\n\n"),
        ("Be brief.", None, "Be brief.\n\n"),
        ("Be brief.", "Be kind.", "Be brief.\n\nBe kind.\n\n"),
        ("Be brief.", "", "Be brief.\n\n"),
        (None, "", ""),
    ],
)
def test_a_plain_prompt_begins_with_the_system_prompts(
    base: ScriptedModel, prompts: list[str], system: str | None, own: str | None, head: str
) -> None:
    head_messages = [] if system is None else [SystemMessage(system)]
    chat = ChatEntropyTree(engine=base, chat="plain", decoder=Greedy(), system_prompt=own)
    found = result_of(chat.invoke([*head_messages, HumanMessage(QUESTION)]))
    assert prompts[-1] == f"{head}Question: {QUESTION}\nAnswer:\n"
    assert found.instruction == head.strip()


def test_structured_output_needs_no_chat_template() -> None:
    with ScriptedModel.from_texts({'{"name": "Ann", "age": 3}': 1.0}, chat_template=False) as model:
        chat = ChatEntropyTree(engine=model, chat="plain", leaves=2)
        assert chat.with_structured_output(Person).invoke(QUESTION) == Person(name="Ann", age=3)


def test_what_a_plain_prompt_cannot_hold_is_refused(base: ScriptedModel) -> None:
    chat = ChatEntropyTree(engine=base, chat="plain")
    history = [HumanMessage("Hi."), AIMessage("Hello."), HumanMessage(QUESTION)]
    asked: list[tuple[Any, Any]] = [
        (chat, history),
        (chat, [SystemMessage("Be kind."), *history]),
        (chat.bind_tools([add]), QUESTION),
    ]
    for runnable, question in asked:
        with pytest.raises(SettingsError, match="need the chat template: use chat='model'"):
            runnable.invoke(question)


def test_a_base_model_can_be_an_agent_s(base: ScriptedModel) -> None:
    chat = ChatEntropyTree(engine=base, chat="plain", leaves=8)
    gate = ConfidenceGateMiddleware(GatePolicy(answer_at=0.1))
    state = agent_of(chat, gate, system_prompt="Be brief.").invoke(ASK)  # type: ignore[arg-type]
    (decision,) = decisions_of(state)
    assert decision.calibration is not None
    assert decision.calibration.source == "general"


def test_a_calibrator_of_one_s_own(model: ScriptedModel) -> None:
    calibrator = learnt(model)
    chat = ChatEntropyTree(engine=model)
    for message in (
        ChatEntropyTree(engine=model, calibrator=calibrator).invoke(QUESTION),
        chat.invoke(QUESTION, calibrator=calibrator),
    ):
        found = result_of(message)
        assert found.calibration is not None
        assert (found.calibration.source, found.calibration.labels) == ("own", 1)
    none = result_of(ChatEntropyTree(engine=model, calibrator=None).invoke(QUESTION))
    assert (none.confidence, none.calibration) == (None, None)


def test_a_calibrator_of_something_else_is_refused(model: ScriptedModel) -> None:
    result = ask(model, QUESTION, decoder=MultiChain(leaves=4), kind="number")
    other = Calibrator.general(
        fingerprint=Fingerprint.of_result(result.model_dump(mode="json"))
    ).update(result, True)
    chat = ChatEntropyTree(engine=model, calibrator=other)
    with pytest.raises(CalibratorMismatchError):
        chat.invoke(QUESTION)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_a_calibrator_is_written_and_read_with_the_other_settings(model: ScriptedModel) -> None:
    chat = ChatEntropyTree(
        model="a", calibrator=learnt(model), chat="plain", include_tree=True, attention=True
    )
    json.dumps(chat.asdict(), default=str)
    for again in (
        load(
            dumpd(chat), allowed_objects=[ChatEntropyTree], valid_namespaces=["langchain_et_agent"]
        ),
        pickle.loads(pickle.dumps(chat)),
    ):
        assert (again.chat, again.include_tree, again.attention) == ("plain", True, True)
        assert isinstance(again.calibrator, Calibrator)
        assert again.calibrator.labels == 1
        assert again.asdict() == chat.asdict()
    assert ChatEntropyTree(model="a").asdict()["calibrator"] == "auto"


def test_calibrators_tell_cached_answers_apart(model: ScriptedModel) -> None:
    strings = {
        ChatEntropyTree(engine=model, calibrator=one)._get_llm_string()
        for one in ("auto", None, Calibrator.general(), learnt(model))
    }
    assert len(strings) == 4


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"chat": "base"}, "chat: .*'model' or 'plain'"),
        ({"calibrator": "mine.json"}, "calibrator"),
        ({"include_tree": "perhaps"}, "include_tree"),
        ({"attention": 2}, "attention"),
    ],
)
def test_settings_that_are_none(chat: ChatEntropyTree, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        ChatEntropyTree(**settings)
    with pytest.raises(SettingsError, match=says):
        chat.invoke(QUESTION, **settings)


def test_plain_data_that_is_no_calibrator_is_refused() -> None:
    with pytest.raises(SettingsError, match="is not an et-agent calibrator"):
        ChatEntropyTree(calibrator={"method": "none"})


async def test_a_message_may_carry_the_whole_tree(chat: ChatEntropyTree) -> None:
    plain = chat.invoke(QUESTION)
    message = chat.invoke(QUESTION, include_tree=True)
    tree = result_of(message).tree
    assert tree is not None
    assert sum(leaf.weight for leaf in tree.leaves) == pytest.approx(1)
    assert message.content in {leaf.text for leaf in tree.leaves}
    assert result_of(message).model_copy(update={"tree": None, "usage": None}) == result_of(
        plain
    ).model_copy(update={"usage": None})
    json.dumps(message.response_metadata, allow_nan=False)
    own = ChatEntropyTree(engine=chat.engine, leaves=8, seed=3, include_tree=True)
    for other in (
        await own.ainvoke(QUESTION),
        merged(list(own.stream(QUESTION))),
    ):
        assert essence(other) == essence(message)


def test_attention_is_read_where_it_is_wanted() -> None:
    def even(tokens: Any) -> Any:
        return np.full(len(tokens), 1 / len(tokens), dtype=np.float32)

    with ScriptedModel.from_texts(TEXTS, attention=even) as model:
        chat = ChatEntropyTree(engine=model, decoder=MultiChain(leaves=2), include_tree=True)
        for wanted in (False, True):
            tree = result_of(chat.invoke(QUESTION, attention=wanted)).tree
            assert tree is not None
            assert (tree.nodes[0].prompt_attention is not None) is wanted
