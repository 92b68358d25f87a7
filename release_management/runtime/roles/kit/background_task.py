"""Run a background task beside a role's work."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any


@contextlib.asynccontextmanager
async def beside(watching: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `watching` while the body runs. If it fails, the body is cancelled, and the error raised."""
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(watching)
        yield
        watch.cancel()
