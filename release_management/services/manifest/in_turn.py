"""Order the changes of targets so that none claims a resource which another one still has."""

from collections.abc import Mapping, Sequence

from release_management.domain.environment import Target
from release_management.services.gateway.unit_of_work import SettingsCheck
from release_management.services.manifest.change import ManifestChange
from release_management.services.manifest.yaml_file import Place, YamlFile
from release_management.services.use_cases.exclusive_resources import Reservation, exclusive_resources

TargetKey = tuple[str, str]
"""An environment and a target of it."""
Targets = Mapping[TargetKey, Target]


def in_turn(
    changes: Sequence[tuple[TargetKey | None, ManifestChange]],
    before: Targets,
    changed: Targets,
    file: YamlFile,
    executors: Mapping[str, SettingsCheck],
) -> list[ManifestChange]:
    """Return the changes in order, with one that claims a resource after the one that frees it.

    `changes` state which target each is about, if any. Raises `Refused` if targets exchange resources.
    """
    claims_before = {target_key: _claims(target_key, target, executors) for target_key, target in before.items()}
    reservations = {target_key: _claims(target_key, target, executors) for target_key, target in changed.items()}
    holders: dict[tuple[str, str], set[TargetKey]] = {}
    for holder, held in claims_before.items():
        _hold(holders, holder, held)
    found: list[ManifestChange] = []
    waiting = list(changes)
    while waiting:
        later: list[tuple[TargetKey, ManifestChange]] = []
        for target_key, change in waiting:
            if target_key is not None:
                if _in_the_way(holders, target_key, reservations[target_key]):
                    later.append((target_key, change))
                    continue
                for claim in claims_before.get(target_key, ()):
                    holders[_thing(claim)].discard(target_key)
                _hold(holders, target_key, reservations[target_key])
            found.append(change)
        if later and len(later) == len(waiting):
            first = later[0][0]
            raise _exchanged(holders, first, reservations[first], file)
        waiting = [*later]
    return found


def _claims(target_key: TargetKey, target: Target, executors: Mapping[str, SettingsCheck]) -> tuple[Reservation, ...]:
    return tuple(exclusive_resources([(target_key[0], target)], executors))


def _thing(claim: Reservation) -> tuple[str, str]:
    return claim.executor, claim.thing


def _hold(holders: dict[tuple[str, str], set[TargetKey]], target_key: TargetKey, held: Sequence[Reservation]) -> None:
    for claim in held:
        holders.setdefault(_thing(claim), set()).add(target_key)


def _in_the_way(
    holders: Mapping[tuple[str, str], set[TargetKey]], target_key: TargetKey, reservations: Sequence[Reservation]
) -> tuple[Reservation, TargetKey] | None:
    """Return the first claim that another target has now, and that target."""
    for claim in reservations:
        if others := holders.get(_thing(claim), set()) - {target_key}:
            return claim, min(others)
    return None


def _exchanged(
    holders: Mapping[tuple[str, str], set[TargetKey]],
    target_key: TargetKey,
    reservations: Sequence[Reservation],
    file: YamlFile,
) -> Exception:
    found = _in_the_way(holders, target_key, reservations)
    assert found is not None
    claim, (environment, target) = found
    return file.refusal(
        place_of(("environments", target_key[0], "targets", target_key[1]), claim.application, claim.component, file),
        f"{claim.thing} is still that of target {target} of environment {environment}, which waits for what this one "
        "has; apply twice: first with something here that nobody has, then with this",
    )


def place_of(target: Place, application: str | None, component: str, file: YamlFile) -> Place:
    """Return the place in the file of a component's settings: of several layers the nearest that has some."""
    if application is None:
        return (*target, "components", component)
    path = ("applications", application, "components", component)
    layers = ((*target, *path), (*target[:2], *path), path)
    return next((layer for layer in layers if layer in file.lines), layers[0])
