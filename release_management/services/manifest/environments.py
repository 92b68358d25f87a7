"""Compare the file's environments and targets with the recorded ones."""

import json
from collections.abc import Iterator, Mapping
from typing import get_args

from release_management.domain.environment import (
    ConfigureEnvironment,
    Environment,
    Target,
)
from release_management.domain.environment_decisions import EnvironmentFacts, decide
from release_management.domain.tiers import (
    DEFAULT_TIER,
    Tier,
    suggested_tier,
)
from release_management.kernel.errors import ErrorCode
from release_management.kernel.suggestions import no_such_executor
from release_management.kernel.types import Refused
from release_management.services.gateway.unit_of_work import SettingsCheck
from release_management.services.manifest.change import (
    ManifestChange,
    Row,
    differences,
)
from release_management.services.manifest.in_turn import (
    TargetKey,
    Targets,
    in_turn,
    place_of,
)
from release_management.services.manifest.models import (
    EnvironmentPart,
    Manifest,
    TargetPart,
)
from release_management.services.manifest.yaml_file import Place, YamlFile
from release_management.services.use_cases.exclusive_resources import collision

COMMAND = ConfigureEnvironment.NAME


def changed_environments(
    manifest: Manifest,
    file: YamlFile,
    recorded: Mapping[str, Row],
    executors: Mapping[str, SettingsCheck],
    *,
    elsewhere: bool,
) -> list[ManifestChange]:
    """Return new and differing environments, each followed by its targets.

    A target that waits for a resource which another target frees comes after that one. `elsewhere`: the gateway may
    know other executors than these; targets of others are left to it.
    """
    before = {(name, target.name): target for name, row in recorded.items() for target in _targets(row).values()}
    stated: dict[TargetKey, Target] = {}
    for name, part in manifest.environments.items():
        for known, body in part.targets.items():
            place = ("environments", name, "targets", known)
            target = _target(known, body, (manifest, part), file, place)
            if target.executor in executors or not elsewhere:
                _check_settings(target, file, place, executors)
            stated[name, known] = target
    stated = {where: _with_its_label(target, before.get(where)) for where, target in stated.items()}
    changed = {where: target for where, target in stated.items() if before.get(where) != target}
    _check_claims(before, changed, file, executors)
    return in_turn(list(_changes(manifest, file, recorded, before, changed)), before, changed, file, executors)


def _changes(
    manifest: Manifest, file: YamlFile, recorded: Mapping[str, Row], before: Targets, changed: Targets
) -> Iterator[tuple[TargetKey | None, ManifestChange]]:
    for name, part in manifest.environments.items():
        row = recorded.get(name)
        _check_approval(name, part, file)
        stated = part.model_dump(mode="json", exclude_none=True, exclude={"targets", "name", "applications"})
        if part.name is not None:
            stated["label"] = part.name
        commands = ((COMMAND, {"name": name, **stated}),)
        if row is None:
            yield None, ManifestChange("+", "environment", name, () if part.tier else (_unstated_tier(name),), commands)
        elif details := differences({key: row[key] for key in stated}, stated):
            yield None, ManifestChange("~", "environment", name, details, commands)
        for target in part.targets:
            where = (name, target)
            if where in changed:
                yield where, _changed_target(name, changed[where], before.get(where))


def _unstated_tier(name: str) -> str:
    """Return a note on a tier that was not stated, and how to state it."""
    suggested = suggested_tier(name)
    tier = f"tier {suggested} by its name" if suggested else f"tier {DEFAULT_TIER}, as its name says none"
    return f"{tier} (set another with 'tier: {'|'.join(get_args(Tier))}')"


def order_after(manifest: Manifest, recorded: Mapping[str, Row]) -> tuple[str, ...]:
    """Return every environment's name in the order after the file is applied."""
    orders = {name: int(row["order"]) for name, row in recorded.items()}
    for name, part in manifest.environments.items():
        end = max(orders.values(), default=-1) + 1
        orders[name] = orders.get(name, end) if part.order is None else part.order
    return tuple(name for _, name in sorted((order, name) for name, order in orders.items()))


def _targets(row: Row | None) -> dict[str, Target]:
    return {each["name"]: Target.model_validate_json(json.dumps(each)) for each in (row or {}).get("targets", ())}


def _check_claims(before: Targets, changed: Targets, file: YamlFile, executors: Mapping[str, SettingsCheck]) -> None:
    """Apply the gateway's rule on claims to the changed targets and all others."""
    stated = [(environment, target) for (environment, _), target in changed.items()]
    others = [(where[0], target) for where, target in before.items() if where not in changed]
    if found := collision(stated, others, executors):
        claim, reason = found
        target = ("environments", claim.environment, "targets", claim.target)
        raise file.refusal(place_of(target, claim.application, claim.component, file), reason, ErrorCode.CONFLICT)


def _target(
    name: str, body: TargetPart, around: tuple[Manifest, EnvironmentPart], file: YamlFile, place: Place
) -> Target:
    try:
        target = body.named(name, [part.applications for part in around])
    except ValueError as error:
        raise file.refusal((*place, "components"), str(error)) from None
    return target


def _check_settings(target: Target, file: YamlFile, place: Place, executors: Mapping[str, SettingsCheck]) -> None:
    """Refuse an unknown executor, and settings that it rejects."""
    if target.executor not in executors:
        reason = no_such_executor(target.executor, executors)
        raise file.refusal((*place, "executor"), reason, ErrorCode.NOT_FOUND)
    for application, component, settings in target.declared():
        try:
            executors[target.executor]({**settings, "slots": list(target.slots)}, target.routes != "none")
        except ValueError as error:
            raise file.refusal(place_of(place, application, component, file), str(error)) from None


def _with_its_label(target: Target, before: Target | None) -> Target:
    if target.label is not None or before is None:
        return target
    return target.model_copy(update={"label": before.label})


def _changed_target(environment: str, target: Target, before: Target | None) -> ManifestChange:
    stated = target.model_dump(mode="json")
    name = f"{environment}/{target.name}"
    commands = ((COMMAND, {"name": environment, "targets": [stated]}),)
    if before is None:
        names = (f"{own}/{component}" if own else component for own, component, _ in target.declared())
        components = ", ".join(names) or "no component yet"
        return ManifestChange("+", "target", name, (f"{target.executor} runs {components}",), commands)
    return ManifestChange("~", "target", name, differences(before.model_dump(mode="json"), stated), commands)


def _check_approval(name: str, part: EnvironmentPart, file: YamlFile) -> None:
    """Apply the domain's rule, with stand-ins for the approvers' ids."""
    if part.approval is None:
        return
    people = {person: f"usr_{number:08d}" for number, person in enumerate(dict.fromkeys(part.approval.approvers))}
    configure = ConfigureEnvironment(name=name, approval=part.approval)
    try:
        decide(configure, Environment(), EnvironmentFacts(actor="", people=people))
    except Refused as refused:
        raise file.refusal(("environments", name, "approval"), refused.reason, refused.code) from None
