"""What an export does while it reads on: it writes the portion read last, and ends the file before."""

from __future__ import annotations

import asyncio


class Behind:
    """One portion that is being written, and one file that is being ended; the disk takes its time over both."""

    def __init__(self) -> None:
        self._background: asyncio.Task[None] | None = None
        self._finishing: asyncio.Task[None] | None = None

    async def _settle(self) -> None:
        """Wait until what was read before is written."""
        if self._background is not None:
            task, self._background = self._background, None
            await task

    async def _all_finished(self) -> None:
        """Wait until the file before is ended."""
        if self._finishing is not None:
            task, self._finishing = self._finishing, None
            await task

    async def _given_up(self) -> None:
        """Wait for both where nothing will come of it any more, whatever has become of them."""
        left = [task for task in (self._background, self._finishing) if task is not None]
        await asyncio.gather(*left, return_exceptions=True)
