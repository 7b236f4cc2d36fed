"""Waits that would never end are errors, and what a callback raises ends its own question alone."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from et_agent import MultiChain, ScriptedModel, ask, score, submit
from et_agent.asking.pending import PendingAnswer, Progress
from et_agent.errors import DecodeError, EtAgentError, InputError, ModelClosedError
from et_agent.made_once import MadeOnce
from et_agent.runnables.loading import shared_model

CHAINS = MultiChain(leaves=4, temperature=1)
QUESTION = "How many legs has a cat?"


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel.from_texts({"So \\boxed{4}": 0.6, "So \\boxed{5}": 0.4}) as made:
        yield made


def in_child(work: Callable[[], object]) -> str:
    """What work in a forked child ends with, within seconds: nothing, or an error."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = f"done {work()}"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    timer = threading.Timer(20, os.kill, (child, 9))
    timer.start()
    with os.fdopen(read, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    timer.cancel()
    return said or "it hung"


@pytest.mark.fault("fork")
@pytest.mark.posix
@pytest.mark.parametrize(
    "use",
    [
        lambda model: ask(model, QUESTION, decoder=CHAINS),
        lambda model: ask(model, [QUESTION, QUESTION], decoder=CHAINS),
        lambda model: submit(model, QUESTION, decoder=CHAINS),
        lambda model: score(model, QUESTION, "4"),
        lambda model: model.submit(lambda: None),
    ],
    ids=["ask", "several", "submit", "score", "work"],
)
def test_a_model_of_the_parent_is_refused_in_a_child(
    model: ScriptedModel, use: Callable[[ScriptedModel], object]
) -> None:
    ask(model, QUESTION, decoder=CHAINS)
    assert in_child(lambda: use(model)).startswith("ModelClosedError: ")
    assert ask(model, QUESTION, decoder=CHAINS).complete


@pytest.mark.fault("fork")
@pytest.mark.posix
def test_a_model_of_the_parent_can_be_closed_in_a_child(model: ScriptedModel) -> None:
    assert in_child(model.close) == "done None"
    assert ask(model, QUESTION, decoder=CHAINS).complete


@pytest.mark.fault("fork")
@pytest.mark.posix
def test_a_child_makes_a_model_of_its_own(model: ScriptedModel) -> None:
    def own() -> object:
        with ScriptedModel.from_texts({"So \\boxed{7}": 1.0}) as made:
            return ask(made, QUESTION, decoder=CHAINS).answer

    ask(model, QUESTION, decoder=CHAINS)
    assert in_child(own) == "done 7"


@pytest.mark.fault("fork")
@pytest.mark.posix
def test_a_question_of_the_parent_is_not_waited_for_in_a_child(model: ScriptedModel) -> None:
    held = threading.Event()
    model.submit(lambda: held.wait(20))
    pending = submit(model, QUESTION, decoder=CHAINS)
    assert in_child(pending.result).startswith("ModelClosedError: this question was asked before")
    held.set()
    assert pending.result(20).complete


@pytest.mark.fault("fork")
@pytest.mark.posix
def test_a_lock_that_was_held_during_a_fork_is_another_in_the_child() -> None:
    began, go_on = threading.Event(), threading.Event()

    class Owner:
        pass

    def make(_: Owner) -> int:
        began.set()
        go_on.wait(20)
        return 1

    table, owner, other = MadeOnce(make), Owner(), Owner()
    thread = threading.Thread(target=table.of, args=(owner,))
    thread.start()
    began.wait(20)

    def make_another() -> int:
        go_on.set()
        return table.of(other)

    assert in_child(make_another) == "done 1"
    go_on.set()
    thread.join(20)


@pytest.mark.fault("fork")
@pytest.mark.posix
def test_a_named_model_is_loaded_anew_in_a_child(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("et_agent.engines.opening.open_model", lambda *_, **__: object())
    shared = shared_model("named", {})
    first = shared.get()
    assert shared.get() is first
    assert in_child(lambda: shared.get() is first) == "done False"


@pytest.mark.fault("re-entrancy")
@pytest.mark.parametrize(
    "wait",
    [
        lambda model, _: ask(model, QUESTION, decoder=CHAINS),
        lambda model, _: ask(model, [QUESTION, QUESTION], decoder=CHAINS),
        lambda model, _: submit(model, QUESTION, decoder=CHAINS).result(),
        lambda model, _: score(model, QUESTION, "4"),
        lambda _, pending: pending.result(),
        lambda _, pending: pending.reading(),
    ],
    ids=["ask", "several", "submit", "score", "itself", "its reading"],
)
def test_a_callback_that_waits_for_its_own_thread_fails(
    model: ScriptedModel, wait: Callable[[ScriptedModel, PendingAnswer], object]
) -> None:
    pending: list[PendingAnswer] = []
    held = threading.Event()
    model.submit(lambda: held.wait(20))

    def waits(_: Progress) -> None:
        wait(model, pending[0])

    pending.append(submit(model, QUESTION, decoder=CHAINS, on_progress=waits))
    held.set()
    with pytest.raises(InputError, match="use submit there"):
        pending[0].result(20)
    assert ask(model, QUESTION, decoder=CHAINS).complete


def test_a_callback_may_submit(model: ScriptedModel) -> None:
    others: list[PendingAnswer] = []

    def submits(_: Progress) -> None:
        if not others:
            others.append(submit(model, QUESTION, decoder=CHAINS))

    submit(model, QUESTION, decoder=CHAINS, on_progress=submits).result(20)
    assert others[0].result(20).complete


@pytest.mark.fault("closed during work")
def test_a_callback_may_close_the_model() -> None:
    model = ScriptedModel.from_texts({"So \\boxed{4}": 1.0})
    pending = submit(model, QUESTION, decoder=CHAINS, on_progress=lambda _: model.close())
    with pytest.raises(ModelClosedError):
        pending.result(20)


class OwnError(BaseException):
    pass


@pytest.mark.fault("callback raises")
@pytest.mark.parametrize(
    "raised",
    [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), OwnError()],
)
def test_what_a_callback_raises_ends_its_own_question_alone(
    model: ScriptedModel, raised: BaseException
) -> None:
    def fails(_: Progress) -> None:
        raise raised

    held = threading.Event()
    model.submit(lambda: held.wait(20))
    failing = submit(model, QUESTION, decoder=CHAINS, on_progress=fails)
    innocent = submit(model, QUESTION, decoder=CHAINS)
    held.set()
    with pytest.raises(DecodeError, match=type(raised).__name__) as told:
        failing.result(20)
    assert told.value.__cause__ is raised
    assert isinstance(told.value, EtAgentError)
    assert innocent.result(20).complete


@pytest.mark.fault("callback raises")
@pytest.mark.parametrize("raised", [ValueError("x"), SystemExit(3), asyncio.CancelledError()])
def test_what_is_raised_at_the_end_of_a_question_stops_nobody(
    model: ScriptedModel, raised: BaseException
) -> None:
    def fails(_: PendingAnswer) -> None:
        raise raised

    held = threading.Event()
    model.submit(lambda: held.wait(20))
    failing = submit(model, QUESTION, decoder=CHAINS)
    innocent = submit(model, QUESTION, decoder=CHAINS)
    failing.add_done_callback(fails)
    held.set()
    assert innocent.result(20).complete
    assert failing.result(20).complete


@pytest.mark.fault("fork")
@pytest.mark.posix
def test_the_thread_of_a_server_is_not_waited_for_in_a_child(tmp_path: Path) -> None:
    from et_agent.engines.openai_connection import LoopThread

    async def work() -> int:
        return 1

    thread = LoopThread()
    assert thread.call(work()).result(20) == 1
    assert in_child(lambda: thread.call(work()).result()).startswith("ModelClosedError: ")
    assert in_child(thread.stop) == "done None"
    thread.stop()
