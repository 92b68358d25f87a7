"""The page on commands."""

from collections.abc import Iterator

from docs.reference.fields import doc, fields_table
from docs.reference.layout import page
from release_management.adapters.nats import asyncapi
from release_management.kernel.types import Giver
from release_management.services.envelope import Outcome
from release_management.services.use_cases import (
    COMMANDS,
    declaration,
    given_by,
)


def text() -> str:
    """Return the page on every command."""

    def listed() -> Iterator[str]:
        public = given_by(Giver.PEOPLE)
        for name in sorted(public):
            model = declaration(name)
            yield from (f"## {name}", "", doc(model), "", *fields_table(model))
        yield from ("## Sent by the machinery", "")
        yield "Executors, orchestrator and timers send these. They change nothing where they do not fit what stands."
        yield "A deadline waits until the reports that were queued before it have been decided."
        yield ""
        for name, (model, _) in sorted(COMMANDS.items()):
            if name not in public:
                yield from (f"### {name}", "", asyncapi.described(model), "", *fields_table(model))
        yield from ("## The outcome", "", *doc(Outcome).splitlines(), "", *fields_table(Outcome))

    return page(
        "Commands",
        """
        The commands, by their names on the bus. The fields stand in the CloudEvent's `data`.
        Ask on `relman.ask.command.<name>` for an answer, or publish on `relman.commands.<name>`:
        [Publish commands from a service](../how-to/publish-commands-from-a-service.md). The types are in
        [Types](types.md). A command whose result is already true records nothing.
        """,
        listed(),
    )
