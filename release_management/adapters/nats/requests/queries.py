"""Queries from the bus."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

import structlog
from nats.aio.msg import Msg
from pydantic import Field, JsonValue, ValidationError

from release_management.adapters.nats.access.senders import sent_by
from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.requests.lanes import Lane
from release_management.adapters.nats.requests.responder import RequestServer
from release_management.adapters.nats.wire.replies import error_reply
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Value, explain
from release_management.services import telemetry
from release_management.services.paging.pages import Page, sent
from release_management.services.ports.bus import NotAnsweredNow, QueryNotUnderstood

GROUP = "projectors"
AT_ONCE = 32
OF_CLIENT = 6
OF_CONNECTION = 4
"""Few more of one client than are answered in parallel, so that another's query has few before it."""

_log = structlog.get_logger(__name__)


class Question(Value):
    """A query's content: its parameters, and the log position that the projections must have reached."""

    params: Annotated[dict[str, JsonValue], Field(default_factory=dict, description="the query's parameters")]
    after: int = Field(default=0, ge=0, description="the log position that the answer must have taken in")


class QueryService:
    """Serves `relman.ask.query.<name>`: `{"answer": […]}`, or `{"error": "what is wrong", "code": "invalid"}`.

    Several processes share the queries.

    If `"retry": true` stands beside the error, the query is valid and will be answered later. If the answer has more
    pages, `"next_cursor"` stands beside it, and `"unfinished": true` if its last row continues on the next page.
    `answer` gets the name, the parameters and the position; it raises `QueryNotUnderstood` or `NotAnsweredNow` with a
    text for the caller.
    """

    def __init__(
        self,
        connection: NatsConnection,
        answer: Callable[[str, dict[str, Any], int], Awaitable[Page]],
        doors: Mapping[str, NatsConnection] | None = None,
    ) -> None:
        """`doors` are as in `Answering`."""
        self._answer = answer
        subject = f"{streams.ASK_QUERY}.>"
        queries = Lane("queries", AT_ONCE, of_client=OF_CLIENT, of_connection=OF_CONNECTION, reads=True)
        self._answering = RequestServer(connection, {subject: self._reply}, GROUP, {subject: queries}, doors)
        self.ready: asyncio.Event = self._answering.ready

    @property
    def pressure(self) -> Mapping[str, str | None]:
        """The warning of each lane that dropped queries lately, by name; None for the others."""
        return self._answering.pressure

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._answering.run()

    async def _reply(self, message: Msg) -> bytes:
        _, subject = sent_by(message.subject)
        name = subject.removeprefix(f"{streams.ASK_QUERY}.")
        try:
            question = Question.model_validate_json(message.data or b"{}")
            page = await self._answer(name, question.params, question.after)
            telemetry.QUERIES.labels(name, "answered").inc()
            return json.dumps(sent(page), ensure_ascii=False, allow_nan=False).encode()
        except ValidationError as error:
            return error_reply(f"the query is not understood: {explain(error)}", ErrorCode.INVALID)
        except QueryNotUnderstood as error:
            return error_reply(str(error), error.code)
        except NotAnsweredNow as error:
            return error_reply(str(error), error.code, retry=True)
        except Exception:
            telemetry.QUERIES.labels(name, "failed").inc()
            _log.exception("query failed", name=name)
            return error_reply(f"the query {name!r} failed; the log says why", ErrorCode.INTERNAL)
