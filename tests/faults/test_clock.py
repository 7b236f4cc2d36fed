"""A clock that jumps: limits of time hold, and what is kept stays in its order."""

import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from et_agent import AskResult, MultiChain, ScriptedModel
from et_agent.cli import chat_files
from et_agent.gate import Decision, DecisionLog, Gate, GatePolicy
from et_agent.gate import log as log_module
from tests.faults.conftest import QUESTION, TEXTS
from tests.runnables.conftest import endless

pytestmark = pytest.mark.fault("clock that jumps")
DAY = 86_400.0


def jumping(step: float) -> Callable[[], float]:
    """A clock that moves by so many seconds each time that it is looked at."""
    ticks = itertools.count(1)
    return lambda: 1.8e9 + step * next(ticks)


@pytest.mark.parametrize("step", [-DAY, DAY, -1e9, 0.0], ids=["back", "on", "to 1995", "still"])
def test_limits_hold_whatever_the_clock_says(step: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", jumping(step))
    chains = MultiChain(leaves=1, max_tokens=8000)
    gate = Gate(GatePolicy(answer_at=0, max_seconds=0.3, uncalibrated="share"))
    with endless() as slow, ScriptedModel.from_texts(TEXTS) as quick:
        began = time.perf_counter()
        stopped = gate.ask(slow, QUESTION, decoder=chains)
        assert 0.2 < time.perf_counter() - began < 3
        assert stopped.action == "abstain", "a tree that was stopped answers nothing"
        assert gate.ask(quick, QUESTION, decoder=MultiChain(leaves=4)).action == "answer"


@pytest.mark.parametrize("step", [-DAY, DAY, 0.0])
def test_a_log_keeps_the_order_in_which_things_happened(
    step: float,
    tmp_path: Path,
    decision: Decision,
    result: AskResult,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, ticks = datetime(2026, 1, 1, tzinfo=UTC), itertools.count()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return start + timedelta(seconds=step * next(ticks))

    monkeypatch.setattr(log_module, "datetime", Clock)
    with DecisionLog(tmp_path / "log.sqlite") as log:
        for number in range(6):
            changes = {"trace_id": str(number), "confidence": number / 10}
            log.record(decision.model_copy(update=changes), result)
            log.label(str(number), True)
        assert [one.trace_id for one in log.entries(10)] == list("543210")
        assert [one for one, _ in log.confidences()] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
        assert [one.trace_id for one in log.labels()] == list("012345")


def test_conversations_that_begin_at_the_same_second_have_names_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(2026, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(chat_files, "datetime", Stopped)
    made = []
    for _ in range(3):
        made.append(chat_files.new_chat("m", None, "?"))
        made[-1].save()
    assert len({one.name for one in made}) == 3
