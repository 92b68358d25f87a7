"""What a wish is answered: now, as it is stored for a repetition, and as it is shown to people."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from release_management.kernel.errors import ErrorCode
from release_management.services.envelope import (
    CommandEnvelope,
    Outcome,
    OutcomeStatus,
)
from release_management.services.ports import Keyring, Repeated
from release_management.services.sealing import (
    ERASED,
    Sealer,
    reveal,
)

_FOR_PEOPLE = re.compile(rb'usr_|svc_|"sealed"')
OPEN = frozenset(
    {
        *("approval", "deployment", "deployments", "environment", "incident", "phase", "pipeline", "plan", "policy"),
        *("digest", "release", "resolved", "state", "steps", "strategy", "total", "verdicts"),
    }
)
"""What a result may say unsealed: ids, names of ours, versions, phases and what the rules say, which name no person."""


def busy(envelope: CommandEnvelope, reason: str, code: ErrorCode = ErrorCode.BUSY) -> Outcome:
    """Not decided; try again. `code` says why where that is not that too much was asked, or too early."""
    return _outcome(envelope, "busy", reason, code)


def other_content(envelope: CommandEnvelope) -> Outcome:
    """The answer to an id that was used before, for something else."""
    reason = (
        f"the id {envelope.id!r} was used before by {envelope.sender!r} for another content; a new wish needs a new id"
    )
    return _outcome(envelope, "refused", reason, ErrorCode.CONFLICT)


def _outcome(envelope: CommandEnvelope, status: OutcomeStatus, reason: str, code: ErrorCode) -> Outcome:
    return Outcome(
        status=status,
        sender=envelope.sender,
        id=envelope.id,
        command=envelope.command,
        refused=status == "refused",
        code=code,
        reason=reason,
    )


class OutcomeCodec:
    """Outcomes on their way into the log, out of it, and to people.

    On their way they are JSON: `status`, `code`, `reason`, `verdicts`, `result`, and which wish it was.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def stored(self, said: Mapping[str, Any], actor: str, sealer: Sealer) -> bytes:
        """As the log keeps it, sealed under the actor's key where it may name a person.

        What was refused is: the reason may repeat such a text. What was accepted is, unless its result is all `OPEN`.
        """
        refused = said["status"] == "refused"
        stored: dict[str, Any] = {"command": said["command"], "refused": refused}
        if refused or not said["result"].keys() <= OPEN:
            stored |= {"subject": actor, "sealed": sealer.seal(actor, to_json(said).decode())}
        else:
            stored["said"] = said
        return to_json(stored)

    def first(self, said: Mapping[str, Any], first: int, last: int) -> Outcome:
        """For a wish that has just been decided, with the positions of what was recorded."""
        return self._shown({**said, "first": first, "last": last})

    def repeat(self, repeated: Repeated) -> Outcome:
        """The first outcome, for a wish that comes again."""
        stored = json.loads(repeated.outcome)
        said = stored.get("said")
        if said is None:
            text = self._keyring.open(stored["subject"], stored["sealed"])
            erased = {"sender": "", "id": "", "command": stored["command"], "reason": ERASED}
            said = erased if text is None else json.loads(text)
        positions = {"first": repeated.first, "last": repeated.last}
        return self._shown({**said, "status": "repeated", "refused": stored["refused"], **positions})

    def _shown(self, said: dict[str, Any]) -> Outcome:
        """With names in place of ids, and with sealed texts opened."""
        text = to_json(said)
        if _FOR_PEOPLE.search(text):
            text = to_json(reveal(json.loads(text), self._keyring))
        return Outcome.model_validate_json(text)
