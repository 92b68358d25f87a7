"""Settings in layers: an application's defaults, an environment's differences, and a target's differences.

A nearer layer overrides a wider one: mappings are merged key by key, at every depth; any other value replaces the wider
one, lists too; null removes it.
"""

from collections.abc import Collection, Iterable, Mapping

from pydantic import Field, JsonValue

from release_management.kernel.names import ByName
from release_management.kernel.types import Value

Settings = dict[str, JsonValue]
Applications = Mapping[str, "ApplicationLayer"]


class ApplicationLayer(Value):
    """One layer's settings of an application's components; null: the component is absent."""

    components: ByName[Settings | None] = Field({}, description="each component's settings here; null: it is not there")


def over(wider: Mapping[str, JsonValue], nearer: Mapping[str, JsonValue]) -> Settings:
    """Return the wider mapping overridden by the nearer one."""
    merged = dict(wider)
    for key, value in nearer.items():
        below = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = over(below if isinstance(below, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def flattened(layers: Iterable[Applications], beside: Collection[str] = ()) -> dict[str, dict[str, Settings]]:
    """Return each application's components with their settings after all layers, the widest first.

    `beside` are the components that the target has for any application. Raises `ValueError` if an application's own
    settings would override one of them.
    """
    found: dict[str, dict[str, Settings]] = {}
    for layer in layers:
        for application, part in layer.items():
            components = found.setdefault(application, {})
            for name, settings in part.components.items():
                if settings is None:
                    components.pop(name, None)
                else:
                    components[name] = over(components.get(name, {}), settings)
    for application, components in found.items():
        if both := [name for name in components if name in beside]:
            raise ValueError(
                f"{both[0]} stands under components, and application {application} has settings of its own for it, "
                f"which come first; write it under applications.{application}.components.{both[0]} alone"
            )
    return {application: components for application, components in found.items() if components}
