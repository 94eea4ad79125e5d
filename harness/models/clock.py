"""The time as whoever waits for a server sees it: now, a pause, a deadline. A test hands in a time of its own."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime


class Clock:
    """The machine's own time."""

    def now_s(self) -> float:
        """Return seconds on a clock that never goes back."""
        return time.monotonic()

    def today(self) -> datetime:
        """Return date and time, for a server that names those until when to wait."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def deadline(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Return a block that raises TimeoutError in itself when it takes longer."""
        return asyncio.timeout(seconds)
