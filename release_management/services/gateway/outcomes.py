"""A command's outcome: as it is answered, as it is stored for a repetition, and as it is shown to people."""

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
"""The keys of a result that may be stored unsealed: ids, names of ours, versions, phases, verdicts; no persons."""


def busy(envelope: CommandEnvelope, reason: str, code: ErrorCode = ErrorCode.BUSY) -> Outcome:
    """Return the outcome of a command that was not decided; `code` says why, unless it came too often or too early."""
    return _outcome(envelope, "busy", reason, code)


def other_content(envelope: CommandEnvelope) -> Outcome:
    """Return the outcome for an id that was used before, for another content."""
    used = f"the id {envelope.id!r} was used before by {envelope.sender!r} for another content"
    reason = f"{used}; a new command needs a new id"
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
    """Converts outcomes for the log, from the log, and for people.

    In between they are JSON: `status`, `code`, `reason`, `verdicts`, `result`, and the command's sender, id and name.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def stored(self, outcome: Mapping[str, Any], actor: str, sealer: Sealer) -> bytes:
        """Return an outcome's bytes for the log, sealed under the actor's key if it may name a person.

        A refusal is sealed: its reason may quote a personal text. An acceptance is, unless its result is all `OPEN`.
        """
        refused = outcome["status"] == "refused"
        stored: dict[str, Any] = {"command": outcome["command"], "refused": refused}
        if refused or not outcome["result"].keys() <= OPEN:
            stored |= {"subject": actor, "sealed": sealer.seal(actor, to_json(outcome).decode())}
        else:
            stored["said"] = outcome
        return to_json(stored)

    def first(self, outcome: Mapping[str, Any], first: int, last: int) -> Outcome:
        """Return the outcome of a command that has just been decided, with the positions of its records."""
        return self._shown({**outcome, "first": first, "last": last})

    def repeat(self, repeated: Repeated) -> Outcome:
        """Return the first outcome, for a repeated command."""
        stored = json.loads(repeated.outcome)
        outcome = stored.get("said")
        if outcome is None:
            text = self._keyring.open(stored["subject"], stored["sealed"])
            erased = {"sender": "", "id": "", "command": stored["command"], "reason": ERASED}
            outcome = erased if text is None else json.loads(text)
        positions = {"first": repeated.first, "last": repeated.last}
        return self._shown({**outcome, "status": "repeated", "refused": stored["refused"], **positions})

    def _shown(self, outcome: dict[str, Any]) -> Outcome:
        """Return the outcome with names in place of ids, and with sealed texts opened."""
        text = to_json(outcome)
        if _FOR_PEOPLE.search(text):
            text = to_json(reveal(json.loads(text), self._keyring))
        return Outcome.model_validate_json(text)
