"""What goes on beside a role's work."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any


@contextlib.asynccontextmanager
async def beside(watching: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Watch for as long as the body takes. It is cancelled, and the error raised, where the watch fails."""
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(watching)
        yield
        watch.cancel()
