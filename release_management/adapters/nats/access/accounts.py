"""The accounts of the bus: they bound how far a message can go, whatever reply subject its sender names.

A server checks the subject that a user publishes on, but not its reply subject: JetStream sends the receipt of a queued
command to any `reply` that stands in it. So every user that is no role of ours is in an account of its own. Only the
subjects that it may use lead from there into ours; the answer comes back to its account, and ends there. The stream of
events is in an account that only the relay uses: a message that got into it could not be removed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from release_management.adapters.nats.access import permissions
from release_management.adapters.nats.access.permissions import (
    CLIENT,
    EXECUTOR,
    RELAY,
    SHARED_INBOX,
    Permissions,
)
from release_management.adapters.nats.access.senders import (
    as_sent_by,
    only_to,
    sent_by,
)
from release_management.adapters.nats.queues import streams

RELMAN = "RELMAN"
EVENTS = "EVENTS"
CLIENTS = "CLIENTS"
_MANY = (".CONSUMER.MSG.NEXT.", ".DIRECT.GET.")
"""Parts of subjects that are answered with several messages."""

Ways = Mapping[str, tuple[str, ...]]
"""Subjects, by the account that they lead to or come from."""


@dataclass(frozen=True, slots=True)
class Account:
    """Users who can reach one another, and the only subjects that lead out, to other accounts and back."""

    users: Mapping[str, Permissions]
    jetstream: bool = False
    asks: Ways = field(default_factory=dict)
    tells: frozenset[str] = frozenset()
    """The accounts that learn on which connection a request was made."""
    hears: Ways = field(default_factory=dict)
    client: str = ""
    """The name of the client that owns the account, if it has a name: on our side its subjects contain it."""

    def imports(self) -> Iterator[dict[str, Any]]:
        """Yield the account's imports for the server's configuration."""
        for account, subjects in self.asks.items():
            share = {"share": True} if account in self.tells else {}
            for subject in subjects:
                name, sent = sent_by(subject)
                yield {"service": {"account": account, "subject": subject}} | ({"to": sent} if name else {}) | share
        for account, subjects in self.hears.items():
            for subject in subjects:
                local_subject = {"to": ">"} if subject == only_to(self.client, ">") else {}
                yield {"stream": {"account": account, "subject": subject}} | local_subject


def accounts(executors: Iterable[str], clients: Iterable[str] = ()) -> Mapping[str, Account]:
    """Return all accounts by name, with executors and clients of these names."""
    clients = tuple(clients)
    users = {**permissions.USERS, "gateway": permissions.gateway(clients)}
    inbox = f"{SHARED_INBOX}.>"
    return {
        RELMAN: Account({name: users[name] for name in users if name not in (CLIENT, RELAY)}, jetstream=True),
        EVENTS: Account({RELAY: users[RELAY]}, jetstream=True),
        CLIENTS: Account(
            {CLIENT: users[CLIENT]},
            asks={RELMAN: permissions.ASKS, EVENTS: permissions.reads_events(CLIENT)},
            tells=frozenset({RELMAN}),
            hears={RELMAN: (inbox, *streams.ANSWERS), EVENTS: (f"{streams.EVENT_SUBJECTS}.>",)},
        ),
        **{f"EXECUTOR_{name}": _executor(name) for name in executors},
        **{f"CLIENT_{name}": _client(name) for name in clients},
    }


def _client(name: str) -> Account:
    user = permissions.named(name)
    return Account(
        {user: permissions.client(user)},
        asks={
            RELMAN: tuple(as_sent_by(name, subject) for subject in permissions.ASKS),
            EVENTS: permissions.reads_events(user),
        },
        tells=frozenset({RELMAN}),
        hears={RELMAN: (only_to(name, ">"),), EVENTS: (f"{streams.EVENT_SUBJECTS}.>",)},
        client=name,
    )


def _executor(name: str) -> Account:
    allowed = permissions.executor(name)
    return Account({f"{EXECUTOR}{name}": allowed}, asks={RELMAN: allowed.publish})


def exports(name: str, everybody: Mapping[str, Account]) -> Iterator[dict[str, Any]]:
    """Yield an account's exports, with the accounts that use them, for the server's configuration."""
    for kind in ("service", "stream"):
        taken: dict[str, list[str]] = {}
        for other, account in everybody.items():
            for subject in (account.asks if kind == "service" else account.hears).get(name, ()):
                taken.setdefault(subject, []).append(other)
        for subject, others in taken.items():
            export: dict[str, Any] = {kind: subject, "accounts": others}
            yield export | {"response_type": "stream"} if any(each in subject for each in _MANY) else export


def document(everybody: Mapping[str, Account], passwords: Mapping[str, str]) -> dict[str, Any]:
    """Return all accounts for the server's configuration."""
    return {
        name: {
            **({"jetstream": "enabled"} if account.jetstream else {}),
            "users": [
                {"user": user, "password": passwords[user], "permissions": allowed.document()}
                for user, allowed in account.users.items()
            ],
            "exports": list(exports(name, everybody)),
            "imports": list(account.imports()),
        }
        for name, account in everybody.items()
    }
