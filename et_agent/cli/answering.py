"""Answers questions in shared batches and prints each as it is done, in order."""

import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from et_agent.asking import Calibration, Chat, PendingAnswer, submit
from et_agent.calibration import Calibrator
from et_agent.cli import loading
from et_agent.cli.display import Board
from et_agent.cli.guard import INTERRUPTED, USER_ERROR, fail, is_verbose
from et_agent.cli.interrupt import Interrupts
from et_agent.cli.questions import Question
from et_agent.cli.report import print_result
from et_agent.cli.terminal import is_watched, write_line
from et_agent.decoding.base import DecoderSettings
from et_agent.engines.base import LanguageModel
from et_agent.errors import EtAgentError, QuestionError
from et_agent.results import AskResult
from et_agent.weights.catalog import DEFAULT_MODEL

__all__ = ["Asking", "answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What to answer, and how."""

    questions: Sequence[Question]
    model: str | None
    decoder: str
    settings: DecoderSettings
    kind: str
    seed: int
    system_prompt: str | None
    chat: Chat
    context: int | None
    threads: int | None
    width: int | None
    attention: bool | None
    dequantize: bool
    calibrator: str | None
    explain: bool
    as_json: bool
    tree: bool | None
    lines: bool


def answer(asking: Asking) -> int:
    """Load the model, answer all questions, print them; gives the exit code.

    Raises:
        EtAgentError: Nothing could be answered.
    """
    loading.check_load_settings(context=asking.context, threads=asking.threads, width=asking.width)
    calibration = _calibration(asking.calibrator)
    spec = asking.model or DEFAULT_MODEL
    texts = [question.text for question in asking.questions]
    shown = is_watched() and not is_verbose()
    with (
        Interrupts() as interrupts,
        Board(texts, model=spec, decoder=asking.decoder, shown=shown) as board,
    ):
        interrupts.cursor_hidden = shown
        with loading.open_model(
            spec,
            context=asking.context,
            threads=asking.threads,
            width=asking.width,
            attention=asking.attention is not False,
            dequantize=asking.dequantize,
            progress=board.transfer,
        ) as model:
            return _answer_with(model, asking, calibration, board, interrupts)


def _calibration(given: str | None) -> Calibration:
    if given is None:
        return "auto"
    return None if given == "none" else Calibrator.load(Path(given).expanduser())


def _answer_with(
    model: LanguageModel,
    asking: Asking,
    calibration: Calibration,
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

    with _waiting(model, on_error=cancel):
        _submit_all(model, asking, calibration, board, pending)
        interrupts.on_interrupt = cancel
        board.begin(is_done, lambda: interrupts.happened)
    try:
        code = _print_all(asking, pending, board)
    finally:
        cancel()
    return INTERRUPTED if interrupts.happened else code


@contextmanager
def _waiting(model: LanguageModel, *, on_error: Callable[[], None]) -> Iterator[None]:
    """Keep the model's thread waiting, so that nothing is decoded before all is accepted."""
    accepted = threading.Event()
    model.submit(lambda: accepted.wait(timeout=30))
    try:
        yield
    except BaseException:
        on_error()
        raise
    finally:
        accepted.set()


def _submit_all(
    model: LanguageModel,
    asking: Asking,
    calibration: Calibration,
    board: Board,
    pending: list[PendingAnswer | None],
) -> None:
    try:
        for index, question in enumerate(asking.questions):
            pending.append(
                submit(
                    model,
                    question.text,
                    decoder=asking.settings,
                    kind=asking.kind,
                    seed=asking.seed,
                    system_prompt=asking.system_prompt,
                    chat=asking.chat,
                    on_progress=board.callback(index),
                    calibrator=calibration,
                    attention=asking.attention is True,
                )
            )
    except QuestionError as error:
        if len(asking.questions) > 1:
            raise QuestionError(f"{question.where}: {error}") from error
        raise


def _print_all(asking: Asking, pending: list[PendingAnswer | None], board: Board) -> int:
    code = 0
    total = len(pending)
    for index in range(total):
        one = pending[index]
        assert one is not None
        try:
            result = one.result()
        except EtAgentError as error:
            where = asking.questions[index].where
            with board.paused():
                code = fail(f"{where}: {error}" if total > 1 else str(error), USER_ERROR)
            continue
        pending[index] = None
        if index == total - 1:
            board.close()
        with board.paused():
            _print(asking, result, index, total)
    return code


def _print(asking: Asking, result: AskResult, index: int, total: int) -> None:
    if asking.as_json:
        write_line(_json(result, tree=bool(asking.tree), indent=total == 1 and not asking.lines))
        return
    if total > 1 and not result.complete and not result.usage.tokens_decoded:
        write_line(f"question {index + 1} of {total}: INCOMPLETE, not started")
        return
    tree = total == 1 if asking.tree is None else asking.tree
    title = f"{index + 1}/{total}" if total > 1 else ""
    print_result(result, tree=tree, explain=asking.explain, title=title)
    sys.stdout.flush()


def _json(result: AskResult, *, tree: bool, indent: bool) -> str:
    data = result.model_dump(mode="json", exclude=None if tree else {"tree"})
    # What the stream's encoding does not have must be escaped as JSON does it.
    unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    return json.dumps(data, ensure_ascii=not unicode, allow_nan=False, indent=2 if indent else None)
