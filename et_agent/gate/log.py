"""A log of decisions, and a report on it once labels are available."""

import json
import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from pydantic import ValidationError

from et_agent.arguments import checks_arguments
from et_agent.calibration import DriftMonitor, Example
from et_agent.calibration.labels import checked_label
from et_agent.errors import StoreError
from et_agent.gate.decision import Action, Decision, Review
from et_agent.gate.log_file import SEAL, SOUND, open_log
from et_agent.renaming import warn_of_old_name
from et_agent.results import AskResult
from et_agent.storage import database_errors
from et_agent.validation import explained

__all__ = ["DecisionLog", "LogReport", "LoggedDecision", "LoggedLabel"]

_log: Final = logging.getLogger("et_agent.gate")


@dataclass(frozen=True, slots=True)
class LoggedLabel:
    """A label of an answer that the gated model gave.

    Attributes:
        trace_id: Trace id of the decision.
        right: Whether the answer was right.
        example: What `et_agent.calibration.learn` needs besides; None if the log has not got it, as for
            decisions of earlier versions.
    """

    trace_id: str
    right: bool
    example: Example | None


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """A decision as a log has it, without texts.

    Attributes:
        number: Where it stands in the log; later ones have larger numbers.
        trace_id: Its trace id.
        made: When, ISO 8601, UTC.
        action: What was done; in a dry run `answer`.
        would: In a dry run, what would have been done.
        topic: Topic whose policy was applied.
        confidence: P(correct); None for a share that stood in for it, and without any.
        threshold: Lowest value at which the answer is given.
        source: `CalibrationReport.source`; None without a confidence, and of earlier versions.
        escalated: Whether the answer came from the escalation target.
        reason: Why, in one sentence.
        tokens: Tokens that it cost.
        seconds: Time that it took.
        right: Its label; None without one.
    """

    number: int
    trace_id: str
    made: str
    action: Action
    would: Action | None
    topic: str | None
    confidence: float | None
    threshold: float
    source: str | None
    escalated: bool
    reason: str
    tokens: int
    seconds: float
    right: bool | None


@dataclass(frozen=True, slots=True)
class LogReport:
    """What a log says.

    Attributes:
        decisions: How many.
        actions: How many of each action; in a dry run, of what would have been done.
        labelled: Decisions whose answer was labelled.
        answered_labelled: Labelled ones that the gated model answered, or would have answered.
        errors: Wrong ones among them.
        escalated_labelled: Labelled answers of the escalation target.
        escalated_errors: Wrong ones among them.
        tokens: Tokens of all decisions.
        seconds: Time of all decisions.
        calls: Calls of escalation targets.
        drift: Drift over the labelled decisions with a confidence; None if there are none.
        sources: How many confidences came from each `CalibrationReport.source`. Those that an earlier
            et-agent stored are not counted.
        reviews: How many tool calls a person approved, edited, rejected or responded to.
        late_replies: Replies about tool calls that came when another one had decided; nothing ran
            because of them.
        damaged: Decisions that are not what was stored (`DecisionLog.damaged`); they are not counted.
    """

    decisions: int
    actions: Mapping[Action, int]
    labelled: int
    answered_labelled: int
    errors: int
    escalated_labelled: int
    escalated_errors: int
    tokens: int
    seconds: float
    calls: int
    drift: DriftMonitor | None
    sources: Mapping[str, int]
    reviews: Mapping[Review, int]
    late_replies: int = 0
    damaged: int = 0

    @property
    def passed_on_labelled(self) -> int:
        """The old name of `escalated_labelled`."""
        warn_of_old_name("LogReport.passed_on_labelled", "escalated_labelled")
        return self.escalated_labelled

    @property
    def passed_on_errors(self) -> int:
        """The old name of `escalated_errors`."""
        warn_of_old_name("LogReport.passed_on_errors", "escalated_errors")
        return self.escalated_errors


class DecisionLog:
    """Stores decisions in a SQLite file, one transaction per decision, from any thread.

    Args:
        path: The file. It is created with its folders if it does not exist.
        keep_texts: Whether questions, answers and system prompts are stored too. Reasons contain none
            of them but the names of doubtful fields. Without them there are numbers and digests only.

    Raises:
        StoreError: The file is not a decision log, is from a later version, or cannot be opened.
    """

    @checks_arguments(error=StoreError, any_text=True)
    def __init__(self, path: str | Path, *, keep_texts: bool = False) -> None:
        self.path = Path(path)
        self._keep_texts = keep_texts
        self._lock = threading.Lock()
        self._connection = open_log(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @checks_arguments(error=StoreError, any_text=True)
    def record(self, decision: Decision, result: AskResult | None = None) -> None:
        """Store a decision. A later one with the same trace id replaces it.

        Args:
            decision: The decision.
            result: The result that was judged, so that a calibrator can learn from a label later.

        Raises:
            StoreError: The decision cannot be written, for example because the disk is full.
        """
        question, answer = (
            (decision.question, decision.answer) if self._keep_texts else (None, None)
        )
        rests_on = decision.calibration
        stored: dict[str, Any] = {
            "trace": decision.trace_id,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "action": decision.action.value,
            "would": None if decision.would is None else decision.would.value,
            "topic": decision.topic,
            # Of a share that stands in, drift can tell nothing.
            "confidence": None if rests_on is None else decision.confidence,
            "threshold": decision.threshold,
            "escalated": int(decision.escalated),
            "tokens": decision.cost.tokens,
            "seconds": decision.cost.seconds,
            "calls": decision.cost.escalations,
            "reason": decision.reason,
            "question": question,
            "answer": answer,
            "compared": decision.compared,
            "source": None if rests_on is None else rests_on.source,
            "labels": None if rests_on is None else rests_on.labels,
            "reviews": json.dumps([one.review for one in decision.reviews]),
        }
        # A label that came before stays, and so does what can be learnt from it; not a damaged one.
        kept = "SELECT {} FROM sound WHERE trace=?"
        self._run(
            f"INSERT OR REPLACE INTO decisions ({', '.join(stored)}, correct, example) VALUES "
            f"({', '.join('?' * len(stored))}, ({kept.format('correct')}), "
            f"coalesce(?, ({kept.format('example')})))",
            *stored.values(),
            decision.trace_id,
            self._example(decision, result),
            decision.trace_id,
            seals=decision.trace_id,
        )

    def _example(self, decision: Decision, result: AskResult | None) -> str | None:
        # A label of an escalated answer says nothing of the gated model's tree.
        if result is None or decision.escalated or not result.features:
            return None
        example = Example.of(result)
        return (example if self._keep_texts else example.without_texts()).model_dump_json()

    @checks_arguments(error=StoreError, any_text=True)
    def claim(self, trace_id: str) -> bool:
        """Claim, for all who share the file, the tool calls that wait for a decision by a person.

        Args:
            trace_id: Trace id of the decision to ask.

        Returns:
            Whether this is the first claim. A later one is counted as a late reply.

        Raises:
            StoreError: It cannot be written.
        """
        made = datetime.now(UTC).isoformat(timespec="seconds")
        if self._run("INSERT OR IGNORE INTO claims (trace, made) VALUES (?, ?)", trace_id, made):
            return True
        self._run("UPDATE claims SET late = late + 1 WHERE trace=?", trace_id)
        return False

    @checks_arguments(error=StoreError, any_text=True)
    def release(self, trace_id: str) -> None:
        """Give a claim back, of calls about which nothing has been done; late replies are forgotten.

        Raises:
            StoreError: It cannot be written.
        """
        self._run("DELETE FROM claims WHERE trace=?", trace_id)

    def label(self, trace_id: str, correct: bool) -> None:
        """Record whether the answer that was judged was right.

        Raises:
            CalibrationError: `correct` is no label: neither true or 1 nor false or 0.
            StoreError: There is no such decision, or it cannot be written.
        """
        label = int(checked_label(correct))
        if not self._run(
            f"UPDATE decisions SET correct=? WHERE trace=? AND {SOUND}",
            label,
            trace_id,
            seals=trace_id,
        ):
            damaged = " that is not damaged" if trace_id in self.damaged() else ""
            raise StoreError(f"{self.path} has no decision {trace_id!r}{damaged}")

    @checks_arguments(error=StoreError, any_text=True)
    def labels(self, trace_id: str | None = None) -> list[LoggedLabel]:
        """Labels of answers that the gated model gave, for `et_agent.calibration.learn`.

        Args:
            trace_id: Only this decision's; None for all.

        Raises:
            StoreError: The log cannot be read.
        """
        rows = self._read(
            "SELECT trace, correct, example FROM sound WHERE correct IS NOT NULL "
            "AND NOT escalated AND trace = coalesce(?, trace) ORDER BY number",
            trace_id,
        )
        try:
            return [
                LoggedLabel(trace, bool(right), text and Example.model_validate_json(text))
                for trace, right, text in rows
            ]
        except ValidationError as error:
            raise StoreError(f"{self.path} is damaged: {explained('decision', error)}") from error

    def entries(self, limit: int, *, before: int | None = None) -> list[LoggedDecision]:
        """Decisions, the latest first.

        Args:
            limit: Most of them.
            before: Only those with smaller numbers; None for all.

        Raises:
            StoreError: The log cannot be read.
        """
        rows = self._read(
            "SELECT number, trace, made, action, would, topic, confidence, threshold, source, "
            "escalated, reason, tokens, seconds, correct FROM sound "
            "WHERE ? IS NULL OR number < ? ORDER BY number DESC LIMIT ?",
            before,
            before,
            limit,
        )
        return [
            LoggedDecision(
                number=number,
                trace_id=trace,
                made=made,
                action=Action(action),
                would=None if would is None else Action(would),
                topic=topic,
                confidence=confidence,
                threshold=threshold,
                source=source,
                escalated=bool(escalated),
                reason=reason,
                tokens=tokens,
                seconds=seconds,
                right=None if correct is None else bool(correct),
            )
            for (
                number, trace, made, action, would, topic, confidence, threshold, source, escalated,
                reason, tokens, seconds, correct,
            ) in rows
        ]  # fmt: skip

    def confidences(self) -> list[tuple[float, bool]]:
        """(confidence, label) of the gated model's labelled answers, oldest first, for `DriftMonitor`.

        Raises:
            StoreError: The log cannot be read.
        """
        rows = self._read(
            "SELECT confidence, correct FROM sound WHERE correct IS NOT NULL AND NOT escalated "
            "AND confidence IS NOT NULL ORDER BY number"
        )
        return [(confidence, bool(correct)) for confidence, correct in rows]

    @checks_arguments(error=StoreError, any_text=True)
    def report(self, topic: str | None = None) -> LogReport:
        """Return rates, realised error, cost and drift, for one topic or for all.

        Raises:
            StoreError: The log cannot be read.
        """
        where, values = ("", ()) if topic is None else (" WHERE topic=?", (topic,))
        rows = self._read(
            "SELECT coalesce(would, action), confidence, correct, tokens, seconds, calls, "
            "escalated, source, reviews, (SELECT late FROM claims WHERE claims.trace = "
            f"sound.trace) FROM sound{where} ORDER BY number",
            *values,
        )
        # Labels of escalated answers say nothing of the gated model's confidence.
        judged = [row for row in rows if row[2] is not None and not row[6]]
        answered = [row for row in judged if row[0] == Action.ANSWER]
        escalated = [
            row for row in rows if row[2] is not None and row[6] and row[0] == Action.ANSWER
        ]
        known = [(row[1], row[2]) for row in judged if row[1] is not None]
        drift = None
        if known:
            drift = DriftMonitor().update([one for one, _ in known], [one for _, one in known])
        return LogReport(
            decisions=len(rows),
            actions={action: Counter(row[0] for row in rows)[action] for action in Action},
            labelled=sum(row[2] is not None for row in rows),
            answered_labelled=len(answered),
            errors=sum(not row[2] for row in answered),
            escalated_labelled=len(escalated),
            escalated_errors=sum(not row[2] for row in escalated),
            tokens=sum(row[3] for row in rows),
            seconds=sum(row[4] for row in rows),
            calls=sum(row[5] for row in rows),
            drift=drift,
            sources=Counter(row[7] for row in rows if row[7] is not None),
            reviews=Counter(Review(one) for row in rows for one in json.loads(row[8] or "[]")),
            late_replies=sum(row[9] or 0 for row in rows),
            damaged=len(self.damaged()),
        )

    def damaged(self) -> tuple[str, ...]:
        """Trace ids of decisions that are not what was stored; they count nowhere.

        Raises:
            StoreError: The log cannot be read.
        """
        rows = self._read(f"SELECT CAST(trace AS BLOB) FROM decisions WHERE NOT {SOUND}")
        found = tuple(trace.decode("utf-8", "backslashreplace") for (trace,) in rows)
        if found:
            _log.warning("%s: damaged decisions are left out: %s", self.path, ", ".join(found))
        return found

    def _read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock, database_errors(self.path):
            return self._connection.execute(query, _readable(values)).fetchall()

    def _run(self, statement: str, *values: Any, seals: str | None = None) -> int:
        """Run a statement, and seal the decision that it changed; returns the rows changed."""
        with self._lock, database_errors(self.path), self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            changed = connection.execute(statement, _readable(values)).rowcount
            if seals is not None and changed:
                connection.execute(SEAL, _readable([seals]))
            return changed


def _readable(values: Sequence[Any]) -> list[Any]:
    """Values that a file can hold: texts have escapes for what is not valid Unicode."""
    return [
        one.encode("utf-8", "backslashreplace").decode() if isinstance(one, str) else one
        for one in values
    ]
