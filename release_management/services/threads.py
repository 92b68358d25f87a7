"""Blocking calls from coroutines."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in a thread. A cancelled caller still waits for it to end.

    So its resources may be closed afterwards; its result is lost then.
    """
    return await _ended(asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs)))


class Threads:
    """A few threads for blocking calls of one kind, so that calls of other kinds never wait for them."""

    def __init__(self, name: str, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=name)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call as `in_thread` does, when one of these threads is free."""
        context = contextvars.copy_context()
        run = partial(context.run, call, *args, **kwargs)
        return await _ended(asyncio.get_running_loop().run_in_executor(self._pool, run))

    def close(self) -> None:
        """Let the threads end. Waiting calls are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _ended(running: asyncio.Future[T]) -> T:
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        # Also if it is cancelled again meanwhile: the call's result is dropped.
        running.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        await asyncio.wait([running])
        raise
