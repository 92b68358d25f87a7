"""Answer "busy", with the reason, while a role lacks what it needs, so that it does not seem to be down."""

import asyncio
from collections.abc import Callable

from nats.aio.msg import Msg

from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.submitting import encode
from release_management.adapters.nats.requests.responder import RequestServer, Responder
from release_management.adapters.nats.wire.replies import error_reply
from release_management.kernel.errors import ErrorCode
from release_management.services.envelope import Outcome
from release_management.services.strict_json import read_json

GIVES_WAY_SECONDS = 0.25
"""Seconds to wait before answering: another process of the same role may be well, and its answer comes first."""
_COMMANDS = (streams.ASK_COMMAND, streams.SYSTEM_SUBJECTS)
_OF_GATEWAYS = (streams.ASK_OUTCOME, streams.ASK_CONTENT, streams.ASK_DEAD_LETTERS, streams.REPLAY_DEAD_LETTERS)


class AwayAnswers:
    """Answers requests to the gateway, or to the projector, with the `reason` why it cannot, unless that is None."""

    def __init__(self, connection: NatsConnection, *, of_gateway: bool, reason: Callable[[], str | None]) -> None:
        self._reason = reason
        answers: dict[str, Responder] = {f"{streams.ASK_QUERY}.>": self._answer_question}
        if of_gateway:
            answers = {f"{prefix}.>": self._answer_command for prefix in _COMMANDS}
            answers |= dict.fromkeys(_OF_GATEWAYS, self._answer_question)
        self._answering = RequestServer(connection, answers)
        self.ready = self._answering.ready

    async def run(self) -> None:
        """Answer until cancelled."""
        await self._answering.run()

    async def _answer_command(self, message: Msg) -> bytes | None:
        reason = await self._reason_now()
        if reason is None:
            return None
        try:
            document = read_json(message.data)
            sender, id, command = (str(document[name]) for name in ("source", "id", "type"))
        except (ValueError, LookupError, TypeError, RecursionError):
            return _away(reason)
        code = ErrorCode.UNAVAILABLE
        return encode(Outcome(status="busy", sender=sender, id=id, command=command, code=code, reason=reason))

    async def _answer_question(self, _: Msg) -> bytes | None:
        reason = await self._reason_now()
        return None if reason is None else _away(reason)

    async def _reason_now(self) -> str | None:
        await asyncio.sleep(GIVES_WAY_SECONDS)
        return self._reason()


def _away(reason: str) -> bytes:
    return error_reply(reason, ErrorCode.UNAVAILABLE, retry=True)
