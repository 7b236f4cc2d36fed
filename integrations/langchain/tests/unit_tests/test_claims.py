"""Two replies about one request: what runs, how often, and what the second one is told."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_et_agent import ConfidenceGateMiddleware
from langchain_et_agent.claims import ProcessClaims, claimed
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from et_agent.errors import AlreadyDecidedError, StoreError
from et_agent.gate import DecisionLog, Review

from .agent_fakes import Call, FakeChat, calls, says, tools_into
from .agents import ASK, HOW, POLICY, THREAD, agent_of, decisions_of, run

PAY: Call = ("pay", {"amount": 5})
APPROVE: Any = Command(resume={"decisions": [{"type": "approve"}]})
REJECT: Any = Command(resume={"decisions": [{"type": "reject"}]})
WORDS: Any = Command(resume="Pay nothing.")


class Together(InMemorySaver):
    """Lets nobody go on from a checkpoint before as many have read it as are expected."""

    def __init__(self) -> None:
        super().__init__()
        self.barrier: threading.Barrier | None = None
        self._seen = threading.local()

    def expect(self, readers: int) -> None:
        self.barrier = threading.Barrier(readers)

    def get_tuple(self, config: Any) -> Any:
        found = super().get_tuple(config)
        if self.barrier is not None and not getattr(self._seen, "yes", False):
            self._seen.yes = True
            self.barrier.wait(10)
        return found


def agents_of(
    done: list[str], saver: Any, logs: list[DecisionLog | None], unsure: Any = "approve"
) -> list[Any]:
    """One agent per log, with gates of their own and a common checkpointer."""
    doubtful = calls(0.9, PAY, others=[("pay", {"amount": 50})])
    return [
        agent_of(
            # Only the first is asked for a call.
            FakeChat(replies=[*[doubtful][number:], says("Paid.", 0.9), says("Welcome.", 0.9)]),
            ConfidenceGateMiddleware(POLICY, unsure_tool_calls=unsure, log=log),
            tools=tools_into(done),
            checkpointer=saver,
        )
        for number, log in enumerate(logs)
    ]


def outcome(agent: Any, reply: Any) -> Any:
    try:
        return agent.invoke(reply, THREAD)
    except AlreadyDecidedError as error:
        return error


def at_once(saver: Together, *replies: tuple[Any, Any]) -> list[Any]:
    """What becomes of replies that start from the same checkpoint."""
    saver.expect(len(replies))
    with ThreadPoolExecutor(len(replies)) as threads:
        found = list(threads.map(outcome, *zip(*replies, strict=True)))
    saver.barrier = None
    return found


@pytest.mark.parametrize("second", [APPROVE, REJECT, WORDS])
@pytest.mark.parametrize("logged", [False, True], ids=["without log", "with log"])
def test_of_replies_at_the_same_time_one_decides(second: Any, logged: bool, tmp_path: Path) -> None:
    done: list[str] = []
    saver = Together()
    log = DecisionLog(tmp_path / "log.sqlite") if logged else None
    agent, other = agents_of(done, saver, [log, log])
    waiting = agent.invoke(ASK, THREAD)["__interrupt__"][0].value["trace_id"]
    found = at_once(saver, (agent, APPROVE), (other, second))
    (refused,) = (one for one in found if isinstance(one, AlreadyDecidedError))
    assert waiting in str(refused)
    (state,) = (one for one in found if not isinstance(one, AlreadyDecidedError))
    first, *_ = decisions_of(state)
    (review,) = first.reviews
    ran = ["pay 5"] if review.review is Review.APPROVED else []
    assert done == ran
    kept = agent.get_state(THREAD).values
    assert [one.text for one in kept["messages"]] == [one.text for one in state["messages"]]
    if log is not None:
        report = log.report()
        assert (report.reviews, report.late_replies) == ({review.review: 1}, 1)
        log.close()


def test_one_of_many_replies_in_several_processes_decides(tmp_path: Path) -> None:
    """Each with a connection of its own to the file, as processes have."""
    done: list[str] = []
    saver = Together()
    logs: list[DecisionLog | None] = [DecisionLog(tmp_path / "log.sqlite") for _ in range(6)]
    agents = agents_of(done, saver, logs)
    agents[0].invoke(ASK, THREAD)
    found = at_once(saver, *((agent, APPROVE) for agent in agents))
    assert sum(isinstance(one, AlreadyDecidedError) for one in found) == 5
    assert done == ["pay 5"]
    for log in logs:
        assert log is not None
        assert log.report().late_replies == 5
        log.close()


def test_a_choice_is_made_once(tmp_path: Path) -> None:
    done: list[str] = []
    saver = Together()
    agent, other = agents_of(done, saver, [None, None], unsure="ask")
    agent.invoke(ASK, THREAD)
    found = at_once(saver, (agent, Command(resume="1")), (other, Command(resume="2")))
    assert sum(isinstance(one, AlreadyDecidedError) for one in found) == 1
    assert len(done) == 1


@HOW
async def test_an_old_checkpoint_does_not_run_a_call_again(how: str) -> None:
    done: list[str] = []
    (agent,) = agents_of(done, InMemorySaver(), [None])
    await run(agent, how, ASK, THREAD)
    before = agent.get_state(THREAD).config
    await run(agent, how, APPROVE, THREAD)
    with pytest.raises(AlreadyDecidedError, match="send a new message"):
        await run(agent, how, APPROVE, before)
    assert done == ["pay 5"]


@HOW
async def test_after_a_refused_reply_the_thread_goes_on(how: str) -> None:
    done: list[str] = []
    (agent,) = agents_of(done, InMemorySaver(), [None])
    await run(agent, how, ASK, THREAD)
    before = agent.get_state(THREAD).config
    await run(agent, how, APPROVE, THREAD)
    with pytest.raises(AlreadyDecidedError):
        await run(agent, how, REJECT, before)
    state = await run(agent, how, {"messages": [HumanMessage("Thanks.")]}, THREAD)
    assert [one.text for one in state["messages"]][-3:] == ["Paid.", "Thanks.", "Welcome."]
    assert done == ["pay 5"]


@HOW
async def test_a_review_that_cannot_be_logged_may_be_given_again(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    with DecisionLog(tmp_path / "log.sqlite") as log:
        (agent,) = agents_of(done, InMemorySaver(), [log])
        await run(agent, how, ASK, THREAD)

        def full(*_: Any) -> None:
            raise StoreError("the disk is full")

        with monkeypatch.context() as broken:
            broken.setattr(log, "record", full)
            with pytest.raises(StoreError, match="full"):
                await run(agent, how, APPROVE, THREAD)
        assert done == []
        await run(agent, how, APPROVE, THREAD)
        assert done == ["pay 5"]
        assert log.report().reviews == {Review.APPROVED: 1}


def test_a_claim_is_given_back_if_nothing_was_done() -> None:
    claims = ProcessClaims()
    with pytest.raises(ZeroDivisionError), claimed(claims, "a"):
        raise ZeroDivisionError
    with claimed(claims, "a"):
        pass
    with pytest.raises(AlreadyDecidedError, match="'a'"), claimed(claims, "a"):
        pytest.fail("it was claimed before")


def test_a_process_forgets_the_oldest_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_et_agent.claims._MOST", 2)
    claims = ProcessClaims()
    assert [claims.claim(one) for one in "abcb"] == [True, True, True, False]
    assert claims.claim("a")
