"""Answers questions in shared batches and prints each as it ends; JSON in their order."""

import json
import queue
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from et_agent.asking import submit_all
from et_agent.asking.options import AskOptions, Calibration
from et_agent.asking.pending import PendingAnswer
from et_agent.cli import labelling, loading
from et_agent.cli.asking_options import read_calibrator
from et_agent.cli.brief import Tally, print_line
from et_agent.cli.display import Board
from et_agent.cli.guard import INTERRUPTED, USER_ERROR, fail, is_verbose
from et_agent.cli.interrupt import Interrupts
from et_agent.cli.pages import PageFiles, decision_about
from et_agent.cli.questions import SourcedQuestion
from et_agent.cli.report import print_result
from et_agent.cli.terminal import is_watched, write_line
from et_agent.engines.sampled import AnyModel
from et_agent.errors import EtAgentError
from et_agent.results import AskResult

__all__ = ["AskSettings", "answer", "json_of", "print_answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskSettings:
    """What to answer, and how."""

    questions: Sequence[SourcedQuestion]
    model: str
    decoder: str
    options: AskOptions
    attention: bool
    load: loading.LoadSettings
    calibrator: str | None
    explain: bool
    learn: bool
    as_json: bool
    tree: bool | None
    files: PageFiles
    lines: bool
    as_ready: bool

    @property
    def in_lines(self) -> bool:
        """Whether each answer is one line for people, and a summary follows."""
        several = self.lines or len(self.questions) > 1
        return several and not (self.as_json or self.explain or self.tree)

    @property
    def draws(self) -> bool:
        """Whether trees are drawn."""
        return self.explain and len(self.questions) == 1 if self.tree is None else self.tree


def answer(settings: AskSettings) -> int:
    """Load the model, answer all questions, print them; gives the exit code.

    Raises:
        EtAgentError: Nothing could be answered.
    """
    if settings.learn:
        labelling.check_terminal(as_json=settings.as_json, calibrator=settings.calibrator)
    calibration = read_calibrator(settings.calibrator)
    spec = settings.model
    texts = [question.text for question in settings.questions]
    shown = is_watched() and not is_verbose()
    with (
        Interrupts() as interrupts,
        Board(texts, model=spec, decoder=settings.decoder, shown=shown) as board,
    ):
        interrupts.cursor_hidden = shown
        with loading.open_model(spec, **settings.load, progress=board.transfer) as model:
            return _answer_with(model, settings, calibration, board, interrupts)


def _answer_with(
    model: AnyModel,
    settings: AskSettings,
    calibrator: Calibration,
    board: Board,
    interrupts: Interrupts,
) -> int:
    # A slot is emptied once it is printed: thousands of trees would not fit into memory.
    pending: list[PendingAnswer | None] = []

    def cancel() -> None:
        for one in pending:
            if one is not None:
                one.cancel()

    def is_done(index: int) -> bool:
        one = pending[index]
        return one is None or one.done

    pending += submit_all(
        model,
        [question.text for question in settings.questions],
        settings.options,
        names=[question.where for question in settings.questions],
        on_progress=board.note,
        calibrator=calibrator,
        attention=settings.attention,
    )
    try:
        interrupts.on_interrupt = cancel
        board.begin(is_done, lambda: interrupts.happened)
        code = _print_all(settings, pending, board, interrupts)
    finally:
        cancel()
    return INTERRUPTED if interrupts.happened else code


def _print_all(
    settings: AskSettings,
    pending: list[PendingAnswer | None],
    board: Board,
    interrupts: Interrupts,
) -> int:
    code = 0
    total = len(pending)
    left = total
    tally = Tally(total)
    for index in _coming(pending, as_ready=settings.as_ready):
        left -= 1
        one = pending[index]
        assert one is not None
        try:
            result = one.result()
        except EtAgentError as error:
            where = settings.questions[index].where
            tally.add_failure()
            with board.paused():
                code = fail(f"{where}: {error}" if total > 1 else str(error), USER_ERROR)
            continue
        tally.add(result)
        pending[index] = None
        if not left:
            board.close()
        with board.paused():
            print_answer(settings, result, index, total)
            if settings.files.wanted:
                decision = decision_about(result)
                number = index + 1 if total > 1 else 0
                settings.files.write(result, number=number, decision=decision)
            if settings.learn and not interrupts.happened:
                with interrupts.raising():
                    code = max(code, labelling.ask_whether_right(result))
    board.close()
    if settings.in_lines:
        tally.print()
    return code


def _coming(pending: "Sequence[PendingAnswer | None]", *, as_ready: bool) -> Iterator[int]:
    """Indices of the questions, in their order or as they end."""
    if not as_ready:
        yield from range(len(pending))
        return
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index, one in enumerate(pending):
        if one is not None:
            one.add_done_callback(lambda _, at=index: ended.put(at))  # type: ignore[misc]
    for _ in pending:
        yield ended.get()


def print_answer(settings: AskSettings, result: AskResult, index: int, total: int) -> None:
    """Print the result of one of the questions, as JSON or for people."""
    if settings.as_json:
        write_line(
            json_of(result, tree=bool(settings.tree), indent=total == 1 and not settings.lines)
        )
        return
    if total > 1 and not result.complete and not result.usage.tokens_decoded:
        write_line(f"question {index + 1} of {total}: INCOMPLETE, not started")
        return
    if settings.in_lines:
        print_line(result, index + 1, total)
        return
    title = f"#{index + 1}" if total > 1 else ""
    print_result(result, tree=settings.draws, explain=settings.explain, title=title)
    sys.stdout.flush()


def json_of(result: AskResult, *, tree: bool, indent: bool) -> str:
    """A result as `--json` prints it."""
    data = result.model_dump(mode="json", exclude=None if tree else {"tree"})
    # What the stream's encoding does not have must be escaped as JSON does it.
    unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    return json.dumps(data, ensure_ascii=not unicode, allow_nan=False, indent=2 if indent else None)
