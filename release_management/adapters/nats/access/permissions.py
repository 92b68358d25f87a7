"""The users of the bus, and the subjects that each may publish and subscribe to: no more than it needs.

Anything that is not named is forbidden. `client` is every user that is no role of ours. A server does not check reply
subjects: the accounts (`accounts.py`) keep answers from going elsewhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from release_management.adapters.nats.access.senders import from_everybody, only_to
from release_management.adapters.nats.queues import streams

CLIENT = "client"
RELAY = "relay"
EXECUTOR = "executor-"
"""The user of an executor is named by this and its name."""
SHARED_INBOX = "_INBOX"
"""The prefix of inboxes that clients of all makes use."""
RESPONSE_SECONDS = 60
_API = "$JS.API"
_ABOUT = (f"{_API}.INFO",)
USER_INFO = "$SYS.REQ.USER.INFO"
"""The subject on which the server tells a user its name and permissions."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects, with the server's wildcards. With `responds` the user may also answer each request that it gets."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    responds: bool = False

    def document(self) -> dict[str, Any]:
        """Return the permissions for the server's configuration."""
        document: dict[str, Any] = {
            "publish": {"allow": list(self.publish)},
            "subscribe": {"allow": list(self.subscribe)},
        }
        if self.responds:
            document["allow_responses"] = {"max": 1, "expires": f"{RESPONSE_SECONDS}s"}
        return document


def _inbox(user: str) -> str:
    return f"{_own_inbox(user)}.>"


def _own_inbox(user: str) -> str:
    return f"{SHARED_INBOX}_{user}"


def _stream_info(*names: str) -> tuple[str, ...]:
    return tuple(f"{_API}.STREAM.INFO.{name}" for name in names)


def makes_stream(name: str) -> str:
    """Return the subject on which a stream is created."""
    return f"{_API}.STREAM.CREATE.{name}"


def _keeps_streams(*names: str) -> tuple[str, ...]:
    created = tuple(makes_stream(name) for name in names)
    return created + tuple(f"{_API}.STREAM.{verb}.{name}" for verb in ("UPDATE", "INFO") for name in names)


def _consumer(stream: str, name: str, *filters: str) -> tuple[str, ...]:
    """Return the subjects to create, use and remove one durable consumer, and to settle its messages."""
    made = f"{_API}.CONSUMER.CREATE.{stream}.{name}"
    return (
        *([made] if not filters else [f"{made}.{each}" for each in filters]),
        f"{_API}.CONSUMER.DELETE.{stream}.{name}",
        f"{_API}.CONSUMER.INFO.{stream}.{name}",
        f"{_API}.CONSUMER.MSG.NEXT.{stream}.{name}",
        f"$JS.ACK.{stream}.{name}.>",
    )


def event_consumers(user: str) -> tuple[str, ...]:
    """Return the names of the event consumers that a client can have."""
    return tuple(f"{user}-{number}" for number in range(1, streams.EVENT_CONSUMERS + 1))


def reads_events(user: str) -> tuple[str, ...]:
    """Return the subjects to follow the events: to read them by sequence, and to use a few consumers of fixed names.

    A server counts neither consumers nor requests of a user. A name is a part of the subject, so it can be permitted.
    """
    return (
        *_ABOUT,
        f"{_API}.STREAM.NAMES",
        *_stream_info(streams.EVENTS),
        f"{_API}.STREAM.MSG.GET.{streams.EVENTS}",
        f"{_API}.DIRECT.GET.{streams.EVENTS}",
        *(
            subject
            for name in event_consumers(user)
            for subject in (
                *_consumer(streams.EVENTS, name),
                f"{_API}.CONSUMER.CREATE.{streams.EVENTS}.{name}.>",
                f"{_API}.CONSUMER.DURABLE.CREATE.{streams.EVENTS}.{name}",
            )
        ),
    )


ASKS = (
    f"{streams.ASK_COMMAND}.>",
    streams.ASK_OUTCOME,
    f"{streams.ASK_QUERY}.>",
    streams.ASK_CONTENT,
    streams.ASK_DEAD_LETTERS,
    streams.REPLAY_DEAD_LETTERS,
    f"{streams.COMMAND_SUBJECTS}.>",
)
"""The subjects for commands and requests."""
_GIVES_SYSTEM_COMMANDS = (
    f"{streams.SYSTEM_SUBJECTS}.>",
    streams.ASK_OUTCOME,
    *_stream_info(streams.COMMANDS, streams.REPORTS),
    f"{_API}.CONSUMER.INFO.{streams.REPORTS}.{streams.GATEWAY}",
    f"{_API}.CONSUMER.INFO.{streams.COMMANDS}.{streams.GATEWAY}",  # an older version reads reports there
)


def client(user: str) -> Permissions:
    """Return the permissions of a user that is no role of ours."""
    return Permissions(
        publish=(*ASKS, *reads_events(user)),
        subscribe=(f"{SHARED_INBOX}.>", *streams.ANSWERS, f"{streams.EVENT_SUBJECTS}.>"),
    )


def gateway(clients: Iterable[str] = ()) -> Permissions:
    """Return the permissions of the gateway, which takes the commands of these clients from queues of their own."""
    names = tuple(clients)
    return Permissions(
        publish=(
            *_ABOUT,
            USER_INFO,
            *_keeps_streams(*streams.work(names)),
            *(
                subject
                for stream in (*streams.queues(names), streams.REPORTS)
                for subject in _consumer(stream, streams.GATEWAY)
            ),
            *(f"{_API}.STREAM.MSG.{verb}.{name}" for verb in ("GET", "DELETE") for name in streams.work(names)),
            streams.DEAD_LETTER,
            *from_everybody(f"{streams.COMMAND_SUBJECTS}.>"),
            f"{streams.REPORT_SUBJECTS}.*",
            f"{streams.ORDER_SUBJECTS}.*.*",
            only_to("*", ">"),
            f"{SHARED_INBOX}.>",
            *streams.ANSWERS,
        ),
        subscribe=(
            _inbox("gateway"),
            *from_everybody(f"{streams.ASK_COMMAND}.>"),
            *from_everybody(streams.ASK_OUTCOME),
            *from_everybody(streams.ASK_CONTENT),
            *from_everybody(streams.ASK_DEAD_LETTERS),
            *from_everybody(streams.REPLAY_DEAD_LETTERS),
            f"{streams.SYSTEM_SUBJECTS}.>",
        ),
        responds=True,
    )


ROLES: Mapping[str, Permissions] = {
    "gateway": gateway(),
    "projector": Permissions(
        publish=_ABOUT,
        subscribe=(_inbox("projector"), *from_everybody(f"{streams.ASK_QUERY}.>"), f"{streams.LOOK_SUBJECTS}.*"),
        responds=True,
    ),
    "orchestrator": Permissions(
        publish=(
            *_ABOUT,
            *_GIVES_SYSTEM_COMMANDS,
            *_stream_info(streams.ORDERS),
            f"{streams.ORDER_SUBJECTS}.*.*",
        ),
        subscribe=(_inbox("orchestrator"),),
    ),
    "timers": Permissions(publish=(*_ABOUT, *_GIVES_SYSTEM_COMMANDS), subscribe=(_inbox("timers"),)),
    RELAY: Permissions(
        publish=(
            *_ABOUT,
            *_keeps_streams(streams.EVENTS),
            f"{_API}.STREAM.MSG.GET.{streams.EVENTS}",
            f"{_API}.CONSUMER.LIST.{streams.EVENTS}",
            f"{_API}.CONSUMER.DELETE.{streams.EVENTS}.*",
            f"{streams.EVENT_SUBJECTS}.>",
        ),
        subscribe=(_inbox(RELAY),),
    ),
}
"""The users that are roles of ours, by the role's name; each has inboxes of its own."""
USERS: Mapping[str, Permissions] = {CLIENT: client(CLIENT), **ROLES}


def inbox_prefix(user: str | None) -> str:
    """Return the prefix of a user's inboxes: a role's own, where nobody else may listen, else the shared one."""
    return _own_inbox(user) if user is not None and (user in ROLES or user.startswith(EXECUTOR)) else SHARED_INBOX


def executor(name: str) -> Permissions:
    """Return the permissions of `executor-<name>`: take the orders of that executor, and report as it."""
    orders = f"{streams.ORDER_SUBJECTS}.{name}"
    return Permissions(
        publish=(
            *_ABOUT,
            *_stream_info(streams.ORDERS),
            *_consumer(streams.ORDERS, name, f"{orders}.*"),
            f"{streams.REPORT_SUBJECTS}.{name}",
            f"{streams.LOOK_SUBJECTS}.{name}",
            f"{streams.DEAD_ORDERS}.{name}",
        ),
        subscribe=(_inbox(f"{EXECUTOR}{name}"),),
    )


def named(name: str) -> str:
    """Return the user of a client with a name of its own."""
    return f"{CLIENT}-{name}"


def users(executors: Iterable[str], clients: Iterable[str] = ()) -> Mapping[str, Permissions]:
    """Return all users, with executors and clients of these names."""
    clients = tuple(clients)
    return {
        **USERS,
        "gateway": gateway(clients),
        **{f"{EXECUTOR}{name}": executor(name) for name in executors},
        **{named(name): client(named(name)) for name in clients},
    }
