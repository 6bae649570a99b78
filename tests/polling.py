"""Waiting for what another task does: look again, until a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(claim: Callable[[], bool], seconds: float = 10.0) -> None:
    """Look until a claim holds.

    Raises:
        TimeoutError: It did not, in time.
    """
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.002)
