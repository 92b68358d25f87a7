"""Tasks that end with the loop's thread are cancelled from their root, once, and have the time to clean up."""

import asyncio

import pytest

from release_management.runtime.loop_thread import LoopThread


async def tidying_up(done: list[str]) -> None:
    """A task of a group that belongs to a task of a group, which takes a moment to tidy up."""

    async def inner() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0.05)
            done.append("tidied up")

    async def middle() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(inner())

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(middle())


def test_tasks_of_a_group_are_not_cut_short_while_they_tidy_up() -> None:
    loop, done = LoopThread("test"), list[str]()
    futures = [loop.start(tidying_up(done)) for _ in range(20)]
    loop.run(asyncio.sleep(0.05))
    loop.close()
    assert done == ["tidied up"] * 20
    assert all(future.cancelled() for future in futures)


def test_tasks_that_belong_to_nobody_are_ended_too() -> None:
    loop, ended = LoopThread("test"), list[str]()

    async def forgotten() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            ended.append("ended")

    kept: list[asyncio.Task[None]] = []

    async def forget() -> None:
        kept.append(asyncio.create_task(forgotten()))
        await asyncio.sleep(0)

    loop.run(forget())
    loop.close()
    assert ended == ["ended"]


def test_a_coroutines_error_is_its_callers() -> None:
    loop = LoopThread("test")

    async def fail() -> None:
        raise ValueError("it is so")

    with pytest.raises(ValueError, match="it is so"):
        loop.run(fail())
    loop.close()


def test_a_task_that_has_only_just_begun_is_cancelled() -> None:
    loop, done = LoopThread("test"), list[str]()
    future = loop.start(tidying_up(done))
    loop.close()
    assert future.cancelled()
