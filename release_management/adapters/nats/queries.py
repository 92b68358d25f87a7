"""Queries from the bus."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Annotated, Any

import structlog
from nats.aio.msg import Msg
from pydantic import Field, JsonValue, ValidationError

from release_management.adapters.nats import streams
from release_management.adapters.nats.asking import Answering, asker
from release_management.adapters.nats.connection import Connection
from release_management.adapters.nats.lanes import Asker, Lane
from release_management.adapters.nats.parts import PART, part
from release_management.adapters.nats.senders import sent_by
from release_management.domain.words import Value, explain
from release_management.services import measures
from release_management.services.bus import NotAnsweredNow, QueryNotUnderstood

GROUP = "projectors"
AT_ONCE = 32
KEPT_SECONDS = 10.0
MOST_KEPT = 64
MOST_KEPT_EACH = 4

_log = structlog.get_logger(__name__)


class Question(Value):
    """A query's content: its parameters, and the log position that the answer must have taken in.

    `offset`: of an answer that is longer than a message, the part that begins at this character of its JSON.
    """

    params: Annotated[dict[str, JsonValue], Field(default_factory=dict)]
    after: int = Field(default=0, ge=0)
    offset: int | None = Field(default=None, ge=0)


class LongAnswers:
    """The long answers whose parts are being read: what runs is seen anew every second, and a part fits its whole."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._kept: dict[tuple[Asker, Hashable], tuple[float, str]] = {}

    def keep(self, asker: Asker, asked: Hashable, text: str) -> None:
        """Keep an answer for as long as its parts may be read; who has too many loses his own oldest."""
        now, this = self._monotonic(), (asker, asked)
        self._kept = {key: kept for key, kept in self._kept.items() if now - kept[0] < KEPT_SECONDS and key != this}
        own = [key for key in self._kept if key[0] == asker]
        if len(own) >= MOST_KEPT_EACH:
            del self._kept[own[0]]
        if len(self._kept) < MOST_KEPT:
            self._kept[this] = now, text

    def find(self, asker: Asker, asked: Hashable) -> str | None:
        """The answer that was given to the same one a moment ago."""
        kept = self._kept.get((asker, asked))
        return kept[1] if kept is not None and self._monotonic() - kept[0] < KEPT_SECONDS else None


class QueryService:
    """Serves `relman.ask.query.<name>`: `{"answer": …}`, or `{"error": "what is wrong"}`. Several share the queries.

    Where `"retry": true` stands beside the error the query is right, and the same one will be answered later.

    Who asks with an `offset` is given a long answer in parts.

    `answer` gets the name, the parameters and the position; it raises `QueryNotUnderstood` or `NotAnsweredNow` with a
    text for the caller.
    """

    def __init__(
        self, connection: Connection, answer: Callable[[str, dict[str, Any], int], Awaitable[JsonValue]]
    ) -> None:
        self._answer = answer
        self._long = LongAnswers()
        subject = f"{streams.ASK_QUERY}.>"
        queries = Lane("queries", AT_ONCE, of_connection=AT_ONCE // 8, reads=True)
        self._answering = Answering(connection, {subject: self._reply}, GROUP, {subject: queries})
        self.ready: asyncio.Event = self._answering.ready

    @property
    def pressure(self) -> Mapping[str, str | None]:
        """What is said of questions that were dropped lately, by lane."""
        return self._answering.pressure

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._answering.run()

    async def _reply(self, message: Msg) -> bytes:
        _, subject = sent_by(message.subject)
        who = asker(message)
        name = subject.removeprefix(f"{streams.ASK_QUERY}.")
        try:
            question = Question.model_validate_json(message.data or b"{}")
            asked = name, json.dumps(question.params, sort_keys=True), question.after
            if question.offset and (known := self._long.find(who, asked)) is not None:
                return part(known, question.offset)
            answer = await self._answer(name, question.params, question.after)
            measures.QUERIES.labels(name, "answered").inc()
            text = json.dumps(answer, ensure_ascii=False, allow_nan=False)
            if question.offset is not None and (question.offset or len(text) > PART):
                self._long.keep(who, asked, text)
                return part(text, question.offset)
            return f'{{"answer": {text}}}'.encode()
        except ValidationError as error:
            return _error(f"the query is not understood: {explain(error)}")
        except QueryNotUnderstood as error:
            return _error(str(error))
        except NotAnsweredNow as error:
            return _error(str(error), retry=True)
        except Exception:
            measures.QUERIES.labels(name, "failed").inc()
            _log.exception("query failed", name=name)
            return _error(f"the query {name!r} failed; the log says why")


def _error(text: str, *, retry: bool = False) -> bytes:
    return json.dumps({"error": text} | ({"retry": True} if retry else {})).encode()
