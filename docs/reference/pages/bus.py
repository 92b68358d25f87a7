"""The page on the bus."""

from collections.abc import Iterable, Iterator

from nats.js.api import RetentionPolicy

from docs.reference.fields import Meanings, doc, fields_table, row
from docs.reference.layout import page
from release_management.adapters.nats.access import permissions
from release_management.adapters.nats.queues import streams
from release_management.domain import orders


def text() -> str:
    """Return the page on subjects, headers, streams, orders and reports."""

    def listed() -> Iterator[str]:
        yield from ("## Subjects", "", "| subject | what it is for |", "|---|---|")
        for subject in (
            f"{streams.ASK_COMMAND}.<name>",
            streams.ASK_OUTCOME,
            f"{streams.ASK_QUERY}.<name>",
            streams.ASK_CONTENT,
            streams.ASK_DEAD_LETTERS,
            streams.REPLAY_DEAD_LETTERS,
            f"{streams.COMMAND_SUBJECTS}.<name>",
            f"{streams.EVENT_SUBJECTS}.<name>",
            f"{streams.ORDER_SUBJECTS}.<executor>.<environment>",
            f"{streams.REPORT_SUBJECTS}.<executor>",
            f"{streams.LOOK_SUBJECTS}.<executor>",
            f"{streams.SYSTEM_SUBJECTS}.<name>",
            streams.DEAD_LETTER,
            f"{streams.DEAD_ORDERS}.<executor>",
        ):
            yield row(f"`{subject}`", Meanings.of("subjects", subject))
        yield from ("", "## Headers", "", "| header | meaning |", "|---|---|")
        ours_and_theirs = (streams.ACTOR, streams.PATIENCE, streams.REPLY_TO, streams.POSITION, streams.CONTENT_TYPE)
        for header in (*ours_and_theirs, "Nats-Msg-Id"):
            yield row(f"`{header}`", Meanings.of("headers", header))
        yield from ("", "A command with another header that begins with `Relman-`, in any case of letters, with one of")
        yield "these twice, or with headers that cannot be read, is a dead letter. What a client writes into a header"
        yield "that the server uses itself (`Status`, `Nats-…`) means nothing to a reader."
        yield from ("", "## Streams", "", "| stream | holds | kept | when full |", "|---|---|---|---|")
        for config in streams.configurations(clients=("<name>",)):
            kept = "until taken" if config.retention == RetentionPolicy.WORK_QUEUE else "the newest"
            full = "new messages are refused" if str(config.discard).lower().endswith("new") else "the oldest go"
            size = f"{(config.max_bytes or 0) // streams.MEBIBYTE:,} MiB"
            age = f", {config.max_age / streams.DAY:g} days" if config.max_age else ""
            yield row(f"`{config.name}`", f"{config.description}", f"{kept}, at most {size}{age}", full)
        yield from ("", "## Users", "")
        yield "Every role has a user of its own, and so has every client to whom `relman up --client NAME` or"
        yield "`relman nats-config --client NAME` gave one; all other clients share one. What is not named here is"
        yield "forbidden. Every executor and every client with a name has an account of its own. Those who share the"
        yield "user `client` have one together; the answers that they get do not leave it. What a client with a name"
        yield "sends comes to the roles on `relman.from.<name>.…`."
        yield "`relman nats-config` prints all of it, with the server's own subjects (`$JS…`), for a server of yours."
        yield from ("", "| user | may publish | may subscribe |", "|---|---|---|")
        named = {
            "client-<name>": permissions.client("client-<name>"),
            "executor-<name>": permissions.executor("<name>"),
        }
        for user, allowed in {**permissions.USERS, **named}.items():
            yield row(f"`{user}`", *(ours(subjects) for subjects in (allowed.publish, allowed.subscribe)))
        yield from ("", "## An order", "", *doc(orders.Order).splitlines(), "")
        yield from fields_table(orders.Order)
        yield from ("## A report", "", *doc(orders.Report).splitlines(), "")
        yield from fields_table(orders.Report)

    return page(
        "The bus",
        """
        `relman up` starts a NATS server on 127.0.0.1. Its URL, with a password, stands in `.relman/nats.url`, readable
        by the owner only. A message may have 256 KiB.
        How to use it from a service: [Publish commands from a service](../how-to/publish-commands-from-a-service.md).
        All messages with their JSON Schemas: [AsyncAPI](asyncapi.md).
        """,
        listed(),
    )


def ours(subjects: Iterable[str]) -> str:
    """The subjects that are not the server's own."""
    return ", ".join(f"`{subject}`" for subject in subjects if not subject.startswith("$")) or "–"
