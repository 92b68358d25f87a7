"""What environments declare, compared with what runs there."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from release_management.domain.configuration import resolve
from release_management.domain.environment import Environment, Target

Row = Mapping[str, Any]


def is_outdated(environment: Environment, slot: Row, scales: bool) -> bool:
    """Whether a stable version runs with another configuration than is declared for it now.

    What runs without a recorded configuration, or is not declared any more, is not said to. `scales`: the number of
    replicas is a policy's, and not what the component declares.
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
    """The slots of an environment whose stable version runs with another configuration than is declared now."""
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


def said_of(found: Iterable[Row], *, would: bool = False) -> list[str]:
    """A line for each release that is to be deployed again; `would`: once what was asked about is done."""
    components: dict[tuple[str, str], dict[str, None]] = {}
    for slot in found:
        components.setdefault((slot["release"], slot["environment"]), {})[slot["component"]] = None
    return [_line(release, environment, list(names), would) for (release, environment), names in components.items()]


def _line(release: str, environment: str, names: list[str], would: bool) -> str:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    count = f"{len(names)} component{'s' if len(names) > 1 else ''} ({shown})"
    run = ("would run" if would else "run") + ("" if would or len(names) > 1 else "s")
    return f"{count} {run} with another configuration than declared: relman deploy {release} {environment}"
