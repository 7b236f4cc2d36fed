"""Many threads, tasks and models at once; cancellations, a busy model, and close during work."""

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from et_agent import EntropyTree, EntropyTreeRunnable, MultiChain, ScriptedModel, ask, submit
from et_agent.asking.pending import PendingAnswer, Progress
from et_agent.decoding.scheduler import scheduler_of
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.errors import BusyError, DecodeError, EtAgentError, ModelClosedError, SettingsError
from et_agent.gate import Gate, GatePolicy, ModelTarget
from tests.faults.conftest import CHAINS, QUESTION, TEXTS
from tests.runnables.conftest import endless

MANY = 64
TREE = EntropyTree(leaves=3, tau=0.1, temperature=1)


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel.from_texts(TEXTS) as made:
        yield made


def left_nothing(model: ScriptedModel) -> bool:
    scheduler = scheduler_of(model)
    end = time.monotonic() + 10
    while scheduler.pending and time.monotonic() < end:
        time.sleep(0.01)
    free = model.submit(lambda: model.free_positions).result(60)
    return (scheduler.pending, scheduler.paths_in_cache, free) == (0, 0, model.info.context)


@pytest.mark.fault("64 threads")
def test_64_threads_get_what_one_would(model: ScriptedModel) -> None:
    def distribution(seed: int) -> str:
        return str(ask(model, QUESTION, decoder=TREE, seed=seed, kind="number").distribution)

    alone = [distribution(seed) for seed in range(4)]
    with ThreadPoolExecutor(MANY) as pool:
        found = list(pool.map(distribution, [seed % 4 for seed in range(MANY)]))
    assert found == alone * (MANY // 4)
    assert left_nothing(model)


@pytest.mark.fault("64 tasks")
async def test_64_tasks_some_of_them_cancelled(model: ScriptedModel) -> None:
    runnable = EntropyTreeRunnable(model=model, decoder=CHAINS)
    draw = random.Random(0)

    async def one(number: int) -> str:
        asking = asyncio.ensure_future(runnable.ainvoke(QUESTION))
        if number % 3 == 0:
            await asyncio.sleep(draw.uniform(0, 0.05))
            asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            return (await asking).answer or ""
        return "cancelled"

    said = Counter(await asyncio.gather(*(one(number) for number in range(MANY))))
    assert said["4"] + said["5"] >= MANY * 2 // 3
    assert set(said) <= {"4", "5", "cancelled"}
    assert left_nothing(model)


@pytest.mark.fault("cancelled at random moments")
def test_cancellations_at_random_moments_leave_nothing(model: ScriptedModel) -> None:
    draw = random.Random(1)
    pending = [submit(model, QUESTION, decoder=TREE, seed=seed) for seed in range(MANY)]
    stopped = set(draw.sample(range(MANY), MANY // 2))

    def cancel(number: int, seconds: float) -> None:
        time.sleep(seconds)
        pending[number].cancel()

    with ThreadPoolExecutor(MANY) as pool:
        for number in stopped:
            pool.submit(cancel, number, draw.uniform(0, 0.1))
    for number, one in enumerate(pending):
        result = one.result(20)
        assert result.complete or number in stopped
        assert sum(share.share for share in result.distribution) == pytest.approx(1)
    assert left_nothing(model)


@pytest.mark.fault("closed during work")
def test_a_model_that_is_closed_during_work_leaves_nobody_waiting() -> None:
    draw = random.Random(2)
    for _ in range(4):
        model = endless()
        chains = MultiChain(leaves=2, max_tokens=2000)
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(ask, model, QUESTION, decoder=chains) for _ in range(8)]
            time.sleep(draw.uniform(0, 0.03))
            model.close()
            for one in asked:
                with pytest.raises(ModelClosedError):
                    one.result(20)
        with pytest.raises(ModelClosedError):
            ask(model, QUESTION, decoder=chains)


@pytest.mark.model
@pytest.mark.fault("closed during work")
def test_a_real_model_that_is_closed_during_work(small_model_path: str) -> None:
    model = LlamaCppModel(small_model_path, context=512, threads=1)  # type: ignore[arg-type]
    chains = MultiChain(leaves=4, max_tokens=200)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, model, f"{one}?", decoder=chains) for one in range(4)]
        time.sleep(0.3)
        model.close()
        for one in asked:
            with pytest.raises(EtAgentError):
                one.result(30)


@pytest.mark.fault("two models in a process")
def test_two_models_decode_at_once_and_ask_each_other(model: ScriptedModel) -> None:
    with ScriptedModel.from_texts({"\\boxed{7}": 1.0}) as larger:
        target = ModelTarget(larger, decoder=CHAINS)
        policy = GatePolicy(answer_at=0.95, least_calibration="own", uncalibrated="share")
        gate = Gate(policy, escalate=target)

        def decide(number: int) -> str:
            asked, chains = (model, larger)[number % 2], MultiChain(leaves=5, temperature=1)
            return (
                gate.ask(asked, QUESTION, decoder=chains, seed=number, kind="number").answer or ""
            )

        with ThreadPoolExecutor(16) as pool:
            said = list(pool.map(decide, range(16)))
        assert set(said[1::2]) == {"7"}
        assert set(said[::2]) <= {"4", "5", "7"}
        assert "7" in said[::2], "doubtful ones were escalated"
        assert left_nothing(larger)
    assert left_nothing(model)


@pytest.mark.fault("busy")
def test_a_busy_model_refuses_by_name_and_takes_the_next_when_it_has_room() -> None:
    with ScriptedModel.from_texts(TEXTS, max_pending=3) as model:
        held = threading.Event()
        model.submit(lambda: held.wait(20))
        pending = [submit(model, QUESTION, decoder=CHAINS) for _ in range(3)]
        for refused in (
            lambda: submit(model, QUESTION, decoder=CHAINS),
            lambda: ask(model, QUESTION, decoder=CHAINS),
            lambda: Gate(GatePolicy(answer_at=0)).ask(model, QUESTION, decoder=CHAINS),
            lambda: EntropyTreeRunnable(model=model, decoder=CHAINS).invoke(QUESTION),
        ):
            with pytest.raises(BusyError, match=r"3 questions waiting .* 3 may"):
                refused()
        held.set()
        assert all(one.result(20).complete for one in pending)
        assert left_nothing(model)
        with pytest.raises(BusyError, match="4 more"):
            ask(model, [QUESTION] * 4, decoder=CHAINS)
        assert ask(model, QUESTION, decoder=CHAINS).complete


@pytest.mark.fault("busy")
def test_a_flood_is_answered_or_refused(model: ScriptedModel) -> None:
    def one(number: int) -> str:
        try:
            return ask(bounded, QUESTION, decoder=CHAINS, seed=number).answer or ""
        except BusyError:
            return "busy"

    with ScriptedModel.from_texts(TEXTS, max_pending=4) as bounded:
        with ThreadPoolExecutor(MANY) as pool:
            said = Counter(pool.map(one, range(2 * MANY)))
        assert set(said) <= {"4", "5", "busy"}
        assert said["4"] + said["5"] >= 4
        assert left_nothing(bounded)
    with pytest.raises(SettingsError, match="max_pending is 0"):
        ScriptedModel.from_texts(TEXTS, max_pending=0)


@pytest.mark.fault("busy")
def test_what_a_question_asks_next_is_not_refused() -> None:
    """The check of an answer against passages comes from the model's thread."""
    with ScriptedModel.from_texts({"So \\boxed{4}": 1.0}, max_pending=2) as model:
        found = ask(model, QUESTION, decoder=CHAINS, context=["A cat has 4 legs."])
        assert found.answer == "4"


@pytest.mark.fault("time in the queue")
def test_a_decision_that_waits_behind_others_ends_in_time() -> None:
    gate = Gate(GatePolicy(answer_at=0.5, max_seconds=0.3))
    with endless() as model:
        # As many chains as the model has rows: nobody else has a place.
        busy = submit(model, QUESTION, decoder=MultiChain(leaves=64, max_tokens=100_000))
        time.sleep(0.1)
        began = time.perf_counter()
        decision = gate.ask(model, QUESTION, decoder=CHAINS)
        assert time.perf_counter() - began < 2
        assert decision.action == "abstain"
        assert decision.cost.seconds >= 0.29, "the time in the queue counts"
        busy.cancel()


@pytest.mark.fault("time in the queue")
def test_no_time_is_left_for_an_escalation_after_a_long_wait() -> None:
    asked: list[str] = []

    def target(question: str) -> str:
        asked.append(question)
        return "4"

    gate = Gate(GatePolicy(answer_at=0.5, max_seconds=0.3), escalate=target)
    with endless() as model:
        busy = submit(model, QUESTION, decoder=MultiChain(leaves=64, max_tokens=100_000))
        time.sleep(0.1)
        assert gate.ask(model, QUESTION, decoder=CHAINS).action == "abstain"
        busy.cancel()
    assert not asked


@pytest.mark.fault("re-entrancy")
def test_a_gate_that_is_asked_within_its_own_callbacks(model: ScriptedModel) -> None:
    """In the model's thread that is an error; the caller's own thread may ask again."""
    gate = Gate(GatePolicy(answer_at=0, uncalibrated="share"))
    inner: list[object] = []

    def asks(_: object) -> None:
        inner.append(gate.ask(model, QUESTION, decoder=CHAINS).action)

    assert gate.ask(model, QUESTION, decoder=CHAINS, on_result=asks).action == "answer"
    assert inner == ["answer"]

    def waits(_: Progress) -> None:
        gate.ask(model, QUESTION, decoder=CHAINS)

    with pytest.raises(EtAgentError, match="use submit there"):
        gate.ask(model, QUESTION, decoder=CHAINS, on_progress=waits)


class OwnError(BaseException):
    pass


@pytest.mark.fault("callback raises")
@pytest.mark.parametrize("raised", [SystemExit(1), GeneratorExit(), OwnError(), MemoryError()])
def test_an_async_stream_whose_listener_raises(model: ScriptedModel, raised: BaseException) -> None:
    def fails(_: PendingAnswer) -> None:
        raise raised

    pending = submit(model, QUESTION, decoder=CHAINS, on_progress=lambda _: fails(pending))
    with pytest.raises((DecodeError, MemoryError)):
        pending.result(20)
    assert left_nothing(model)
