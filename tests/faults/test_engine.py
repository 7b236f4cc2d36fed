"""What llama.cpp may fail with: a typed error for those in work, never an answer; then it goes on."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from et_agent import MultiChain, ask, submit
from et_agent.decoding.scheduler import scheduler_of
from et_agent.engines.llama_cpp.binding import llama_cpp
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.errors import DecodeError
from et_agent.gate import Action, Gate, GatePolicy

pytestmark = pytest.mark.model
CODES = (1, 2, 3, -1, -2, -3, 100)
"""No place in the cache, aborted, a newer warning; wrong input, no memory, failures, anything else."""
CHAINS = MultiChain(leaves=2, max_tokens=4)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Codes that the next calls of llama_decode give, instead of decoding; 0 decodes."""
    codes: list[int] = []
    real = llama_cpp.llama_decode

    def decode(*arguments: Any) -> int:
        code = codes.pop(0) if codes else 0
        return code or int(real(*arguments))

    monkeypatch.setattr(llama_cpp, "llama_decode", decode)
    yield codes
    monkeypatch.undo()


@pytest.mark.fault("error code of llama_decode")
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("at", [0, 2])
def test_every_code_of_llama_decode_is_an_error_and_the_next_question_is_answered(
    small_model: LlamaCppModel, failing: list[int], code: int, at: int
) -> None:
    failing += [*[0] * at, code]
    with pytest.raises(DecodeError, match="llama_decode"):
        Gate(GatePolicy(answer_at=0, uncalibrated="share")).ask(small_model, "2+2?", decoder=CHAINS)
    assert not failing
    assert scheduler_of(small_model).pending == scheduler_of(small_model).paths_in_cache == 0
    assert ask(small_model, "2+2?", decoder=CHAINS).complete
    assert small_model.submit(lambda: small_model.free_positions).result() > 4000


@pytest.mark.fault("error code of llama_decode")
def test_a_failure_reaches_all_in_work_and_nobody_waits(
    small_model: LlamaCppModel, failing: list[int]
) -> None:
    held = threading.Event()
    small_model.submit(lambda: held.wait(20))
    pending = [submit(small_model, f"{one}+1?", decoder=CHAINS) for one in range(6)]
    failing += [0, 1]
    held.set()
    for one in pending:
        with pytest.raises(DecodeError):
            one.result(30)
    assert ask(small_model, "2+2?", decoder=CHAINS).complete


@pytest.mark.fault("engine raises")
@pytest.mark.parametrize("error", [MemoryError(), OSError("access violation"), SystemExit(1)])
def test_what_a_call_into_the_library_raises_is_told(
    small_model: LlamaCppModel, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: Any) -> int:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(llama_cpp, "llama_decode", fail)
        with pytest.raises((DecodeError, MemoryError, OSError)):
            ask(small_model, "2+2?", decoder=CHAINS)
    assert ask(small_model, "2+2?", decoder=CHAINS).complete


@pytest.mark.fault("error code of llama_decode")
def test_a_gate_escalates_what_was_not_decoded_to_nobody(
    small_model: LlamaCppModel, failing: list[int]
) -> None:
    """A tree that could not be decoded is no doubtful answer: whoever asks hears of it."""
    asked: list[str] = []

    def target(question: str) -> str:
        asked.append(question)
        return "4"

    gate = Gate(GatePolicy(answer_at=0.5), escalate=target)
    failing.append(-3)
    with pytest.raises(DecodeError):
        gate.ask(small_model, "2+2?", decoder=CHAINS)
    assert gate.escalations == 0
    assert not asked
    assert gate.ask(small_model, "2+2?", decoder=CHAINS).action in Action
