"""Questions that begin alike share what was decoded, and their trees stay what they are alone."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from et_agent.decoding import EntropyTree, Greedy, MultiChain, Request, RunInputs, Scheduler
from et_agent.decoding.base import Decoder
from et_agent.decoding.continued import Continued
from et_agent.decoding.probe import Probe
from et_agent.engines.base import Batch, Step
from et_agent.engines.scripted import TURN, ScriptedModel
from tests.decoding.play import shape

DEPTH = 7


def script(prompt: str, tokens: Sequence[int]) -> NDArray[np.float32]:
    """Depends on every token of the prompt and the path."""
    logits = np.full(258, -1e9, dtype=np.float32)
    if len(tokens) >= DEPTH - 1:
        logits[256] = 0.0
        return logits
    generator = np.random.default_rng([crc32(prompt.encode()), *tokens])
    raw = generator.dirichlet([generator.choice([0.05, 0.5, 3.0])] * 4)
    logits[[97, 98, 99, 256]] = np.log(np.maximum(raw, 1e-30))
    return logits


class Recording(ScriptedModel):
    """Keeps every batch."""

    batches: list[Batch]

    def decode(self, batch: Batch) -> Step:
        self.__dict__.setdefault("batches", []).append(batch)
        return super().decode(batch)


def model_of(**changes: object) -> Recording:
    return Recording(script, **{"prefix_memory": 1 << 16, **changes})  # type: ignore[arg-type]


def submit(
    scheduler: Scheduler, model: ScriptedModel, decoder: Decoder, prompt: list[int], **changes: int
) -> Request:
    stop_at = changes.pop("stop_at", 0)
    inputs = RunInputs(
        prompt_length=len(prompt), stop_tokens=model.info.stop_tokens, seed=changes.get("seed", 0)
    )

    def watch(request: Request) -> None:
        if request.steps == stop_at:
            request.cancel()

    return scheduler.submit(prompt, decoder, inputs, on_step=watch)


def gate(model: ScriptedModel) -> threading.Event:
    """Hold the owner thread until the event is set, so that questions arrive together."""
    event = threading.Event()
    model.submit(lambda: event.wait(10))
    return event


def check_kept(model: ScriptedModel) -> None:
    """After all questions: no cell is held, and what is kept is what its tokens say."""
    model.submit(lambda: None).result(60)
    assert model.free_positions == model.info.context
    store = model.prefixes
    if store is None:
        return
    assert store.bytes <= store.memory
    for node in store.nodes():
        assert np.ascontiguousarray(node.rows).view(np.int32).ravel().tolist() == node.tokens


DECODERS: list[Decoder] = [
    EntropyTree(leaves=8, roots=7, batch=1, stop_above=1, max_tokens=DEPTH, temperature=1),
    EntropyTree(schedule="online", leaves=7, roots=2, tau=0.2, gap=1, max_tokens=DEPTH),
    EntropyTree(schedule="breadth_first", leaves=7, branching=3, tau=0.2, max_tokens=DEPTH),
    MultiChain(leaves=6, max_tokens=DEPTH, temperature=1),
    Greedy(max_tokens=DEPTH),
    Continued(continuations=((97,), (98, 99)), leaves=2, max_tokens=4),
    Probe(continuations=((97, 98), (97, 99)), words=((97,), (98,))),
]


@dataclass
class Asked:
    """A question of a sequence: beginnings it has, what decodes it, and when it is stopped."""

    system: int
    words: list[int]
    decoder: int
    seed: int
    together: bool
    stop_at: int

    @property
    def prompt(self) -> list[int]:
        system = [TURN, *b"system prompt of some words"[: 5 + self.system]]
        return [*system, TURN, *self.words, TURN]


ASKED = st.builds(
    Asked,
    system=st.integers(0, 22),
    words=st.lists(st.integers(97, 98), max_size=4),
    decoder=st.integers(0, len(DECODERS) - 1),
    seed=st.integers(0, 2),
    together=st.booleans(),
    stop_at=st.sampled_from([0, 0, 0, 1, 3]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    context=st.integers(50, 120),
    sequences=st.integers(1, 10),
    max_batch=st.integers(2, 40),
    kept=st.sampled_from([1, 10, 40, 1000]),
    questions=st.lists(ASKED, min_size=1, max_size=7),
)
def test_a_tree_from_kept_beginnings_is_the_tree_that_the_question_has_alone(
    context: int, sequences: int, max_batch: int, kept: int, questions: list[Asked]
) -> None:
    with model_of(
        context=context, max_sequences=sequences, max_batch=max_batch, prefix_memory=4 * kept
    ) as model:
        scheduler = Scheduler(model)
        requests: list[Request] = []
        for one in questions:
            if not one.together:
                for request in requests:
                    request.result(20)
            decoder = DECODERS[one.decoder]
            requests.append(
                submit(scheduler, model, decoder, one.prompt, seed=one.seed, stop_at=one.stop_at)
            )
        for request in requests:
            request.result(20)
        check_kept(model)
    with model_of(prefix_memory=0) as roomy:
        for one, request in zip(questions, requests, strict=True):
            assert 0 <= request.cached < len(request.prompt)
            if not request.run.cancelled:
                decoder = DECODERS[one.decoder]
                alone = submit(Scheduler(roomy), roomy, decoder, one.prompt, seed=one.seed)
                assert shape(request.run) == shape(alone.result(20))


SYSTEM = [TURN, *b"a system prompt of more than forty tokens, to be shared"]


def prompt_of(text: str) -> list[int]:
    return [*SYSTEM, TURN, *text.encode(), TURN]


def test_a_later_question_decodes_only_what_is_new() -> None:
    with model_of() as model:
        scheduler = Scheduler(model)
        first = submit(scheduler, model, Greedy(max_tokens=2), prompt_of("ab"))
        first.result(20)
        before = model.decoded
        second = submit(scheduler, model, Greedy(max_tokens=1), prompt_of("xy"))
        second.result(20)
        assert (first.cached, second.cached) == (0, len(SYSTEM) + 1)
        assert model.decoded - before == len(second.prompt) - second.cached
        check_kept(model)


def test_a_next_turn_goes_on_from_the_reply() -> None:
    with model_of() as model:
        scheduler = Scheduler(model)
        first = submit(scheduler, model, DECODERS[3], prompt_of("ab"))
        tree = first.result(20).tree
        for leaf in range(len(tree.branches)):
            reply = tree.path(leaf)
            turn = [*first.prompt, *reply, TURN, *b"more", TURN]
            second = submit(scheduler, model, Greedy(max_tokens=1), turn)
            second.result(20)
            assert second.cached >= len(first.prompt) + len(reply) - 1
        check_kept(model)


@pytest.mark.parametrize("kept", [0, 1 << 16])
def test_questions_that_arrive_together_decode_what_they_share_once(kept: int) -> None:
    with model_of(max_batch=16, prefix_memory=kept) as model:
        scheduler = Scheduler(model)
        held = gate(model)
        chains = MultiChain(leaves=8, temperature=5, max_tokens=4)
        requests = [
            submit(scheduler, model, chains, prompt_of(text)) for text in ("ab", "cd", "ef", "gh")
        ]
        held.set()
        for request in requests:
            request.result(20)
        shared = len(SYSTEM) + 1
        assert [request.cached for request in requests] == [0, shared, shared, shared]
        assert isinstance(model, Recording)
        own = sum(batch.tokens.size for batch in model.batches if batch.positions.min() < shared)
        assert own <= len(requests[0].prompt) + 3 * (len("ab") + 1)
        check_kept(model)


def test_those_who_wait_go_on_when_the_one_they_wait_for_is_cancelled() -> None:
    with model_of(max_batch=8, prefix_memory=0) as model:
        scheduler = Scheduler(model)
        held = gate(model)
        first = submit(scheduler, model, Greedy(max_tokens=1), prompt_of("ab"))
        others = [submit(scheduler, model, Greedy(max_tokens=1), prompt_of(t)) for t in "cd"]
        first.cancel()
        held.set()
        assert [one.result(20).finished for one in (first, *others)] == [True] * 3
        assert others[0].cached == 0
        check_kept(model)


def test_another_prompt_does_not_wait() -> None:
    with model_of(max_batch=64) as model:
        scheduler = Scheduler(model)
        held = gate(model)
        requests = [
            submit(scheduler, model, Greedy(max_tokens=1), [TURN, *text, TURN])
            for text in (b"one", b"quite another")
        ]
        held.set()
        assert all(request.result(20).finished for request in requests)
        assert isinstance(model, Recording)
        assert len(model.batches) == 1


LONG = MultiChain(leaves=8, temperature=5, max_tokens=DEPTH)


def test_paths_that_lost_their_place_are_restored_and_not_decoded_again() -> None:
    tight = {"context": len(prompt_of("ab")) + 12, "max_sequences": 3, "max_batch": 16}
    with model_of(**tight) as model, model_of(**tight, prefix_memory=0) as none:
        asked = [
            [submit(scheduler, one, LONG, prompt_of(text)) for text in ("ab", "cd")]
            for one in (model, none)
            for scheduler in [Scheduler(one)]
        ]
        kept, without = ([request.result(20) for request in requests] for requests in asked)
        assert [shape(run) for run in kept] == [shape(run) for run in without]
        assert model.decoded < none.decoded
        check_kept(model)


@pytest.mark.parametrize("kept", [0, 1 << 16])
def test_a_cache_that_is_made_anew_loses_only_what_is_not_kept(kept: int) -> None:
    with model_of(prefix_memory=kept) as model:
        scheduler = Scheduler(model)
        joined: list[Request] = []

        def join(request: Request) -> None:
            if request.steps == 2:
                long = [TURN, *b"x" * 90, TURN]
                joined.append(submit(scheduler, model, Greedy(max_tokens=1), long))

        prompt = prompt_of("ab")
        inputs = RunInputs(prompt_length=len(prompt), stop_tokens=model.info.stop_tokens)
        first = scheduler.submit(prompt, LONG, inputs, on_step=join)
        tree = first.result(20).tree
        assert joined[0].result(20).finished
        once = len(prompt) + len(joined[0].prompt) + tree.tokens_decoded
        assert (model.decoded <= once) == bool(kept)
        check_kept(model)


def test_one_sequence_is_enough_for_a_tree_and_its_beginnings_are_restored() -> None:
    with model_of(max_sequences=1) as model, model_of(max_sequences=1, prefix_memory=0) as none:
        asked = [submit(Scheduler(one), one, LONG, prompt_of("ab")) for one in (model, none)]
        kept, without = (request.result(20) for request in asked)
        assert shape(kept) == shape(without)
        assert model.decoded < none.decoded
        check_kept(model)


@pytest.mark.parametrize("kept", [30, 60, 70])
def test_what_gives_way_for_a_beginning_may_push_it_out_of_the_store(kept: int) -> None:
    size = len(prompt_of("ab")) + 12
    with model_of(context=size, max_sequences=2, prefix_memory=4 * kept) as model:
        scheduler = Scheduler(model)
        submit(scheduler, model, Greedy(max_tokens=1), prompt_of("ab")).result(20)
        held = gate(model)
        other = [TURN, *b"y" * 40, TURN]
        requests = [
            submit(scheduler, model, LONG, prompt) for prompt in (other, prompt_of("ab"), other)
        ]
        held.set()
        assert all(request.result(20).finished for request in requests)
        check_kept(model)
