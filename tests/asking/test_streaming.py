"""Streams: what is shown while a tree is decoded is the reply, or the last event says otherwise."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from et_agent import (
    EntropyTree,
    Greedy,
    MultiChain,
    OpenAICompatibleModel,
    Progress,
    ScriptedModel,
    StreamEnd,
    TextDelta,
    ask,
    stream,
)
from et_agent.asking.calling import call_form
from et_agent.asking.streaming import LeadingPath, StreamEvent
from et_agent.decoding.tree import Finish, ForkKind, Tree
from et_agent.engines.base import Batch, Step
from et_agent.engines.scripted import END, TOOL_FORMAT, VOCABULARY
from et_agent.errors import DecodeError, EtAgentError, SettingsError
from et_agent.results import AskResult
from et_agent.templates.messages import Message
from et_agent.templates.reasoning import ReasoningFormat
from tests.asking.test_reasoning_formats import form_of
from tests.asking.test_reasoning_formats import reply as reply_in
from tests.engines.openai_server import choice, completion, serving
from tests.templates.thinking import CASES

if TYPE_CHECKING:
    from et_agent.engines.llama_cpp.model import LlamaCppModel

TWO_CHAINS = MultiChain(leaves=3, temperature=1)
TEXTS = {r"So \boxed{4}": 0.5, "Well, the answer is 5.": 0.5}
THINKING = ReasoningFormat("<think>", "</think>")
ADD: Any = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "required": ["a"],
            "additionalProperties": False,
        },
    },
}
CALL = f'{TOOL_FORMAT.opening}add{TOOL_FORMAT.middle}{{"a": 1}}{TOOL_FORMAT.closing}'
BARE = '{"name": "add", "arguments": {"a": 1}}'


def joined(events: Sequence[StreamEvent], kind: str) -> str:
    return "".join(one.text for one in events if isinstance(one, TextDelta) and one.kind == kind)


def end_of(events: Sequence[StreamEvent]) -> StreamEnd:
    *deltas, end = events
    assert isinstance(end, StreamEnd)
    assert all(isinstance(one, TextDelta) and one.text for one in deltas)
    return end


def streamed(texts: Mapping[str, float], question: Any = "How many?", **given: Any) -> list[Any]:
    form = given.pop("reasoning", None)
    decoder = given.pop("decoder", Greedy())
    with ScriptedModel.from_texts(texts, reasoning=form) as model:
        return list(stream(model, question, decoder=decoder, calibrator=None, **given))


def agreed(events: Sequence[StreamEvent]) -> StreamEnd:
    """The end of a stream whose deltas are the reply."""
    end = end_of(events)
    assert end.agrees
    assert (joined(events, "thought"), joined(events, "answer")) == (end.thought, end.answer)
    return end


def timeless(result: AskResult) -> dict[str, Any]:
    found = result.model_dump(mode="json")
    return {**found, "usage": {**found["usage"], "seconds": 0, "tokens_per_second": 0}}


def test_each_token_is_shown_and_the_result_is_that_of_ask() -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        decoder = EntropyTree(leaves=6, temperature=1)
        events = list(stream(model, "How many?", decoder=decoder, seed=3))
        asked = ask(model, "How many?", decoder=decoder, seed=3)
    end = end_of(events)
    assert timeless(end.result) == timeless(asked)
    assert len(events) - 1 == len(joined(events, "answer").encode())
    assert joined(events, "answer") in TEXTS
    assert {one.path for one in events if isinstance(one, TextDelta)} == {0}


def test_the_reply_is_the_text_that_was_shown_or_the_end_says_that_it_is_another() -> None:
    seen = set()
    for seed in range(20):
        events = streamed(TEXTS, decoder=TWO_CHAINS, seed=seed)
        end = end_of(events)
        seen.add(end.agrees)
        assert (joined(events, "answer") == end.answer) is end.agrees
        assert end.leaf.answer == end.result.answer
        assert end.result.answer is not None
        assert end.result.answer in end.answer
    assert seen == {True, False}


def test_of_the_leaves_of_the_answer_the_one_that_was_shown_is_the_reply() -> None:
    texts = {r"So \boxed{4}": 0.5, "Well, the answer is 4.": 0.5}
    replies, best = set(), set()
    for seed in range(12):
        events = streamed(texts, decoder=TWO_CHAINS, seed=seed)
        end = agreed(events)
        leaf = end.result.best_leaf
        assert leaf is not None
        replies.add(end.answer)
        best.add(leaf.text == end.answer)
    assert replies == set(texts)
    assert best == {True, False}


class Gated(ScriptedModel):
    """Stops before a batch until it is let on."""

    def hold_before(self, batch: int) -> None:
        self.left, self.open = batch, threading.Event()

    def decode(self, batch: Batch) -> Step:
        self.left -= 1
        if self.left < 0:
            assert self.open.wait(20)
        return super().decode(batch)


@contextlib.contextmanager
def gated(batch: int) -> Iterator[Gated]:
    with Gated.from_texts(TEXTS) as model:
        assert isinstance(model, Gated)
        model.hold_before(batch)
        try:
            yield model
        finally:
            model.open.set()


def test_the_first_token_leaves_when_it_is_decoded() -> None:
    # One decode call has been, that of the prompt. The next one waits.
    with (
        gated(1) as model,
        stream(model, "How?", system_prompt="", decoder=TWO_CHAINS) as answer,
    ):
        first = next(iter(answer))
        assert isinstance(first, TextDelta)
        assert first.text in "SW"
        assert not answer.pending.request.done
        model.open.set()


def test_who_reads_slowly_gets_larger_pieces_and_holds_no_memory() -> None:
    text = "a" * 900
    with ScriptedModel.from_texts({text: 1.0}) as model:
        answer = stream(model, "How?", decoder=Greedy(max_tokens=1000))
        answer.pending.request.result(20)
        *pieces, end = answer
    assert isinstance(end, StreamEnd)
    assert len(pieces) < 100
    assert end.agrees
    assert joined(pieces, "answer") == end.answer == text


def test_leaving_the_loop_stops_decoding_within_a_step() -> None:
    with gated(3) as model:
        answer = stream(model, "How?", system_prompt="", decoder=TWO_CHAINS)
        for _ in answer:
            break
        assert answer.pending.request.cancelled
        model.open.set()
        run = answer.pending.request.result(20)
        assert run.cancelled
        assert answer.pending.request.steps <= 4


def test_a_closed_stream_ends_with_what_is_known_so_far() -> None:
    with gated(3) as model:
        answer = stream(model, "How?", system_prompt="", decoder=TWO_CHAINS)
        answer.close()
        answer.close()
        model.open.set()
        end = end_of(list(answer))
    assert not end.result.complete
    assert end.agrees


def broken_after(tokens: int) -> ScriptedModel:
    def script(prompt: str, path: Sequence[int]) -> NDArray[np.float32]:
        del prompt
        if len(path) == tokens:
            raise DecodeError("the device is gone")
        logits = np.full(VOCABULARY, -1e9, dtype=np.float32)
        logits[ord("x")] = 0.0
        return logits

    return ScriptedModel(script)


def test_an_error_follows_what_was_shown_before() -> None:
    with broken_after(4) as model:
        events = iter(stream(model, "How?", decoder=Greedy()))
        shown = [next(events) for _ in range(4)]
        with pytest.raises(DecodeError, match="device is gone"):
            next(events)
    assert joined(shown, "answer") == "xxxx"


def test_the_time_limit_holds_for_the_whole_stream() -> None:
    with gated(1) as model:
        answer = stream(model, "How?", system_prompt="", decoder=TWO_CHAINS, timeout=0.05)
        with pytest.raises(TimeoutError):
            list(answer)
        assert answer.pending.request.cancelled
        model.open.set()


def test_what_is_refused_is_refused_before_anything_is_decoded() -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        with pytest.raises(EtAgentError, match="empty"):
            stream(model, "")
        with pytest.raises(SettingsError, match="options is a dict"):
            stream(model, "How?", {})  # type: ignore[arg-type]
        assert model.decoded == 0


def test_progress_is_told_beside_the_text() -> None:
    told: list[Progress] = []
    with ScriptedModel.from_texts(TEXTS) as model:
        events = list(stream(model, "How?", decoder=TWO_CHAINS, on_progress=told.append))
    assert told[-1].leaves_done == 3
    assert len(end_of(events).answer) > 10


def test_an_event_loop_gets_the_same_events() -> None:
    with ScriptedModel.from_texts(TEXTS) as model:

        async def collect() -> list[StreamEvent]:
            answer = stream(model, "How many?", decoder=TWO_CHAINS, seed=1)
            return [event async for event in answer]

        waited = list(stream(model, "How many?", decoder=TWO_CHAINS, seed=1))
        awaited = asyncio.run(collect())
    assert awaited[:-1] == waited[:-1]
    ends = [end_of(events) for events in (awaited, waited)]
    assert len({(end.answer, end.agrees) for end in ends}) == 1


def test_a_cancelled_task_cancels_the_question() -> None:
    with gated(3) as model:

        async def run() -> Any:
            answer = stream(model, "How?", system_prompt="", decoder=TWO_CHAINS)

            async def consume() -> None:
                async for _ in answer:
                    shown.set()

            shown = asyncio.Event()
            task = asyncio.create_task(consume())
            await shown.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return answer.pending

        pending = asyncio.run(run())
        assert pending.request.cancelled
        model.open.set()
        assert pending.request.result(20).cancelled


def test_an_event_loop_gets_errors_and_time_limits() -> None:
    async def consume(model: ScriptedModel, timeout: float | None = None) -> list[StreamEvent]:
        answer = stream(model, "How?", system_prompt="", decoder=Greedy(), timeout=timeout)
        return [event async for event in answer]

    with broken_after(4) as model, pytest.raises(DecodeError, match="device is gone"):
        asyncio.run(consume(model))
    with gated(1) as slow:
        with pytest.raises(TimeoutError):
            asyncio.run(consume(slow, timeout=0.05))
        slow.open.set()


# --- What is left back


@settings(max_examples=60, deadline=None)
@given(
    st.text("aé€😀 .", max_size=12),
    st.lists(st.text("aé€😀 .", min_size=1, max_size=3), max_size=3),
)
def test_what_a_stop_cuts_is_never_shown_and_no_character_is_broken(
    text: str, stops: list[str]
) -> None:
    events = streamed({text: 1}, system_prompt="", stop=stops, kind="text")
    end = agreed(events)
    # Decoding ends with the first stop sequence that is complete; of several, the longest is cut.
    found = [(text.index(one) + len(one), text.index(one)) for one in stops if one in text]
    assert end.answer == (text[: min(found)[1]] if found else text)
    assert "\ufffd" not in joined(events, "answer")


def test_text_waits_only_as_long_as_it_may_be_a_stop() -> None:
    events = streamed({"a b, a cd": 1}, system_prompt="", stop=["a c!"])
    assert [one.text for one in events[:-1]] == ["a b", ",", " ", "a cd"]


def test_bytes_that_are_no_character_are_shown_as_the_reply_has_them() -> None:
    def script(prompt: str, path: Sequence[int]) -> NDArray[np.float32]:
        del prompt
        logits = np.full(VOCABULARY, -1e9, dtype=np.float32)
        logits[[*b"a\xffb\xe2\x82", END][len(path)]] = 0.0
        return logits

    with ScriptedModel(script) as model:
        end = agreed(list(stream(model, "How?", decoder=Greedy())))
    assert end.answer == "a\ufffdb\ufffd"


@pytest.mark.parametrize("name", CASES)
def test_thoughts_are_shown_as_such_in_every_format(name: str) -> None:
    form = form_of(name)
    begun = f"{form.opening}{form.after_opening}" if form.prompt == "open" else ""
    text = reply_in(name, "Try < 5 <thi. Wrong.", r"It </ is `a` \boxed{7}")
    events = streamed({f"{begun}{text}": 1}, reasoning=form)
    end = agreed(events)
    assert (end.thought, end.answer) == ("Try < 5 <thi. Wrong.", r"It </ is `a` \boxed{7}")
    kinds = [one.kind for one in events[:-1]]
    assert kinds == sorted(kinds, reverse=True)  # the thought comes first
    assert len(kinds) > 10, "in many pieces; those that come while one is read are joined"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "<", "</th", "`", "```", "a", "é", " ", "\n"]),
        max_size=8,
    )
)
def test_however_thoughts_and_text_are_mixed_shown_text_is_confirmed_or_replaced(
    pieces: list[str],
) -> None:
    events = streamed({"".join(pieces): 1}, reasoning=THINKING, kind="text", system_prompt="")
    end = end_of(events)
    shown = joined(events, "thought"), joined(events, "answer")
    assert (shown == (end.thought, end.answer)) is end.agrees
    assert "</think>" not in shown[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CALL, ""),
        (f"I add them.\n{CALL}", "I add them."),
        (f"Is 1 <tool 2? {CALL}", "Is 1 <tool 2?"),
        (BARE, ""),
        (f"```json\n{BARE}\n```", ""),
        ('{"name": "a" is a text}', '{"name": "a" is a text}'),
        ("```python\nx = 1\n```", "```python\nx = 1\n```"),
        ("No call \n", "No call \n"),
    ],
)
def test_calls_are_not_shown_as_text(text: str, said: str) -> None:
    events = streamed({text: 1}, tools=[ADD], kind="text")
    end = agreed(events)
    assert end.answer == said
    assert bool(end.result.tool_calls) is (text != said)


@pytest.mark.parametrize("choice_of_tool", ["any", "add"])
def test_a_call_that_must_be_shows_nothing(choice_of_tool: str) -> None:
    events = streamed({CALL: 1}, tools=[ADD], tool_choice=choice_of_tool)
    assert len(events) == 1
    assert agreed(events).result.tool_calls[0].arguments == {"a": 1}


@given(st.text('<tol_ca>{"name:d}` \njsx', max_size=25), st.sampled_from(["", CALL, BARE]))
def test_what_is_shown_before_a_call_is_said_before_it(text: str, call: str) -> None:
    with ScriptedModel.from_texts({"a": 1}) as model:
        _, form = call_form(model, [ADD], "auto")
    assert form is not None
    whole = text + call
    for size in range(len(whole)):
        if not form.begins(whole[:size]):
            assert form.before(whole).startswith(form.settled(whole[:size]))


def test_json_is_shown_as_text() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "string"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    text = json.dumps({"n": "é, stop"}, ensure_ascii=False)
    events = streamed({text: 1}, schema=schema, stop=["stop"])
    assert agreed(events).answer == text
    assert len(events) > 10


def test_lettered_options_are_read_without_text_so_that_the_reply_comes_at_the_end() -> None:
    events = streamed({"B": 0.8, "A": 0.2}, "Which?\nA) one\nB) two", decoder=None)
    delta, end = events
    assert isinstance(delta, TextDelta)
    assert delta.text == end.answer
    assert agreed(events).result.answer == end.answer


def test_replies_of_a_server_are_shown_whole() -> None:
    with (
        serving(lambda _: completion(choice(r"It is \boxed{4}"))) as server,
        OpenAICompatibleModel(server.url) as model,
    ):
        events = list(stream(model, "How many?", decoder=Greedy()))
    assert [getattr(one, "text", "") for one in events[:-1]] == [r"It is \boxed{4}"]
    assert agreed(events).result.answer == "4"


# --- The leading path


def grown(tree: Tree, branch: int, tokens: Sequence[int], finish: Finish | None = None) -> None:
    tree.branches[branch].tokens += tokens
    tree.branches[branch].finish = finish


def follow(leading: LeadingPath, tree: Tree) -> tuple[bool, int]:
    return leading.grown(tree), leading.branch


def test_the_heaviest_side_is_followed_where_the_path_forks_at_its_end() -> None:
    tree, leading = Tree(5), LeadingPath()
    assert follow(leading, tree) == (False, 0)
    grown(tree, 0, [1])
    assert follow(leading, tree) == (True, 0)
    assert follow(leading, tree) == (False, 0)
    light, heavy = tree.fork(0, 1, ForkKind.STRATIFIED, 1.0, 0.3, [0.1, 0.6])
    for branch in (0, light.id, heavy.id):
        grown(tree, branch, [branch])
    assert follow(leading, tree) == (True, heavy.id)
    assert tree.path(leading.branch) == [1, heavy.id]
    # A fork behind it, and one in front of it on another path, change nothing.
    grown(tree, heavy.id, [7])
    (back,) = tree.fork(0, 0, ForkKind.STRATIFIED, 1.0, 0.0, [1.0])
    grown(tree, back.id, [8])
    assert follow(leading, tree) == (True, heavy.id)
    tree.branches[heavy.id].finish = Finish.STOP
    assert follow(leading, tree) == (True, heavy.id)
    assert follow(leading, tree) == (False, heavy.id)


def test_of_sides_that_weigh_the_same_the_first_is_followed() -> None:
    tree, leading = Tree(5), LeadingPath()
    (other,) = tree.fork(0, 0, ForkKind.INDEPENDENT, 1.0, 0.5, [0.5])
    grown(tree, other.id, [1])
    grown(tree, 0, [1])
    assert follow(leading, tree) == (True, 0)


@pytest.mark.parametrize(
    "schedule",
    [
        {"schedule": "stratified"},
        {"schedule": "rounds"},
        {"schedule": "overlapped"},
        {"schedule": "online", "tau": 0.5},
        {"schedule": "breadth_first", "tau": 0.5},
    ],
)
def test_every_schedule_streams_a_path_of_its_tree(schedule: Any) -> None:
    texts = {
        f"{word} so it is \\boxed{{{n}}}": 0.25 for n, word in enumerate(("A", "An", "B", "Ah"))
    }
    for seed in range(4):
        decoder = EntropyTree(**schedule, leaves=6, temperature=1)
        events = streamed(texts, decoder=decoder, seed=seed)
        end = end_of(events)
        assert end.result.tree is not None
        assert joined(events, "answer") in {leaf.text for leaf in end.result.tree.leaves}


def test_a_real_model_streams_what_it_says(small_model: "LlamaCppModel") -> None:
    conversation: list[Message] = [
        {"role": "user", "content": "Erzähle von Österreich und übe Umlaute."}
    ]
    decoder = EntropyTree(leaves=4, max_tokens=48)
    events: list[StreamEvent] = []
    with stream(small_model, conversation, decoder=decoder, seed=1) as answer:
        for event in answer:
            if not events:
                assert not answer.pending.request.done
            events.append(event)
    end = end_of(events)
    assert (joined(events, "answer") == end.answer) is end.agrees
    assert end.result.tree is not None
    assert joined(events, "answer") in {leaf.text for leaf in end.result.tree.leaves}
    assert len(events) > 10
    again = ask(small_model, conversation, decoder=decoder, seed=1)
    assert isinstance(again, AskResult)
    assert again.answer == end.result.answer


def test_a_real_model_decodes_one_reply_and_shows_each_token(small_model: "LlamaCppModel") -> None:
    events = list(stream(small_model, "Count to ten in words.", decoder=Greedy(max_tokens=40)))
    end = agreed(events)
    assert len(events) > 0.8 * end.leaf.tokens
