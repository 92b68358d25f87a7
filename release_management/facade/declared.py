"""Compare the declared configuration of environments with what runs there."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from release_management.domain.configuration import resolve
from release_management.domain.environment import Environment, Target

Row = Mapping[str, Any]


def is_outdated(environment: Environment, slot: Row, scales: bool) -> bool:
    """Return True if a stable version runs with another configuration than is declared for it now.

    False without a recorded configuration, or for a component that is no longer declared. `scales` is True if the
    number of replicas belongs to a policy, and not to the component's declaration.
    """
    target = environment.targets.get(slot["target"])
    if slot["role"] != "stable" or slot["configuration"] is None or target is None:
        return False
    configuration = resolve(environment, target, slot["application"], slot["component"])
    if configuration is None:
        return False
    replicas = (target.settings_of(slot["application"], slot["component"]) or {}).get("replicas")
    return configuration.digest != slot["configuration"] or (
        not scales and replicas is not None and replicas != slot["replicas"]
    )


def outdated(row: Row, slots: Iterable[Row], policies: Iterable[Row]) -> list[Row]:
    """Return the slots of an environment whose stable version runs with another configuration than is declared now."""
    environment = _environment(row)
    scaled = {
        policy["scope"].partition("/")[0]
        for policy in policies
        if any("replicas" in options for options in policy["strategies"].values())
    }
    return [
        slot
        for slot in slots
        if slot["environment"] == row["name"] and is_outdated(environment, slot, slot["application"] in scaled)
    ]


def _environment(row: Row) -> Environment:
    targets = [Target.model_validate_json(json.dumps(each)) for each in row["targets"]]
    return Environment(
        name=row["name"], variables=row["variables"] or {}, targets={target.name: target for target in targets}
    )


def deploy_again_lines(found: Iterable[Row], *, conditional: bool = False) -> list[str]:
    """Return a line for each release to deploy again; with `conditional`, worded for a change that is not made yet."""
    components: dict[tuple[str, str], dict[str, None]] = {}
    for slot in found:
        components.setdefault((slot["release"], slot["environment"]), {})[slot["component"]] = None
    return [
        _line(release, environment, list(names), conditional) for (release, environment), names in components.items()
    ]


def _line(release: str, environment: str, names: list[str], conditional: bool) -> str:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    count = f"{len(names)} component{'s' if len(names) > 1 else ''} ({shown})"
    run = ("would run" if conditional else "run") + ("" if conditional or len(names) > 1 else "s")
    return f"{count} {run} with another configuration than declared: relman deploy {release} {environment}"
