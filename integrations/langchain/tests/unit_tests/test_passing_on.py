"""Model requests of an asynchronous agent, made from other threads."""

import asyncio
from typing import Any

import pytest
from langchain_et_agent.passing_on import InLoop

from et_agent.errors import EscalationError


async def test_a_request_that_begins_while_the_agent_is_cancelled_is_stopped() -> None:
    async def slow(_: Any) -> Any:
        await asyncio.sleep(30)

    again = InLoop(slow, asyncio.get_running_loop())

    class Cancelling(set[Any]):
        """The agent is cancelled after the request was handed to the loop, before it is known."""

        def add(self, future: Any) -> None:
            again.cancel()
            super().add(future)

    again._running = Cancelling()
    with pytest.raises(EscalationError, match="cancelled"):
        await asyncio.to_thread(again, None)  # type: ignore[arg-type]
    assert not again._running
