"""Find out what a command is about, as far as it names it, so that a refusal is listed with that."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from release_management.domain.approval import APPROVAL
from release_management.domain.deployment.state import DEPLOYMENT
from release_management.domain.environment import ConfigureEnvironment
from release_management.domain.environment_index import ESTATE
from release_management.domain.incident import INCIDENT
from release_management.domain.release_commands import CreateRelease, ReleaseRef
from release_management.kernel.names import id_of
from release_management.kernel.types import Id

_ID: TypeAdapter[str] = TypeAdapter(Id)
_REF: TypeAdapter[str] = TypeAdapter(ReleaseRef)
_ABOUT = ("application", "release", "environment", "deployment")


def about(command: str, data: Mapping[str, Any], state: Callable[[str], Any]) -> dict[str, str]:
    """Return the application, release, environment and deployment; `state` returns a stream's state.

    A deployment and an environment are named only if they exist: otherwise the command may contain any text.
    """
    found = _of_a_deployment(data, state) or _of_an_incident(data, state)
    release = _valid(_REF, data.get("release"))
    if release is None and command == CreateRelease.NAME:
        release = _valid(_REF, f"{data.get('application', 'default')}@{data.get('version')}")
    if release is not None:
        found |= {"release": release, "application": release.partition("@")[0]}
    environment = _name(data.get("name" if command == ConfigureEnvironment.NAME else "environment"))
    if environment in state(ESTATE.stream()).environments:
        found["environment"] = str(environment)
    if (application := _name(data.get("application"))) is not None:
        found.setdefault("application", application)
    return found


def _of_a_deployment(data: Mapping[str, Any], state: Callable[[str], Any]) -> dict[str, str]:
    """Return what a deployment is about, by its own id, or by that of its approval."""
    approval = _valid(_ID, data.get("approval"))
    id = _valid(_ID, data.get("deployment")) or approval
    if approval is not None and (known := state(APPROVAL.stream(approval))).id:
        id = known.deployment
    if id is None or not (deployment := state(DEPLOYMENT.stream(id))).id:
        return {}
    return {name: getattr(deployment, name) for name in _ABOUT if name != "deployment"} | {"deployment": id}


def _of_an_incident(data: Mapping[str, Any], state: Callable[[str], Any]) -> dict[str, str]:
    id = _valid(_ID, data.get("incident"))
    if id is None or not (incident := state(INCIDENT.stream(id))).id:
        return {}
    return {"application": incident.application, "environment": incident.environment}


def _valid(kind: TypeAdapter[str], value: object) -> str | None:
    try:
        return kind.validate_python(value, strict=True)
    except ValidationError:
        return None


def _name(value: object) -> str | None:
    try:
        return id_of(value) if isinstance(value, str) else None
    except ValueError:
        return None
