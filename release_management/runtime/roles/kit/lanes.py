"""Show dropped requests in the health."""

from collections.abc import Mapping

from release_management.runtime.roles.kit.health import Health


def look_at_lanes(pressure: Mapping[str, str | None], health: Health) -> None:
    """Show in the health the lanes in which requests come faster than they can be answered."""
    warnings = [f"{lane}: {sentence}" for lane, sentence in sorted(pressure.items()) if sentence is not None]
    if warnings:
        health.warn("requests", "; ".join(warnings))
    else:
        health.clear("requests")
