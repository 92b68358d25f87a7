"""The page on events."""

from collections.abc import Iterator

from docs.reference.fields import Meanings, doc, fields_table
from docs.reference.layout import page
from release_management.domain import registry
from release_management.kernel import record


def text() -> str:
    """Return the page on every event."""

    def listed() -> Iterator[str]:
        yield from ("## The envelope", "", *fields_table(record.Envelope))
        group = ""
        for name, fact in sorted(registry.FACTS.items(), key=lambda item: item[0].split(".")[0]):
            if name.split(".")[0] != group:
                group = name.split(".")[0]
                yield from (f"## {group}", "", f"Stream {Meanings.of('streams', group)}.", "")
            yield from (f"### {name}", "", f"Version {fact.VERSION}. {doc(fact)}", "")
            yield from fields_table(fact)

    return page(
        "Events",
        """
        Every kind of record that the log can hold. A record is one CloudEvents 1.0 JSON document; `data` holds the
        fields that are listed here. Names and versions are permanent. On the bus the event `deployment.started` comes
        on the subject `relman.events.deployment.started`. A field without a value is left out, never null.
        How to check records is told in [Audit it](../how-to/audit-it.md); the types are in [Types](types.md).
        """,
        listed(),
    )
