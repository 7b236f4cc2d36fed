"""`ChatEntropyTree` on a scripted model: messages, settings, streams, loading."""

import copy
import json
import pickle
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, load
from langchain_core.messages import (
    AIMessageChunk,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField
from langchain_et_agent import ChatEntropyTree, close_engines
from langchain_et_agent._replies import chosen, reply

from et_agent import EntropyTree, Greedy, MultiChain, ScriptedModel, ask, submit
from et_agent.engines import loading
from et_agent.engines.base import ModelInfo
from et_agent.errors import EtAgentError, SettingsError
from et_agent.results import CalibrationReport, ConfidencePart
from et_agent.runnables import EntropyTreeRunnable

from .support import (
    QUESTION,
    REPLIES,
    TEXTS,
    Errors,
    add,
    essence,
    merged,
    result_of,
    scripted,
)


def test_the_message_is_the_winning_leaf_and_carries_the_result(
    chat: ChatEntropyTree, model: ScriptedModel
) -> None:
    message = chat.invoke(QUESTION)
    asked = ask(model, QUESTION, decoder=EntropyTree(leaves=8), seed=3)
    assert asked.best_leaf is not None
    assert message.content == asked.best_leaf.text
    found = result_of(message)
    assert found.tree is None
    assert found.distribution == asked.distribution
    assert found.answer == asked.answer == "4"
    assert message.usage_metadata == {
        "input_tokens": asked.usage.prompt_tokens,
        "output_tokens": asked.usage.tokens_decoded,
        "total_tokens": asked.usage.prompt_tokens + asked.usage.tokens_decoded,
        "input_token_details": {"cache_read": 0},
    }
    assert message.response_metadata["model_name"] == chat.model
    assert message.response_metadata["model_provider"] == "et_agent"
    assert message.response_metadata["finish_reason"] == "stop"
    json.dumps(message.response_metadata, allow_nan=False)


def test_the_message_says_what_its_confidence_rests_on(chat: ChatEntropyTree) -> None:
    message = chat.invoke("How many legs has a cat?")
    found = result_of(message)
    assert found.calibration is not None
    assert (found.calibration.source, found.calibrated) == ("general", False)
    assert message.response_metadata["et_agent"]["calibration"]["interval"] == [
        *found.calibration.interval
    ]


def test_a_later_call_tells_which_tokens_were_in_the_cache() -> None:
    engine = ScriptedModel.from_texts(TEXTS, prefix_memory=1 << 20)
    chat = ChatEntropyTree(engine=engine, leaves=2)
    for read in (False, True):
        usage = chat.invoke(QUESTION).usage_metadata
        assert usage is not None
        whole = usage["input_tokens"]
        assert usage["input_token_details"]["cache_read"] == (whole - 1 if read else 0)


async def test_all_ways_to_ask_give_the_same_message(chat: ChatEntropyTree) -> None:
    chat = ChatEntropyTree(engine=chat.engine, leaves=8, seed=3, logprobs=True)
    expected = essence(chat.invoke(QUESTION))
    ways = {
        "ainvoke": await chat.ainvoke(QUESTION),
        "batch": chat.batch([QUESTION])[0],
        "abatch": (await chat.abatch([QUESTION]))[0],
        "stream": merged(list(chat.stream(QUESTION))),
        "astream": merged([chunk async for chunk in chat.astream(QUESTION)]),
        "streaming": ChatEntropyTree(
            engine=chat.engine, leaves=8, seed=3, logprobs=True, streaming=True
        ).invoke(QUESTION),
    }
    async for event in chat.astream_events(QUESTION, version="v2"):
        if event["event"] == "on_chat_model_end":
            ways["astream_events"] = event["data"]["output"]
    assert set(ways) >= {"astream_events"}
    for way, message in ways.items():
        assert essence(message) == expected, way


@pytest.mark.parametrize("tools", [False, True])
def test_a_stream_says_once_what_is_said_once(tools: bool) -> None:
    chat = scripted(REPLIES, leaves=8)
    runnable = chat.bind_tools([add], tool_choice="any") if tools else chat
    chunks = list(runnable.stream(QUESTION))
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    *before, last = [chunk for chunk in chunks if isinstance(chunk, AIMessageChunk)]
    assert last.chunk_position == "last"
    assert {"et_agent", "model_name", "model_provider"} <= set(last.response_metadata)
    assert last.usage_metadata is not None
    for chunk in before:
        assert chunk.usage_metadata is None
        assert "et_agent" not in chunk.response_metadata
        assert "model_name" not in chunk.response_metadata
    whole = merged([*before, last])
    assert essence(whole) == essence(runnable.invoke(QUESTION))
    assert len(whole.tool_calls) == tools


def test_log_probabilities_are_those_of_the_messages_tokens() -> None:
    chat = scripted({"So \\boxed{4} END": 1.0}, decoder=Greedy(), logprobs=True)
    message = chat.invoke(QUESTION, stop=["END"])
    content = message.response_metadata["logprobs"]["content"]
    assert "".join(one["token"] for one in content) == message.content == "So \\boxed{4} "
    assert all(set(one) == {"token", "logprob", "bytes", "top_logprobs"} for one in content)
    assert all(one["logprob"] == pytest.approx(0, abs=1e-5) for one in content)
    assert bytes(byte for one in content for byte in one["bytes"]).decode() == message.content
    assert "logprobs" not in chat.invoke(QUESTION, logprobs=False).response_metadata


def test_a_sampled_leaf_is_drawn_by_its_weight(model: ScriptedModel) -> None:
    decoder = EntropyTree(schedule="stratified", leaves=16, temperature=1)
    chat = ChatEntropyTree(engine=model, decoder=decoder, choose="sample")
    said = [chat.invoke(QUESTION, seed=seed).content for seed in range(60)]
    assert said[0] == chat.invoke(QUESTION, seed=0).content
    assert set(said) == set(TEXTS)
    assert 0.2 < said.count("So \\boxed{5}") / 60 < 0.4
    best = {chat.invoke(QUESTION, seed=seed, choose="best").content for seed in range(5)}
    assert best <= {"So \\boxed{4}", "Well, the answer is 4."}


@pytest.mark.parametrize("choice", ["auto", None])
def test_a_drawn_leaf_is_described_as_itself(choice: str | None) -> None:
    replies = {**REPLIES, "Who knows": 0.4} if choice else TEXTS
    decoder = EntropyTree(schedule="stratified", leaves=16, temperature=1)
    chat = scripted(replies, decoder=decoder, choose="sample", system_prompt="")
    asking = chat.bind_tools([add], tool_choice=choice) if choice else chat
    seen = set()
    for seed in range(30):
        message = asking.invoke(QUESTION, seed=seed)
        best = result_of(asking.invoke(QUESTION, seed=seed, choose="best"))
        found = result_of(message)
        seen.add(found.answer)
        assert [one["args"] for one in message.tool_calls] == [
            one.arguments for one in found.tool_calls
        ]
        if found.answer == best.answer:
            assert essence(message)["metadata"]["et_agent"] == {
                **best.model_dump(mode="json", exclude={"tree"}),
                "usage": None,
            }
            continue
        shares = {one.answer: one.share for one in best.distribution}
        assert found.share == (0 if found.answer is None else shares[found.answer])
        assert (found.confidence, found.calibrated, found.calibration) == (None, False, None)
        assert found.confidence_parts == ()
        assert found.features == {}
        assert repr(best.answer) in found.notes[-1]
        assert found.distribution == best.distribution
        if found.answer is not None:
            assert (found.kind == "tool_call") == bool(message.tool_calls)
    assert None in seen
    assert len(seen) == 3


def test_the_confidence_of_the_best_answer_is_not_that_of_a_drawn_one(
    model: ScriptedModel,
) -> None:
    decoder = EntropyTree(schedule="stratified", leaves=16, temperature=1)
    pending = submit(model, QUESTION, decoder=decoder)
    sure = pending.result().model_copy(
        update={
            "confidence": 0.9,
            "calibrated": True,
            "calibration": CalibrationReport(source="own", labels=99, interval=(0.8, 0.95)),
            "confidence_parts": (
                ConfidencePart(feature="share", meaning="share", value=0.6, log_odds=1.0),
            ),
            "features": {"share": 0.6},
        }
    )
    found = {}
    for seed in range(30):
        seeded = sure.model_copy(update={"seed": seed})
        drawn = chosen(seeded, "sample")
        said = result_of(reply(pending, seeded, leaf=drawn, model="m", logprobs=False))
        found[said.answer] = (
            said.confidence,
            said.calibration and said.calibration.source,
            len(said.confidence_parts),
            len(said.features),
        )
    nothing = (None, None, 0, 0)
    assert found == {"4": (0.9, "own", 1, 1), "5": nothing, None: nothing}


def test_settings_of_a_call_hold_for_that_call(chat: ChatEntropyTree) -> None:
    def decoder(**call: Any) -> dict[str, Any]:
        return result_of(chat.invoke(QUESTION, **call)).decoder

    assert (decoder()["schedule"], decoder()["leaves"]) == ("overlapped", 8)
    called = decoder(leaves=4, temperature=1.0, max_tokens=30)
    assert (called["leaves"], called["temperature"], called["max_tokens"]) == (4, 1.0, 30)
    assert decoder(temperature=0)["name"] == "Greedy"
    assert result_of(chat.bind(seed=7).invoke(QUESTION)).seed == 7
    assert result_of(chat.invoke(QUESTION, kind="text")).kind == "text"
    assert result_of(chat.invoke(QUESTION, system_prompt="Be brief.")).instruction == "Be brief."
    own = ChatEntropyTree(engine=chat.engine, decoder=MultiChain(leaves=3))
    assert result_of(own.invoke(QUESTION)).decoder["name"] == "MultiChain"
    assert result_of(own.invoke(QUESTION, leaves=2)).usage.leaves == 2


def test_stop_sequences_of_model_and_call() -> None:
    chat = scripted({"So \\boxed{42} and more": 1.0}, decoder=Greedy(), stop=[" more"])
    assert chat.invoke(QUESTION).content == "So \\boxed{42} and"
    assert chat.invoke(QUESTION, stop=[" and"]).content == "So \\boxed{42}"
    inside = chat.invoke(QUESTION, stop=["}"])
    assert (inside.content, result_of(inside).answer) == ("So \\boxed{42", "42")
    open_box = chat.invoke(QUESTION, stop=["2"])
    assert (open_box.content, result_of(open_box).answer) == ("So \\boxed{4", None)


def test_chains_on_both_sides(chat: ChatEntropyTree) -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Be {how}."), ("human", "{question}")])
    chain = prompt | chat | StrOutputParser()
    assert chain.invoke({"how": "kind", "question": QUESTION}) in TEXTS
    assert (
        "Be kind."
        in result_of((prompt | chat).invoke({"how": "kind", "question": QUESTION})).instruction
    )


def test_models_are_loaded_when_first_used_and_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[str, dict[str, Any]]] = []

    def load(name: str, **settings: Any) -> ScriptedModel:
        loaded.append((name, settings))
        return ScriptedModel.from_texts(TEXTS)

    monkeypatch.setattr(loading, "load_model", load)
    one = ChatEntropyTree(model="a", leaves=2)
    other = ChatEntropyTree(model="a", leaves=3, temperature=0.5)
    assert loaded == []
    one.invoke(QUESTION)
    other.invoke(QUESTION)
    one.with_config(tags=["x"]).batch([QUESTION] * 3)
    assert loaded == [("a", {})]
    EntropyTreeRunnable(model="a", leaves=2).invoke(QUESTION)
    assert len(loaded) == 1, "a runnable that names it shares it too"
    assert one.invoke(QUESTION, model="b").response_metadata["model_name"] == "b"
    assert one.invoke(QUESTION).response_metadata["model_name"] == "a"
    ChatEntropyTree(model="a", threads=1).invoke(QUESTION)
    ChatEntropyTree(model="a", stream_memory=0).invoke(QUESTION)
    assert loaded[1:] == [("b", {}), ("a", {"threads": 1}), ("a", {"stream_memory": 0})]
    EntropyTreeRunnable(model="a", load_options={"stream_memory": 0}, leaves=2).invoke(QUESTION)
    assert len(loaded) == 4, "a runnable shares that too"
    ChatEntropyTree(model="a", prefix_memory=0, prefix_file="f").invoke(QUESTION)
    assert loaded[4:] == [("a", {"prefix_memory": 0, "prefix_file": "f"})]
    on_gpu = {"gpu_layers": 3, "split_mode": "none", "main_gpu": 1}
    ChatEntropyTree(model="a", **on_gpu).invoke(QUESTION)
    assert loaded[5:] == [("a", on_gpu)]
    EntropyTreeRunnable(model="a", load_options=on_gpu, leaves=2).invoke(QUESTION)
    assert len(loaded) == 6
    close_engines()
    one.invoke(QUESTION)
    assert len(loaded) == 7, "loaded again after they were freed"
    close_engines()


def test_the_old_name_of_dequantize_is_read_and_says_what_it_is_called_now() -> None:
    old: Any = {"unpack": True}
    with pytest.warns(DeprecationWarning, match="will be removed: use dequantize"):
        assert ChatEntropyTree(model="a", **old).dequantize
    assert not ChatEntropyTree(model="a").dequantize


def test_a_model_that_cannot_be_loaded_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = ChatEntropyTree(model="no-such-model")
    errors = Errors()
    with pytest.raises(EtAgentError):
        chat.invoke(QUESTION, config={"callbacks": [errors]})
    assert len(errors.seen) == 1
    monkeypatch.setattr(loading, "load_model", lambda *_, **__: ScriptedModel.from_texts(TEXTS))
    assert chat.invoke(QUESTION).content
    close_engines()


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_settings_are_written_and_read_without_weights(model: ScriptedModel) -> None:
    decoder = EntropyTree(leaves=5, schedule="stratified")
    chat = ChatEntropyTree(model="a", decoder=decoder, kind="number", stop=["x"], api_key="secret")
    written = dumpd(chat)
    assert "secret" not in json.dumps(written)
    again = loaded(written)
    assert (again.decoder, again.kind, again.stop) == (decoder, "number", ["x"])
    assert again.asdict() == chat.asdict()


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_a_chat_model_with_an_engine_is_read_without_a_model(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = ChatEntropyTree(engine=model, leaves=2, stop=["END"])
    again = loaded(dumpd(chat))
    assert (again.leaves, again.stop, again.engine) == (2, ["END"], None)
    with pytest.raises(
        SettingsError,
        match=r"no model is named, because .* without it: set chat.model = ",
    ):
        again.invoke(QUESTION)
    monkeypatch.setattr(loading, "load_model", lambda *_, **__: ScriptedModel.from_texts(TEXTS))
    assert again.invoke(QUESTION, model="a").content
    again.model = "b"
    assert again.invoke(QUESTION).response_metadata["model_name"] == "b"
    close_engines()


def loaded(written: Any) -> ChatEntropyTree:
    found = load(
        written, allowed_objects=[ChatEntropyTree], valid_namespaces=["langchain_et_agent"]
    )
    assert isinstance(found, ChatEntropyTree)
    return found


def test_a_model_is_named_or_given_not_both(chat: ChatEntropyTree) -> None:
    says = "model is 'a', but the chat model has an engine, 'scripted'"
    with pytest.raises(SettingsError, match=says):
        ChatEntropyTree(model="a", engine=chat.engine)
    configurable = chat.configurable_fields(model=ConfigurableField(id="model"))
    with pytest.raises(SettingsError, match=says):
        configurable.invoke(QUESTION, {"configurable": {"model": "a"}})
    assert configurable.invoke(QUESTION).content


def test_configurable_fields_keep_the_engine(chat: ChatEntropyTree) -> None:
    field = ConfigurableField(id="how_many")
    configured = chat.configurable_fields(leaves=field).with_config(configurable={"how_many": 3})
    assert result_of(configured.invoke(QUESTION)).decoder["leaves"] == 3


def test_a_pickled_chat_model_loads_its_own_engine() -> None:
    chat = pickle.loads(pickle.dumps(ChatEntropyTree(model="a", leaves=3, stop=["x"])))
    assert (chat.model, chat.leaves, chat.stop, chat.engine) == ("a", 3, ["x"], None)


def test_a_chat_model_with_an_engine_is_copied_but_not_pickled(chat: ChatEntropyTree) -> None:
    chat.stop = ["END"]
    with pytest.raises(SettingsError, match="cannot be pickled: name the model"):
        pickle.dumps(chat)
    for copied in (copy.deepcopy(chat), chat.model_copy(deep=True), copy.copy(chat)):
        assert copied.engine is chat.engine
        assert copied.invoke(QUESTION).content == chat.invoke(QUESTION).content
    assert copy.deepcopy(chat).stop is not chat.stop


def test_tokens_are_the_models_own(chat: ChatEntropyTree) -> None:
    assert chat.get_token_ids("ab") == [97, 98]
    assert chat.get_num_tokens("été") == 5


class Other(ScriptedModel):
    """Another file under the same or another name."""

    named, made_of = "scripted", "other"

    @property
    def info(self) -> ModelInfo:
        return replace(super().info, name=self.named, fingerprint=self.made_of)


class Named(Other):
    named, made_of = "named", "third"


def test_engines_are_told_apart() -> None:
    """An answer is not taken from the cache of another engine, of the same name or not."""
    cache = InMemoryCache()
    said = {}
    for number, kind in enumerate((ScriptedModel, Other, Named)):
        with kind.from_texts({f"\\boxed{{{number}}}": 1.0}) as engine:
            chat = ChatEntropyTree(engine=engine, decoder=Greedy(), cache=cache)
            message = chat.invoke(QUESTION)
            assert chat.invoke(QUESTION).content == message.content
            assert result_of(message).answer == str(number)
            assert chat.model == message.response_metadata["model_name"] == engine.info.name
            assert chat.asdict()["fingerprint"] == engine.info.fingerprint
            assert chat._get_ls_params()["ls_model_name"] == engine.info.name
            said[chat._get_llm_string()] = message.content
    assert len(said) == 3
    assert "fingerprint" not in ChatEntropyTree(model="a").asdict()


def test_traces_name_the_model() -> None:
    chat = ChatEntropyTree(model="a")
    traced = chat._get_ls_params(stop=["x"], model="b")
    assert (traced["ls_provider"], traced["ls_model_name"]) == ("et_agent", "b")
    assert traced["ls_stop"] == ["x"]
