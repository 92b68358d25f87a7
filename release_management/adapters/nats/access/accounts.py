"""The accounts of the bus: how far a message can go, whatever subject its sender has the answer sent to.

A server checks the subject that a user publishes on, but not the one that the answer goes to: JetStream sends the
receipt of a queued command to any `reply` that stands in it. So who is no role of ours is in an account of his own.
Only the subjects that he may use lead from there into ours; the answer comes back to his account, and ends there. The
stream of events is in an account with nobody but the relay: a message that got into it could not be taken out again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from release_management.adapters.nats.access import permissions
from release_management.adapters.nats.access.permissions import (
    CLIENT,
    EXECUTORS,
    RELAY,
    Permissions,
)
from release_management.adapters.nats.access.senders import (
    as_sent_by,
    only_to,
    sent_by,
)
from release_management.adapters.nats.connection import EXECUTOR, inbox_prefix
from release_management.adapters.nats.queues import streams

RELMAN = "RELMAN"
EVENTS = "EVENTS"
CLIENTS = "CLIENTS"
_MANY = (".CONSUMER.MSG.NEXT.", ".DIRECT.GET.")
"""What is answered with several messages."""

Ways = Mapping[str, tuple[str, ...]]
"""Subjects, by the account that they lead to or come from."""


@dataclass(frozen=True, slots=True)
class Account:
    """Users who can reach one another, and the only ways that lead out: what they may ask of others, and hear there."""

    users: Mapping[str, Permissions]
    jetstream: bool = False
    asks: Ways = field(default_factory=dict)
    tells: frozenset[str] = frozenset()
    """The accounts that are told on which connection somebody asks."""
    hears: Ways = field(default_factory=dict)
    client: str = ""
    """The name of the client whose account it is, if he has one: his subjects have it on our side."""

    def imports(self) -> Iterator[dict[str, Any]]:
        """As the server's configuration has them."""
        for account, subjects in self.asks.items():
            told = {"share": True} if account in self.tells else {}
            for subject in subjects:
                name, sent = sent_by(subject)
                yield {"service": {"account": account, "subject": subject}} | ({"to": sent} if name else {}) | told
        for account, subjects in self.hears.items():
            for subject in subjects:
                led = {"to": ">"} if subject == only_to(self.client, ">") else {}
                yield {"stream": {"account": account, "subject": subject}} | led


def accounts(executors: Iterable[str] = EXECUTORS, clients: Iterable[str] = ()) -> Mapping[str, Account]:
    """All of them by name, with the executors and the clients of these names."""
    clients = tuple(clients)
    users = {**permissions.USERS, "gateway": permissions.gateway(clients)}
    inbox = f"{inbox_prefix(CLIENT)}.>"
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
    """What an account lets others use, and whom, as the server's configuration has it."""
    for kind in ("service", "stream"):
        taken: dict[str, list[str]] = {}
        for other, account in everybody.items():
            for subject in (account.asks if kind == "service" else account.hears).get(name, ()):
                taken.setdefault(subject, []).append(other)
        for subject, others in taken.items():
            export: dict[str, Any] = {kind: subject, "accounts": others}
            yield export | {"response_type": "stream"} if any(each in subject for each in _MANY) else export


def document(everybody: Mapping[str, Account], passwords: Mapping[str, str]) -> dict[str, Any]:
    """All accounts as the server's configuration has them."""
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
