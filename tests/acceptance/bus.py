"""The bus as a service sees it that has no code of ours: plain nats-py."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api

from release_management.adapters.nats.access.permissions import inbox_prefix
from release_management.adapters.nats.wire.urls import credentials

T = TypeVar("T")
CONSUMER = "client-1"


class OnBus(Protocol):
    """An installation with a message bus."""

    @property
    def url(self) -> str: ...
    @property
    def folder(self) -> Path: ...


def talk(
    installation: OnBus,
    conversation: Callable[[Client], Awaitable[T]],
    within: float = 20.0,
    *,
    user: str = "client",
) -> T:
    """Connect as one of the bus's users, talk, leave."""
    url = installation.url if user == "client" else credentials(installation.folder, user)
    assert url is not None

    async def run() -> T:
        client = await nats.connect(url, inbox_prefix=inbox_prefix(user))
        try:
            async with asyncio.timeout(within):
                return await conversation(client)
        finally:
            await client.close()

    return asyncio.run(run())


def published(installation: OnBus, count: int) -> list[bytes]:
    """The first so many events of the stream, once they are there: their bytes."""

    async def read(client: Client) -> list[bytes]:
        js = client.jetstream(timeout=1)
        # A consumer of a server that is started again takes ten seconds to notice.
        while await stored(js) < count:
            await asyncio.sleep(0.1)
        messages = await first(js, count)
        assert [message.metadata.sequence.stream for message in messages] == list(range(1, count + 1))
        return [message.data for message in messages]

    return talk(installation, read)


async def first(js: JetStreamContext, count: int) -> list[Msg]:
    """The first so many messages of the stream of events, read with a consumer that is removed afterwards."""
    config = api.ConsumerConfig(name=CONSUMER, ack_policy=api.AckPolicy.NONE)
    await js.add_consumer("RELMAN_EVENTS", config)
    subscription = await js.pull_subscribe_bind(consumer=CONSUMER, stream="RELMAN_EVENTS")
    messages: list[Msg] = []
    while len(messages) < count:
        messages += await subscription.fetch(min(count - len(messages), 100), timeout=10)
    await js.delete_consumer("RELMAN_EVENTS", CONSUMER)
    return messages


async def stored(js: JetStreamContext) -> int:
    """The newest event that the stream has; 0 while the server does not say."""
    with suppress(nats.errors.Error):
        return (await js.stream_info("RELMAN_EVENTS")).state.last_seq
    return 0


def event(command: str, data: dict[str, Any], id: str, source: str = "ci", **attributes: Any) -> bytes:
    """A command as CloudEvents wants it."""
    document = {"specversion": "1.0", "id": id, "source": source, "type": command, "data": data, **attributes}
    return json.dumps(document).encode()


def said(message: Msg) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(message.data)
    return answer
