"""The health's word on requests that were dropped."""

from collections.abc import Mapping

from release_management.runtime.roles.kit.health import Health


def look_at_lanes(pressure: Mapping[str, str | None], health: Health) -> None:
    """Have the health say which kinds of requests come faster than they can be answered."""
    said = [f"{lane}: {sentence}" for lane, sentence in sorted(pressure.items()) if sentence is not None]
    if said:
        health.warn("requests", "; ".join(said))
    else:
        health.clear("requests")
