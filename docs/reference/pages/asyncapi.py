"""The page on the AsyncAPI document."""

from collections.abc import Iterator

from docs.reference.fields import row
from docs.reference.layout import page
from release_management.adapters.nats import asyncapi


def text() -> str:
    """Return the page on the AsyncAPI document."""

    def listed() -> Iterator[str]:
        yield from ("| channel | subject | relman | with whom | messages | answers |", "|---|---|---|---|---|---|")
        for channel in asyncapi.CHANNELS:
            address = channel.address.replace("{", "<").replace("}", ">")
            yield row(
                f"`{channel.key}`",
                f"`{address}`",
                "receives" if channel.received else "sends",
                ", ".join(channel.users) or "–",
                f"{len(channel.messages)}" if len(channel.messages) > 1 else f"`{channel.messages[0]}`",
                ", ".join(f"`{answer}`" for answer in channel.answers) or "–",
            )

    return page(
        "AsyncAPI",
        """
        `relman asyncapi` prints everything that goes over the bus as an [AsyncAPI 3.0](https://www.asyncapi.com)
        document, `relman asyncapi --yaml` the same as YAML. It is made from the models that read and write the
        messages. Every command, event, query, order and report has a payload schema of its own (JSON Schema draft-07)
        under `components.schemas`: `command.deployment.deploy`, `event.deployment.started`, `query.releases`, `order`.

        ```console
        $ relman asyncapi > asyncapi.json
        ```

        A query's rows are only said to be objects; their columns stand in [Queries](queries.md). A reply goes to the
        inbox that the request names, so its channel has no address. Streams stand under `x-jetstream`, for which
        AsyncAPI has no words.
        """,
        listed(),
    )
