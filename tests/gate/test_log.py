import contextlib
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from et_agent.calibration import Example, learn
from et_agent.calibration.finding import known_instructions
from et_agent.errors import CalibrationError, StoreError
from et_agent.gate import Action, DecisionLog, Gate, GatePolicy, Review, ReviewedCall
from et_agent.gate.log_file import _APPLICATION, _MIGRATIONS
from tests.gate.conftest import QUESTION, Judged, resting_on

POLICY = GatePolicy(answer_at=0.8, topics={"payment": {"answer_at": 0.95}})


def test_decisions_are_logged_and_reported(tmp_path: Path, judged: Judged) -> None:
    with DecisionLog(tmp_path / "new" / "log.sqlite") as log:
        gate = Gate(POLICY, log=log)
        right, wrong = gate.resolve(judged(0.9)), gate.resolve(judged(0.85))
        kept = gate.resolve(judged(0.3))
        gate.resolve(judged(0.9), topic="payment")
        log.label(right.trace_id, True)
        log.label(wrong.trace_id, False)
        log.label(kept.trace_id, False)
        found = log.report()
        assert found.decisions == 4
        assert found.actions[Action.ANSWER] == 2
        assert found.actions[Action.ABSTAIN] == 2
        assert (found.labelled, found.answered_labelled, found.errors) == (3, 2, 1)
        assert found.tokens == 4 * right.cost.tokens
        assert found.drift is not None
        assert found.drift.questions == 3
        assert log.report("payment").decisions == 1
        with pytest.raises(StoreError, match="no decision 'nobody'"):
            log.label("nobody", True)


def test_a_request_is_claimed_once_for_all_who_share_the_file(
    tmp_path: Path, judged: Judged
) -> None:
    path = tmp_path / "log.sqlite"
    with DecisionLog(path) as log, DecisionLog(path) as other:
        trace = Gate(POLICY, log=log).resolve(judged(0.3)).trace_id
        assert [log.claim(trace), other.claim(trace), log.claim(trace)] == [True, False, False]
        assert other.claim("another")
        assert log.report().late_replies == 2
        other.release(trace)
        assert log.report().late_replies == 0
        assert log.claim(trace)


@pytest.mark.fault("two processes on one file")
def test_of_claims_at_the_same_time_one_succeeds(tmp_path: Path) -> None:
    path, together = tmp_path / "log.sqlite", threading.Barrier(4)

    def claims(traces: list[str]) -> list[bool]:
        with DecisionLog(path) as log:
            together.wait(10)
            return [log.claim(one) for one in traces]

    traces = [str(number) for number in range(25)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(claims, [traces] * 4))
    assert [sum(column) for column in zip(*found, strict=True)] == [1] * 25


@pytest.mark.parametrize("keep", [False, True])
def test_texts_are_kept_only_when_asked_for(tmp_path: Path, judged: Judged, keep: bool) -> None:
    path = tmp_path / "log.sqlite"
    with DecisionLog(path, keep_texts=keep) as log:
        Gate(POLICY, log=log).resolve(judged(0.9))
    assert (QUESTION.encode() in b"".join(p.read_bytes() for p in tmp_path.iterdir())) is keep


def test_a_dry_run_is_reported_by_what_would_have_been_done(tmp_path: Path, judged: Judged) -> None:
    with DecisionLog(tmp_path / "log.sqlite") as log:
        gate = Gate(GatePolicy(answer_at=0.8, observe=True), log=log)
        decision = gate.resolve(judged(0.3))
        log.label(decision.trace_id, False)
        found = log.report()
    assert found.actions[Action.ABSTAIN] == 1
    assert found.answered_labelled == 0


def test_labels_of_escalated_answers_say_nothing_of_the_gated_model(
    tmp_path: Path, judged: Judged
) -> None:
    with DecisionLog(tmp_path / "log.sqlite") as log:
        decision = Gate(POLICY, log=log, escalate=lambda question: "4").resolve(judged(0.3))
        log.label(decision.trace_id, False)
        found = log.report()
    assert (found.calls, found.labelled, found.answered_labelled) == (1, 1, 0)
    assert (found.escalated_labelled, found.escalated_errors) == (1, 1)
    with pytest.warns(DeprecationWarning, match="will be removed: use escalated_labelled"):
        assert found.passed_on_labelled == 1
    with pytest.warns(DeprecationWarning, match="will be removed: use escalated_errors"):
        assert found.passed_on_errors == 1
    assert found.drift is None


def test_what_confidences_rest_on_is_kept(tmp_path: Path, judged: Judged) -> None:
    path = tmp_path / "log.sqlite"
    general = resting_on("general", 0.4)
    with DecisionLog(path) as log:
        gate = Gate(POLICY, log=log)
        traces = [
            gate.resolve(one).trace_id
            for one in (judged(0.9), judged(0.9, calibration=general), judged(None))
        ]
        for trace in traces:
            log.label(trace, True)
        found = log.report()
    assert found.sources == {"own": 1, "general": 1}
    assert found.drift is not None
    assert found.drift.questions == 2, "both are probabilities; where there is none nothing drifts"
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT confidence, compared, source, labels FROM decisions")
        assert rows.fetchall() == [
            (0.9, 0.9, "own", 120),
            (0.9, 0.4, "general", 0),
            (None, None, None, None),
        ]
    connection.close()


def test_a_log_of_an_earlier_version_goes_on(tmp_path: Path, judged: Judged) -> None:
    path = tmp_path / "log.sqlite"
    connection = sqlite3.connect(path)
    _MIGRATIONS[0](connection)
    row = ("old", "2026-01-01", "answer", None, None, 0.9, 0.8, 0, 5, 1.0, 0, "It is.", "", "", 1)
    connection.execute(f"INSERT INTO decisions VALUES ({', '.join('?' * len(row))})", row)
    connection.execute(f"PRAGMA application_id={_APPLICATION}")
    connection.execute("PRAGMA user_version=1")
    connection.commit()
    connection.close()
    with DecisionLog(path) as log:
        Gate(POLICY, log=log).resolve(judged(0.9))
        found = log.report()
    assert (found.decisions, found.labelled, found.sources) == (2, 1, {"own": 1})
    assert found.drift is not None
    assert found.drift.questions == 1


def test_a_label_outlives_a_second_record(tmp_path: Path, judged: Judged) -> None:
    with DecisionLog(tmp_path / "log.sqlite") as log:
        decision = Gate(POLICY, log=log).resolve(judged(0.9))
        log.label(decision.trace_id, True)
        log.record(decision)
        assert log.report().labelled == 1


def test_a_label_is_true_or_false(tmp_path: Path, judged: Judged) -> None:
    with DecisionLog(tmp_path / "log.sqlite") as log:
        trace = Gate(POLICY, log=log).resolve(judged(0.9)).trace_id
        for label in ("False", 2, None, float("nan")):
            with pytest.raises(CalibrationError, match="labels are true for a right answer"):
                log.label(trace, label)  # type: ignore[arg-type]
        assert log.report().labelled == 0


def test_drift_shows_up_in_production_labels(tmp_path: Path, judged: Judged) -> None:
    with DecisionLog(tmp_path / "log.sqlite") as log:
        gate, result = Gate(POLICY, log=log), judged(0.95)
        for _ in range(40):
            log.label(gate.resolve(result).trace_id, False)
        drift = log.report().drift
    assert drift is not None
    assert drift.drifted
    assert drift.direction == "overconfident"


def test_decisions_are_listed_the_latest_first(tmp_path: Path, judged: Judged) -> None:
    with DecisionLog(tmp_path / "log.sqlite") as log:
        gate, traces = Gate(POLICY, log=log), []
        for confidence in (0.95, 0.5, None):
            traces.append(gate.resolve(judged(confidence)).trace_id)
        log.label(traces[0], True)
        log.label(traces[1], False)
        found = log.entries(10)
        assert [one.trace_id for one in found] == traces[::-1]
        assert [one.right for one in found] == [None, False, True]
        assert (found[2].confidence, found[2].source, found[0].confidence) == (0.95, "own", None)
        first = log.entries(2)
        rest = log.entries(2, before=first[-1].number)
        assert [*first, *rest] == found
        assert log.confidences() == [(0.95, True), (0.5, False)]


def test_threads_share_a_log(tmp_path: Path, judged: Judged) -> None:
    with DecisionLog(tmp_path / "log.sqlite") as log:
        gate, result = Gate(POLICY, log=log), judged(0.9)
        threads = [
            threading.Thread(target=lambda: [gate.resolve(result) for _ in range(20)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert log.report().decisions == 80


def test_labels_are_what_a_calibrator_learns_from(tmp_path: Path, judged: Judged) -> None:
    result = judged(0.9)
    with DecisionLog(tmp_path / "log.sqlite") as log:
        gate = Gate(POLICY, log=log)
        right, unlabelled = gate.resolve(result), gate.resolve(result)
        log.label(right.trace_id, True)
        log.record(right)
        escalating = Gate(POLICY, log=log, escalate=lambda question: "4")
        log.label(escalating.resolve(judged(0.3)).trace_id, True)
        empty = gate.resolve(judged(None, {"Who knows": 1.0}))
        log.label(empty.trace_id, False)
        one, without = log.labels()
        assert log.labels(right.trace_id) == [one]
        assert log.labels(unlabelled.trace_id) == []
    assert (one.trace_id, one.right) == (right.trace_id, True)
    assert (without.trace_id, without.example) == (empty.trace_id, None)
    assert one.example is not None
    assert one.example.features == result.features
    assert one.example.with_texts(known_instructions()) == Example.of(result)


@pytest.mark.parametrize("keep", [False, True])
def test_a_log_keeps_a_system_prompt_only_with_the_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged: Judged, keep: bool
) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path / "cache"))
    result = judged(0.9, instruction="Mind the secret.")
    with DecisionLog(tmp_path / "log.sqlite", keep_texts=keep) as log:
        trace = Gate(POLICY, log=log).resolve(result).trace_id
        log.label(trace, True)
        (one,) = log.labels()
    assert one.example is not None
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert (b"Mind the secret" in kept) is keep
    if not keep:
        with pytest.raises(
            CalibrationError, match="the system prompt of this decision is not known"
        ):
            learn(one.example, one.right)
        learn(judged(0.9, instruction="Mind the secret.", seed=7), True)
    assert learn(one.example, one.right).calibrator.labels == 1 + (not keep)


def test_a_log_of_before_has_no_features_and_gets_them(tmp_path: Path, judged: Judged) -> None:
    path = tmp_path / "log.sqlite"
    with DecisionLog(path) as log:
        before = Gate(POLICY, log=log).resolve(judged(0.9))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for column in ("example", "compared", "source", "labels", "reviews", "digest"):
            connection.execute(f"ALTER TABLE decisions DROP COLUMN {column}")
        connection.execute("DROP TABLE claims")
        connection.execute("PRAGMA user_version=1")
        connection.commit()
    with DecisionLog(path) as log:
        log.label(before.trace_id, False)
        (one,) = log.labels()
        assert one.example is None
        again = Gate(POLICY, log=log).resolve(judged(0.9))
        log.label(again.trace_id, True)
        assert [one.example is None for one in log.labels()] == [True, False]
        assert log.report().labelled == 2


@pytest.mark.fault("flipped bytes")
def test_a_damaged_decision_of_an_earlier_version_is_told(tmp_path: Path, judged: Judged) -> None:
    path = tmp_path / "log.sqlite"
    with DecisionLog(path) as log:
        log.label(Gate(POLICY, log=log).resolve(judged(0.9)).trace_id, True)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE decisions SET example='{}', digest=NULL")
            connection.commit()
        with pytest.raises(StoreError, match=r"log.sqlite is damaged: decision: "):
            log.labels()


def test_files_that_are_no_log(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(StoreError, match="another program"):
        DecisionLog(other)
    text = tmp_path / "text.sqlite"
    text.write_text("this is no database at all, but a text that is long enough" * 20)
    with pytest.raises(StoreError):
        DecisionLog(text)
    later = tmp_path / "later.sqlite"
    DecisionLog(later).close()
    with sqlite3.connect(later) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="later et-agent"):
        DecisionLog(later)


def test_what_a_person_decided_about_calls_is_kept_with_the_decision(
    tmp_path: Path, judged: Judged
) -> None:
    calls = [
        ReviewedCall(
            name="pay", review=Review.EDITED, proposed={"amount": 5}, run={"amount": 7654321}
        ),
        ReviewedCall(name="pay", review=Review.REJECTED, proposed={"amount": 6}, run=None),
    ]
    path = tmp_path / "log.sqlite"
    with DecisionLog(path) as log:
        result = judged(0.5)
        waiting = Gate(POLICY).decide(result).model_copy(update={"action": Action.ESCALATE})
        log.record(waiting, result)
        assert log.report().reviews == {}
        log.record(waiting.model_copy(update={"reviews": (*calls, calls[1])}))
        log.label(waiting.trace_id, False)
        found = log.report()
        (label,) = log.labels()
    assert (found.decisions, found.actions[Action.ESCALATE]) == (1, 1)
    assert found.reviews == {Review.EDITED: 1, Review.REJECTED: 2}
    assert label.example is not None, "what was judged can still be learnt from"
    kept = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert b"7654321" not in kept, "arguments are texts"


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("text", ["x\ud800y", "\udfff", "\ud83d and \0"])
def test_no_text_keeps_a_decision_out_of_the_log(
    tmp_path: Path, judged: Judged, text: str, keep: bool
) -> None:
    policy = GatePolicy(answer_at=0.8, topics={text: {"answer_at": 0.5}})
    result = judged(0.9)
    with DecisionLog(tmp_path / "log.sqlite", keep_texts=keep) as log:
        decision = Gate(policy, log=log).resolve(result, topic=text)
        log.label(decision.trace_id, True)
        assert log.report(text).decisions == 1
        assert log.labels(text) == []
        assert len(log.labels(decision.trace_id)) == 1
        assert log.claim(text)
        assert not log.claim(text)
