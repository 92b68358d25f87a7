"""The bus for callers: ask, send, query, and follow the events."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Any, Self

from release_management.adapters.nats.connection import NatsConnection, connect
from release_management.adapters.nats.dead_letters.model import (
    DeadLetter,
    OpenedLetter,
    Replay,
)
from release_management.adapters.nats.events import recorded
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.event_reader import follow
from release_management.adapters.nats.queues.publishing import publish_patiently
from release_management.adapters.nats.requests.requester import (
    actor_header,
    ask,
    ask_once,
    cloudevent,
    read_outcome,
)
from release_management.adapters.nats.wire.error_mapping import AWAY
from release_management.adapters.nats.wire.parts import whole
from release_management.adapters.nats.wire.replies import code_in
from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.record import Recorded
from release_management.kernel.record import dataref as named
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.paging.pages import (
    Page,
    PageReader,
    merged,
    received,
)
from release_management.services.ports.bus import (
    BusAwayError,
    BusDeniedError,
    BusError,
    BusSilentError,
    QueryNotUnderstood,
)

CONNECT_SECONDS = 5.0
PATIENCE_SECONDS = 5.0
COMMAND_PATIENCE_SECONDS = 2.0  # the gateway that received it may be gone, and another one there


class NotReachableError(RelmanError):
    """No answer came in time. The command may or may not have happened; send it again with the same id."""

    code = ErrorCode.UNAVAILABLE


class UnavailableError(NotReachableError):
    """No process can answer at this moment; the text says why. The same request will be answered later."""


class NoConnectionError(UnavailableError):
    """There is no connection to the bus, and there was none before."""


class BusClient:
    """One caller's connection to the bus, opened at the first use and kept.

    `timeout` is how many seconds a request is retried, across lost connections and restarts of the answering process;
    with None it is tried once, and the caller retries.
    """

    def __init__(self, url: str, *, name: str = "relman client", timeout: float | None = 10.0) -> None:
        self._url = url
        self._name = name
        self._timeout = timeout
        self._connection: NatsConnection | None = None
        self._connecting = asyncio.Lock()

    async def ask(self, envelope: CommandEnvelope) -> Outcome:
        """Submit a command and wait for its outcome. It is sent again under the same id until there is one.

        A command whose first answer got lost is answered `repeated`. Raises `InvalidCommand` and `NotReachableError`.
        """
        reply = await self._request(
            f"{streams.ASK_COMMAND}.{envelope.command}",
            cloudevent(envelope),
            actor_header(envelope),
            COMMAND_PATIENCE_SECONDS,
        )
        _raise_away(reply)
        return read_outcome(reply)

    async def send(self, envelope: CommandEnvelope, reply_to: str | None = None) -> None:
        """Queue a command without waiting for its outcome, which goes to the subject `reply_to` if there is one.

        Raises `BusFullError` if the queue is full, and `NotReachableError`.
        """
        # No message id: another client that used the same one before would make the server drop this command.
        headers = actor_header(envelope) | {streams.CONTENT_TYPE: streams.CLOUDEVENT}
        if reply_to is not None:
            headers[streams.REPLY_TO] = reply_to
        connection = await self._connected()
        try:
            subject = f"{streams.COMMAND_SUBJECTS}.{envelope.command}"
            await publish_patiently(
                connection, subject, cloudevent(envelope), headers, self._timeout or PATIENCE_SECONDS
            )
        except BusAwayError as error:
            raise NotReachableError(f"the command was not queued: {error}", code=error.code) from error

    async def outcome(self, sender: str, id: str) -> Outcome | None:
        """Return a command's outcome; None if it is unknown. Raises `NotReachableError`."""
        reply = await self._request(streams.ASK_OUTCOME, json.dumps({"sender": sender, "id": id}).encode())
        _raise_away(reply)
        return None if reply.get("status") == "unknown" else read_outcome(reply)

    async def page(self, name: str, params: dict[str, Any] | None = None, after: int = 0) -> Page:
        """Return a page of a query's answer from projections that have reached the position `after`.

        Raises `QueryNotUnderstood` with the fault, and `NotReachableError`.
        """
        question = json.dumps({"params": params or {}, "after": after}).encode()
        return received(_unless_error(await self._request(f"{streams.ASK_QUERY}.{name}", question)))

    async def query(self, name: str, params: dict[str, Any] | None = None, after: int = 0) -> list[dict[str, Any]]:
        """Return all rows of a query's answer, or up to the parameter `limit`; read page by page, see `page`."""
        rows: list[dict[str, Any]] = []
        reading = PageReader(params or {})
        while (page_params := reading.params) is not None:
            rows += reading.take(await self.page(name, page_params, after))
        return rows

    async def content(self, dataref: str) -> bytes:
        """Return the data beside the records with this `dataref`. Raises `BusError`, and `NotReachableError`."""

        async def ask_part(offset: int) -> dict[str, Any]:
            question = json.dumps({"dataref": dataref, "offset": offset}).encode()
            reply = await self._request(streams.ASK_CONTENT, question)
            _raise_away(reply)
            if "part" not in reply:
                raise BusError(reply.get("reason") or reply["error"], code=code_in(reply))
            return reply

        content = (await whole(ask_part)).encode()
        if named(content) != dataref:
            reason = f"what came as the data {dataref} beside a record are other data; read the log itself"
            raise BusError(reason, code=ErrorCode.UNUSABLE)
        return content

    async def letters_page(self, params: dict[str, Any]) -> Page:
        """Return a page of the dead letters, newest first. Raises `NotReachableError`."""
        reply = _unless_misunderstood(await self._request(streams.ASK_DEAD_LETTERS, json.dumps(params).encode()))
        return Page(reply["dead_letters"], reply.get("next_cursor"))

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """Return the newest dead letters, newest first; read page by page. Raises `NotReachableError`."""
        letters: list[DeadLetter] = []
        reading = PageReader({"limit": limit})
        while (page_params := reading.params) is not None:
            letters += [DeadLetter.of(letter) for letter in reading.take(await self.letters_page(page_params))]
        return letters

    async def dead_letter(self, id: int) -> OpenedLetter | None:
        """Return all of one dead letter; None if there is none. Raises `NotReachableError`."""
        letter: dict[str, Any] = {}
        payload: list[str] = []
        request: dict[str, Any] | None = {"id": id}
        while request is not None:
            reply = _unless_misunderstood(await self._request(streams.ASK_DEAD_LETTERS, json.dumps(request).encode()))
            if reply["dead_letter"] is None:
                return None
            payload.append(reply["dead_letter"].pop("payload"))
            letter = merged(letter, reply["dead_letter"])
            cursor = reply.get("next_cursor")
            request = None if cursor is None else {"id": id, "cursor": cursor}
        return OpenedLetter.of({**letter, "payload": "".join(payload)})

    async def replay_dead_letters(self, ids: Sequence[int]) -> list[Replay]:
        """Have up to 50 dead letters sent again to their original subjects; return the result of each.

        Raises `NotReachableError`; some may then have been sent, and trying again is harmless.
        """
        reply = await self._request(streams.REPLAY_DEAD_LETTERS, json.dumps({"ids": list(ids)}).encode())
        return [Replay(**replay) for replay in _unless_misunderstood(reply)["replays"]]

    async def events(self, after: int = 0) -> AsyncGenerator[Recorded, None]:
        """Yield every published record with a position above `after`, in order, each once, for ever.

        Continues after a lost connection. Records that have aged out of the stream are skipped; the log has them.
        Messages that are no records of ours are skipped as well, with a warning. Raises `NotReachableError` if the bus
        has closed the connection for good and accepts no other.
        """
        position = after
        while True:  # a connection that the bus has closed for good is replaced by another one
            connection = await self._connected()
            try:
                async with contextlib.aclosing(follow(connection, position)) as messages:
                    async for position, message in messages:
                        if (record := recorded(message, position)) is not None:
                            yield record
            except BusAwayError:
                if not connection.is_closed:
                    raise

    async def connect(self) -> None:
        """Connect now rather than at the first use. Raises `NotReachableError`."""
        await self._connected()

    @property
    def is_away(self) -> bool:
        """True if the connection is lost, or was never there."""
        return self._connection is None or not self._connection.is_connected

    async def close(self) -> None:
        """Close the connection, even a lost one. Safe to repeat."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*AWAY):
                await connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _connected(self) -> NatsConnection:
        async with self._connecting:
            if self._connection is None or self._connection.is_closed:
                try:
                    patience = CONNECT_SECONDS if self._timeout is None else min(self._timeout, CONNECT_SECONDS)
                    self._connection = await connect(self._url, self._name, patience)
                except BusDeniedError as error:
                    raise NotReachableError(str(error), code=error.code) from None
                except BusSilentError as error:
                    hint = "its nats-server hangs, or the way to it is cut off: `relman health` says more"
                    raise NoConnectionError(f"{error}; {hint}") from error
                except BusAwayError as error:
                    raise NoConnectionError(f"{error}; is `relman up` running?") from error
            return self._connection

    async def _request(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None, patience: float = PATIENCE_SECONDS
    ) -> dict[str, Any]:
        connection = await self._connected()
        try:
            if self._timeout is None:
                return await ask_once(connection, subject, payload, headers, patience=patience)
            return await ask(connection, subject, payload, headers, timeout=self._timeout, patience=patience)
        except BusSilentError as error:
            hint = "whoever listens there is busy, or hangs: `relman health` says which"
            raise UnavailableError(f"{error}; {hint}") from error
        except BusAwayError as error:
            raise UnavailableError(f"{error}; is `relman up` running?") from error


def _unless_misunderstood(reply: dict[str, Any]) -> dict[str, Any]:
    if "reason" in reply:
        raise QueryNotUnderstood(reply["reason"], code=code_in(reply))
    return _unless_error(reply)


def _raise_away(reply: dict[str, Any]) -> None:
    if reply.get("retry"):
        raise UnavailableError(reply["error"], code=code_in(reply))


def _unless_error(reply: dict[str, Any]) -> dict[str, Any]:
    _raise_away(reply)
    if "error" in reply:
        raise QueryNotUnderstood(reply["error"], code=code_in(reply))
    return reply
