"""The page on the roles' metrics."""

from collections.abc import Iterator

from prometheus_client.metrics import MetricWrapperBase

from docs.reference.fields import row
from docs.reference.layout import page
from release_management.services import telemetry


def text() -> str:
    """Return the page on the roles' metrics."""

    def listed() -> Iterator[str]:
        yield from ("| metric | kind | labels | meaning |", "|---|---|---|---|")
        for made in vars(telemetry).values():
            if isinstance(made, MetricWrapperBase):
                [family] = made.describe()
                labels = ", ".join(f"`{label}`" for label in made._labelnames) or "–"
                total = "_total" if family.type == "counter" else ""
                yield row(f"`{family.name}{total}`", family.type, labels, family.documentation)
        yield ""

    return page(
        "Metrics",
        """
        What every role exposes at `/metrics` of its `--http` address, beside what the Prometheus client says of every
        Python process. How to read them: [Run it large](../how-to/run-large.md#probes-and-metrics).
        """,
        listed(),
    )
