"""Several questions at once in the model's shared batches, without a thread for each."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeVar

from langchain_core.callbacks.manager import CallbackManagerForChainRun, dispatch_custom_event
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import (
    get_callback_manager_for_config,
    get_config_list,
    patch_config,
)

from et_agent.results import AskResult
from et_agent.runnables.driving import Asking, listened_to
from et_agent.runnables.messages import TreeInput
from et_agent.runnables.watching import Update, Watch, begin

__all__ = ["abatch_as_completed", "batch_as_completed"]

Configs = RunnableConfig | Sequence[RunnableConfig] | None
Done = tuple[int, AskResult | Exception]
"""Index of a question, and its result or error."""
T = TypeVar("T")


@dataclass(slots=True)
class _RunningQuestion:
    """A question that has begun, for the callbacks at least."""

    run_manager: CallbackManagerForChainRun
    config: RunnableConfig
    watch: Watch | None = None

    def note(self, update: Update) -> None:
        for name, data in update.events():
            dispatch_custom_event(name, data, config=self.config)


class _Batch:
    """Keeps as many questions going as may be, and hears of all of them on one queue."""

    def __init__(
        self,
        name: str,
        inputs: Sequence[TreeInput],
        askings: Sequence[Asking],
        configs: Sequence[RunnableConfig],
        *,
        return_exceptions: bool,
    ) -> None:
        self._name = name
        self._inputs, self._askings, self._configs = inputs, askings, configs
        self._return_exceptions = return_exceptions
        self._limit = configs[0].get("max_concurrency") or len(inputs)
        self._updates: SimpleQueue[tuple[int, Update | None]] = SimpleQueue()
        self._waiting = deque(range(len(inputs)))
        self._running: dict[int, _RunningQuestion] = {}

    def run(self) -> Iterator[Done]:
        """Yield results and errors as they come."""
        try:
            while self._waiting or self._running:
                yield from self._fill()
                if self._running:
                    yield from self._hear()
        except BaseException as error:
            for question in self._running.values():
                question.run_manager.on_chain_error(error)
            raise
        finally:
            for question in self._running.values():
                if question.watch is not None:
                    question.watch.close()

    def _fill(self) -> list[Done]:
        """Begin questions up to the limit; all are checked before one is decoded."""
        failed: list[Done] = []
        fresh: dict[int, Watch] = {}
        while self._waiting and len(self._running) < self._limit:
            index = self._waiting.popleft()
            try:
                fresh[index] = self._prepared(index)
            except Exception as error:
                failed.append(self._failed(index, error))
        try:
            begin(*fresh.values())
        except Exception as error:
            failed += [self._failed(index, error) for index in fresh]
        return failed

    def _prepared(self, index: int) -> Watch:
        config = self._configs[index]
        run_manager = get_callback_manager_for_config(config).on_chain_start(
            None,
            self._inputs[index],
            name=config.get("run_name") or self._name,
            run_id=config.pop("run_id", None),
        )
        question = _RunningQuestion(
            run_manager, patch_config(config, callbacks=run_manager.get_child())
        )
        self._running[index] = question

        def send(update: Update | None) -> None:
            self._updates.put((index, update))

        question.watch = self._askings[index](send, follow=listened_to(run_manager))
        return question.watch

    def _hear(self) -> list[Done]:
        """Wait until something happens to a question."""
        index, update = self._updates.get()
        question = self._running[index]
        if update is not None:
            question.note(update)
            return []
        assert question.watch is not None
        try:
            result = question.watch.result()
        except Exception as error:
            return [self._failed(index, error)]
        del self._running[index]
        question.run_manager.on_chain_end(result)
        return [(index, result)]

    def _failed(self, index: int, error: Exception) -> Done:
        if not self._return_exceptions:
            raise error
        self._running.pop(index).run_manager.on_chain_error(error)
        return index, error


def batch_as_completed(
    name: str,
    inputs: Sequence[TreeInput],
    askings: Sequence[Asking],
    config: Configs,
    *,
    return_exceptions: bool,
) -> Iterator[Done]:
    """Decode questions together, at most `max_concurrency` at a time.

    Args:
        name: Name of the runs where the config gives none.
        inputs: The questions as they came, for the callbacks.
        askings: What prepares them.
        config: One for all, or one each.
        return_exceptions: Whether an error becomes that question's result. Otherwise the first one
            is raised and ends the batch, and where a question is refused that would have begun at
            once, nothing is decoded.

    Yields:
        Index and result of each question, in the order in which they are done.
    """
    configs = get_config_list(config, len(inputs))
    if configs:
        batch = _Batch(name, inputs, askings, configs, return_exceptions=return_exceptions)
        yield from batch.run()


async def abatch_as_completed(
    ask: Callable[[TreeInput, RunnableConfig], Awaitable[T]],
    inputs: Sequence[TreeInput],
    config: Configs,
    *,
    return_exceptions: bool,
) -> AsyncGenerator[tuple[int, T | Exception], None]:
    """`batch_as_completed` for an event loop; questions asked at the same time share batches."""
    configs = get_config_list(config, len(inputs))
    if not configs:
        return
    gate = asyncio.Semaphore(configs[0].get("max_concurrency") or len(inputs))

    async def one(index: int) -> tuple[int, T | Exception]:
        async with gate:
            try:
                return index, await ask(inputs[index], configs[index])
            except Exception as error:
                if not return_exceptions:
                    raise
                return index, error

    tasks = [asyncio.create_task(one(index)) for index in range(len(inputs))]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
