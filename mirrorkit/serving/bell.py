"""How threads tell the event loop of what is done: once for all that is done by then, as each call wakes it up."""

from __future__ import annotations

import asyncio
from collections import deque


class Bell:
    """Ends futures of one loop, with True; any thread may ring it."""

    def __init__(self) -> None:
        self._done: deque[asyncio.Future[bool]] = deque()
        self._rung = False

    def ring(self, future: asyncio.Future[bool]) -> None:
        """Let a future end soon; a loop that is closed needs to know nothing any more."""
        self._done.append(future)
        loop = future.get_loop()
        if not self._rung and not loop.is_closed():
            self._rung = True
            loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        self._rung = False  # first: who rings from here on comes again
        while self._done:
            future = self._done.popleft()
            if not future.done():
                future.set_result(True)
