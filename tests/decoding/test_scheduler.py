"""Many decoders over one model, in contexts large and small, and what happens when things break."""

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from et_agent.decoding import (
    EntropyTree,
    Greedy,
    MultiChain,
    Request,
    Run,
    RunInputs,
    Scheduler,
    scheduler_of,
)
from et_agent.decoding.base import Decoder
from et_agent.decoding.continued import Continued
from et_agent.decoding.probe import Probe
from et_agent.decoding.sampling import Distribution
from et_agent.engines.base import Batch, Capacity, Step
from et_agent.engines.scripted import ScriptedModel
from et_agent.errors import ContextError, DecodeError, ModelClosedError, QuestionError
from tests.decoding.play import shape

END = 256
DEPTH = 7


def script(prompt: str, tokens: Sequence[int]) -> NDArray[np.float32]:
    """A few tokens after every path, of all degrees of sureness; no path is longer than DEPTH."""
    logits = np.full(258, -1e9, dtype=np.float32)
    if len(tokens) >= DEPTH - 1:
        logits[END] = 0.0
        return logits
    generator = np.random.default_rng([len(prompt), *tokens])
    raw = generator.dirichlet([generator.choice([0.05, 0.5, 3.0])] * 4)
    logits[[97, 98, 99, END]] = np.log(np.maximum(raw, 1e-30))
    return logits


def attention_script(tokens: Sequence[int]) -> NDArray[np.float32]:
    raw = np.random.default_rng(list(tokens)).exponential(size=len(tokens))
    return np.asarray(raw / raw.sum(), dtype=np.float32)


def model_of(kind: type[ScriptedModel] = ScriptedModel, **changes: object) -> ScriptedModel:
    return kind(script, **changes)  # type: ignore[arg-type]


def submit(
    scheduler: Scheduler,
    model: ScriptedModel,
    decoder: Decoder,
    text: str = "ab",
    seed: int = 0,
    on_step: Callable[[Request], None] | None = None,
    *,
    attention: bool = False,
) -> Request:
    prompt = model.plain_tokens(text)
    inputs = RunInputs(
        prompt_length=len(prompt),
        stop_tokens=model.info.stop_tokens,
        seed=seed,
        attention=attention,
    )
    return scheduler.submit(prompt, decoder, inputs, on_step=on_step)


DECODERS: list[Decoder] = [
    EntropyTree(
        value="mass_per_token", leaves=8, roots=3, tau=0.2, max_tokens=DEPTH, temperature=1
    ),
    EntropyTree(leaves=8, roots=7, batch=1, stop_above=1, max_tokens=DEPTH, temperature=1),
    EntropyTree(schedule="online", leaves=7, roots=2, tau=0.2, gap=1, max_tokens=DEPTH),
    EntropyTree(
        schedule="overlapped",
        leaves=8,
        root_share=0.4,
        least_value=0,
        max_tokens=DEPTH,
        temperature=1,
    ),
    EntropyTree(schedule="stratified", leaves=6, max_tokens=DEPTH, temperature=1),
    EntropyTree(schedule="breadth_first", leaves=7, branching=3, tau=0.2, max_tokens=DEPTH),
    MultiChain(leaves=6, max_tokens=DEPTH, temperature=1),
    Greedy(max_tokens=DEPTH),
]


def settle(model: ScriptedModel) -> None:
    """Wait until the owner thread has nothing left to do."""
    model.submit(lambda: None).result(60)


@pytest.mark.fault("no room for key-values")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    context=st.integers(5 + 1 + DEPTH, 80),
    sequences=st.integers(1, 10),
    max_batch=st.integers(2, 20),
    width=st.integers(1, 12),
    picks=st.lists(st.integers(0, len(DECODERS) - 1), min_size=1, max_size=4),
    attends=st.booleans(),
)
def test_small_contexts_cost_time_and_never_change_a_tree(
    context: int,
    sequences: int,
    max_batch: int,
    width: int,
    picks: list[int],
    attends: bool,
) -> None:
    given_attention = attention_script if attends else None
    with (
        model_of(attention=given_attention) as roomy,
        model_of(
            attention=given_attention,
            context=context,
            max_sequences=sequences,
            max_batch=max_batch,
            best_width=width,
        ) as tight,
    ):
        pairs = []
        for seed, pick in enumerate(picks):
            text = "question"[: 2 + seed]
            alone = submit(
                Scheduler(roomy), roomy, DECODERS[pick], text, seed, attention=attends
            ).result(20)
            pairs.append((alone, text, seed, DECODERS[pick]))
        scheduler = Scheduler(tight)
        requests = [
            submit(scheduler, tight, d, text, seed, attention=attends) for _, text, seed, d in pairs
        ]
        for (alone, *_), request in zip(pairs, requests, strict=True):
            assert shape(request.result(20)) == shape(alone)
            assert received(request.run) == received(alone)
        settle(tight)
        assert tight.free_positions == context, "every cell was given back"


def received(run: Run) -> set[tuple[object, ...]]:
    book = run.tree.attention
    assert book is not None or not run.inputs.attention
    if book is None:
        return set()
    sums = ((branch.lineage, book.of(branch.id).received) for branch in run.tree.branches)
    return {(lineage, None if sum is None else sum.tobytes()) for lineage, sum in sums}


def test_recomputed_tokens_are_counted_and_none_are_recomputed_with_room() -> None:
    decoder = EntropyTree(schedule="stratified", leaves=12, temperature=2, max_tokens=DEPTH)
    with model_of() as roomy:
        request = submit(Scheduler(roomy), roomy, decoder)
        tree = request.result(20).tree
        assert request.recomputed == 0
        # Every token but the last of each path is decoded once, and the prompt once.
        inner = tree.tokens_decoded - len(tree.branches)
        assert roomy.decoded == len(request.prompt) + inner
    with model_of(context=13, max_sequences=3) as tight:
        request = submit(Scheduler(tight), tight, decoder)
        request.result(20)
        assert request.recomputed > 0


def test_one_sequence_is_enough_for_a_tree() -> None:
    decoder = EntropyTree(
        value="mass_per_token", leaves=6, roots=1, tau=0.1, temperature=1, max_tokens=DEPTH
    )
    with model_of(max_sequences=1) as model, model_of() as roomy:
        run = submit(Scheduler(model), model, decoder).result(20)
        assert run.tree.leaf_count() > 1
        assert shape(run) == shape(submit(Scheduler(roomy), roomy, decoder).result(20))


class Recording(ScriptedModel):
    """Keeps every batch."""

    batches: list[Batch]

    def decode(self, batch: Batch) -> Step:
        self.__dict__.setdefault("batches", []).append(batch)
        return super().decode(batch)


class Shuffling(ScriptedModel):
    """Has its logits in another order than the batch's rows, as llama.cpp's streams may."""

    def decode(self, batch: Batch) -> Step:
        step = super().decode(batch)
        order = np.random.default_rng(self.decoded).permutation(len(step.rows))
        rows = np.empty_like(step.rows)
        rows[order] = step.rows
        shuffled = Step(rows, step.attention, order)
        np.testing.assert_array_equal(shuffled.logits, step.logits)
        return shuffled


@pytest.mark.parametrize("decoder", DECODERS[3:5])
def test_logits_in_any_order_reach_their_branches(decoder: Decoder) -> None:
    trees = []
    for kind in (ScriptedModel, Shuffling):
        with model_of(kind) as model:
            questions = [submit(Scheduler(model), model, decoder, text) for text in ("ab", "xyz")]
            trees.append([shape(one.result(20)) for one in questions])
    assert trees[0] == trees[1]


def gate(model: ScriptedModel) -> threading.Event:
    """Hold the owner thread until the event is set, so that questions arrive together."""
    event = threading.Event()
    model.submit(lambda: event.wait(10))
    return event


def test_a_long_prompt_is_split_and_a_question_without_room_is_refused() -> None:
    with model_of(Recording, max_batch=8, context=64) as model:
        assert isinstance(model, Recording)
        scheduler = Scheduler(model)
        request = submit(scheduler, model, Greedy(max_tokens=3), "x" * 30)
        assert request.result(20).tree.branches[0].end >= 1
        assert [b.tokens.size for b in model.batches[:4]] == [8, 8, 8, 7]
        assert [int(b.outputs.sum()) for b in model.batches[:4]] == [0, 0, 0, 1]
        assert request.steps == request.run.tree.branches[0].end + 3
        with pytest.raises(QuestionError, match="64 tokens and the context 64"):
            submit(scheduler, model, Greedy(), "x" * 63)
        with pytest.raises(QuestionError, match="empty"):
            scheduler.submit([], Greedy(), RunInputs(prompt_length=1, stop_tokens={END}))


def test_the_contexts_end_cuts_paths_off() -> None:
    with model_of(context=8) as model:
        run = submit(Scheduler(model), model, MultiChain(leaves=5, temperature=5), "abc").result(20)
        assert run.max_tokens == 4
        assert max(branch.end for branch in run.tree.branches) == 4


def test_first_come_first_served_and_later_questions_fill_the_batch() -> None:
    with model_of(Recording, best_width=5) as model:
        assert isinstance(model, Recording)
        scheduler = Scheduler(model)
        held = gate(model)
        chains = MultiChain(leaves=4, temperature=3, max_tokens=DEPTH)
        ended: list[str] = []
        requests = []
        for name in ("first", "second", "third"):

            def note(request: Request, name: str = name) -> None:
                if request.run.finished:
                    ended.append(name)

            requests.append(submit(scheduler, model, chains, name, on_step=note))
        held.set()
        for request in requests:
            request.result(20)
        assert ended == ["first", "second", "third"]
        widths = [int(batch.outputs.sum()) for batch in model.batches]
        assert max(widths) == 5
        assert widths[1] == 5, "the first question has 4 branches; another one fills the batch"


def test_a_question_joins_while_others_are_decoded() -> None:
    with model_of() as model:
        scheduler = Scheduler(model)
        joined: list[Request] = []

        def join(_request: Request) -> None:
            if not joined:
                joined.append(submit(scheduler, model, Greedy(max_tokens=2), "late"))

        submit(scheduler, model, MultiChain(leaves=3, max_tokens=4), on_step=join).result(20)
        assert joined[0].result(20).finished


def test_many_threads_submit_at_once() -> None:
    with model_of(best_width=6) as model:
        scheduler = scheduler_of(model)
        assert scheduler is scheduler_of(model)
        found: dict[int, Run] = {}

        def work(seed: int) -> None:
            decoder = DECODERS[seed % len(DECODERS)]
            found[seed] = submit(scheduler, model, decoder, "thread", seed).result(20)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(found) == 12
        for seed, run in found.items():
            again = submit(scheduler, model, DECODERS[seed % len(DECODERS)], "thread", seed)
            assert shape(again.result(20)) == shape(run)


def test_cancel_ends_a_question_within_a_step_and_leaves_the_others() -> None:
    with model_of() as model:
        scheduler = Scheduler(model)
        held = gate(model)
        chains = MultiChain(leaves=3, temperature=3, max_tokens=DEPTH)
        stopped = submit(
            scheduler, model, chains, on_step=lambda t: t.cancel() if t.steps == 2 else None
        )
        before_it_began = submit(scheduler, model, chains)
        before_it_began.cancel()
        other = submit(scheduler, model, chains)
        assert before_it_began.seconds == 0.0
        held.set()
        assert stopped.result(20).cancelled
        assert stopped.steps == 2
        assert stopped.run.tree.weights().sum() == pytest.approx(1.0)
        assert before_it_began.result(20).cancelled
        assert before_it_began.steps == 0
        assert not other.result(20).cancelled
        stopped.cancel()  # nothing happens any more
        settle(model)
        assert model.free_positions == model.info.context


def test_result_waits_no_longer_than_asked() -> None:
    with model_of() as model:
        held = gate(model)
        request = submit(Scheduler(model), model, Greedy(max_tokens=2))
        with pytest.raises(TimeoutError):
            request.result(0.01)
        held.set()
        assert request.result(20).finished
        assert request.done
        assert request.seconds > 0


class BrokenError(Exception):
    """Not one of ours."""


class BrokenRun(Run):
    def tell(
        self,
        branch: int,
        distribution: Distribution,
        attention: NDArray[np.float32] | None,
        near: NDArray[np.float32] | None = None,
    ) -> None:
        raise BrokenError


class BrokenDecoder(Greedy):
    def start(self, inputs: RunInputs) -> Run:
        return BrokenRun(self, inputs)


def raising(_request: Request) -> None:
    raise BrokenError


@pytest.mark.parametrize("where", ["tell", "on_step"])
def test_what_one_question_breaks_is_its_own_affair(where: str) -> None:
    with model_of() as model:
        scheduler = Scheduler(model)
        held = gate(model)
        good = submit(scheduler, model, MultiChain(leaves=3, max_tokens=DEPTH))
        if where == "tell":
            bad = submit(scheduler, model, BrokenDecoder())
        else:
            bad = submit(scheduler, model, MultiChain(leaves=3), on_step=raising)
        late = submit(scheduler, model, MultiChain(leaves=3, max_tokens=DEPTH))
        held.set()
        with pytest.raises(BrokenError):
            bad.result(20)
        assert good.result(20).finished
        assert late.result(20).finished
        settle(model)
        assert model.free_positions == model.info.context


class Failing(ScriptedModel):
    """Fails at a chosen decode."""

    fail_at = 3
    calls = 0
    error: BaseException = DecodeError("llama_decode failed")

    def decode(self, batch: Batch) -> Step:
        self.calls += 1
        if self.calls == self.fail_at:
            raise self.error
        return super().decode(batch)


@pytest.mark.fault("error code of llama_decode")
@pytest.mark.parametrize("error", [DecodeError("failed"), ValueError("script"), SystemExit(3)])
def test_a_failed_decode_reaches_everyone_who_waits_and_the_scheduler_goes_on(
    error: BaseException,
) -> None:
    with model_of(Failing) as model:
        assert isinstance(model, Failing)
        model.error = error
        scheduler = Scheduler(model)
        held = gate(model)
        chains = MultiChain(leaves=4, temperature=3, max_tokens=DEPTH)
        requests = [submit(scheduler, model, chains, text) for text in ("one", "two")]
        held.set()
        for request in requests:
            with pytest.raises(type(error) if isinstance(error, Exception) else DecodeError):
                request.result(20)
            assert request.done
        assert submit(scheduler, model, chains, "three").result(20).finished
        settle(model)
        assert model.free_positions == model.info.context


def test_closing_the_model_tells_everyone_who_waits() -> None:
    model = model_of()
    scheduler = Scheduler(model)
    begun, go_on = threading.Event(), threading.Event()

    def wait(_request: Request) -> None:
        begun.set()
        go_on.wait(10)

    chains = MultiChain(leaves=3, temperature=3, max_tokens=DEPTH)
    requests = [submit(scheduler, model, chains, on_step=wait) for _ in range(2)]
    assert begun.wait(10)
    closing = threading.Thread(target=model.close)
    closing.start()
    while not model._closed:
        pass
    go_on.set()
    for request in requests:
        with pytest.raises(ModelClosedError, match="load it again"):
            request.result(60)
    closing.join(10)
    model.close()
    with pytest.raises(ModelClosedError):
        submit(scheduler, model, chains)
    assert scheduler._arriving == [], "a refused question is not kept"


class StrictRelease(ScriptedModel):
    """Refuses to release after closing, as llama.cpp's model does."""

    def release(self, sequence: int) -> None:
        self._require_open()
        super().release(sequence)


@pytest.mark.fault("closed during work")
def test_a_model_closed_in_the_last_step_leaves_nobody_waiting() -> None:
    model = model_of(StrictRelease)
    scheduler = Scheduler(model)

    def close(request: Request) -> None:
        if request.run.finished:
            model._closed = True

    first = submit(scheduler, model, Greedy(max_tokens=1), on_step=close)
    assert first.result(60).finished
    model.close()


def test_a_scheduler_whose_model_is_gone_says_so() -> None:
    model = model_of()
    scheduler = Scheduler(model)
    prompt = model.plain_tokens("q")
    model.close()
    del model
    with pytest.raises(ModelClosedError, match="load it again"):
        scheduler.submit(prompt, Greedy(), RunInputs(prompt_length=2, stop_tokens={END}))


class Idle(Run):
    """Never wants a token and never ends."""

    def runnable(self) -> list[int]:
        return []


class IdleDecoder(Greedy):
    def start(self, inputs: RunInputs) -> Run:
        return Idle(self, inputs)


def test_a_question_that_cannot_go_on_is_an_error_and_no_endless_loop() -> None:
    with model_of() as model, pytest.raises(ContextError):
        submit(Scheduler(model), model, IdleDecoder()).result(60)


class Configuring(ScriptedModel):
    """Keeps what it was asked for, and has no memory for paths longer than `most`."""

    most = 1000

    def configure(self, longest: int, *, attention: bool = False) -> Capacity:
        self.__dict__.setdefault("asked", []).append(longest)
        self.__dict__.setdefault("asked_attention", []).append(attention)
        if longest > self.most or (attention and self.most < 1000):
            raise ContextError("no memory")
        return super().configure(longest, attention=attention)


def _joining(model: ScriptedModel, text: str, tokens: int) -> tuple[Request, Request]:
    """A question of 10 positions, and one that joins it while it is being decoded."""
    scheduler = Scheduler(model)
    joined: list[Request] = []

    def join(request: Request) -> None:
        if request.steps == 2:
            joined.append(submit(scheduler, model, Greedy(max_tokens=tokens), text))

    chains = MultiChain(leaves=3, temperature=2, max_tokens=4)
    first = submit(scheduler, model, chains, "abcde", on_step=join)
    first.result(20)
    return first, joined[0]


def test_the_cache_is_configured_for_the_longest_path() -> None:
    with model_of(Configuring) as model:
        assert isinstance(model, Configuring)
        first, long = _joining(model, "x" * 20, 5)
        assert long.result(20).finished
        assert first.recomputed > 0, "the one in work lost its place and nothing else"
        assert {len(branch.tokens) for branch in first.run.tree.branches} == {4}
        assert model.asked == [10, 26]  # type: ignore[attr-defined]
        submit(Scheduler(model), model, Greedy(max_tokens=2), "q").result(20)
        assert model.asked[-1] == 4  # type: ignore[attr-defined]


def test_a_shorter_question_joins_without_ado() -> None:
    with model_of(Configuring) as model:
        assert isinstance(model, Configuring)
        first, short = _joining(model, "q", 2)
        assert short.result(20).finished
        assert first.recomputed == 0
        assert model.asked == [10]  # type: ignore[attr-defined]


@pytest.mark.fault("no room for key-values")
def test_a_question_without_memory_fails_alone() -> None:
    with model_of(Configuring) as model:
        assert isinstance(model, Configuring)
        model.most = 10
        first, long = _joining(model, "x" * 20, 5)
        with pytest.raises(ContextError, match="no memory"):
            long.result(20)
        assert {len(branch.tokens) for branch in first.run.tree.branches} == {4}
        alone = submit(Scheduler(model), model, Greedy(max_tokens=5), "x" * 20)
        with pytest.raises(ContextError, match="no memory"):
            alone.result(20)
        assert submit(Scheduler(model), model, Greedy(max_tokens=2), "q").result(20).finished


def _joined_by_one_that_asks(model: ScriptedModel) -> tuple[Request, Request]:
    """A question, and one that asks for attention and joins it while it is being decoded."""
    scheduler = Scheduler(model)
    joined: list[Request] = []

    def join(request: Request) -> None:
        if request.steps == 2:
            joined.append(submit(scheduler, model, Greedy(max_tokens=2), "q", attention=True))

    chains = MultiChain(leaves=3, temperature=2, max_tokens=4)
    first = submit(scheduler, model, chains, "abcde", on_step=join)
    first.result(20)
    return first, joined[0]


def test_attention_is_read_from_when_it_is_asked_for_and_told_to_those_who_asked() -> None:
    with model_of(Configuring, attention=attention_script) as model:
        assert isinstance(model, Configuring)
        first, asking = _joined_by_one_that_asks(model)
        book = asking.result(20).tree.attention
        assert book is not None
        assert book.of(0).prompt
        assert first.run.tree.attention is None
        assert first.recomputed > 0
        assert model.asked == [10, 10]  # type: ignore[attr-defined]
        submit(Scheduler(model), model, Greedy(max_tokens=2), "q").result(20)
        assert model.asked_attention == [False, True, False]  # type: ignore[attr-defined]


def test_a_model_without_attention_is_not_asked_for_it() -> None:
    with model_of(Configuring) as model:
        assert isinstance(model, Configuring)
        first, asking = _joined_by_one_that_asks(model)
        book = asking.result(20).tree.attention
        assert book is not None
        assert not book.of(0).prompt
        assert first.recomputed == 0
        assert model.asked_attention == [False]  # type: ignore[attr-defined]


@pytest.mark.fault("no room for key-values")
def test_attention_without_memory_fails_alone() -> None:
    with model_of(Configuring, attention=attention_script) as model:
        assert isinstance(model, Configuring)
        model.most = 10
        first, asking = _joined_by_one_that_asks(model)
        with pytest.raises(ContextError, match="no memory"):
            asking.result(20)
        assert {len(branch.tokens) for branch in first.run.tree.branches} == {4}


@pytest.mark.parametrize("path", [64, 12])
def test_continuations_that_do_not_fit_are_refused_alone(path: int) -> None:
    with model_of(context=64, longest_path=path) as model:
        scheduler = Scheduler(model)
        given = (5,) * 80
        for decoder in (
            Continued(continuations=((1,), given), leaves=2, max_tokens=3),
            Probe(continuations=(given,), words=((1,),)),
        ):
            with pytest.raises(QuestionError, match="80 tokens after a prompt of 2"):
                submit(scheduler, model, decoder, "q")
        fits = Continued(continuations=((1,), (5,) * 6), leaves=2, max_tokens=30)
        assert submit(scheduler, model, fits, "q").result(20).finished


def test_a_batch_near_a_deadline_is_as_long_as_the_first_step_told() -> None:
    class Slow(ScriptedModel):
        sizes: list[int]

        def decode(self, batch: Batch) -> Step:
            self.sizes.append(len(batch.tokens))
            time.sleep(0.001 * len(batch.tokens))
            return super().decode(batch)

    with model_of(Slow, context=4096, max_batch=2048) as model:
        assert isinstance(model, Slow)
        model.sizes, scheduler = [], scheduler_of(model)
        submit(scheduler, model, Greedy(max_tokens=1), "a" * 20).result()
        model.sizes.clear()
        prompt = model.plain_tokens("b" * 1500)
        inputs = RunInputs(prompt_length=1500, stop_tokens=model.info.stop_tokens)
        request = scheduler.prepare(prompt, Greedy(max_tokens=1), inputs)
        request.deadline = time.perf_counter() + 0.6
        scheduler.queue(request)
        request.result()
    assert 0 < model.sizes[0] <= 300
