"""Compare the file's policies with the recorded ones."""

from collections.abc import Iterator, Mapping
from typing import Any

from release_management.domain.plan.strategies import StrategyName, parse_options
from release_management.domain.policy import (
    ConfigureGates,
    ConfigureRollbackWindow,
    ConfigureStrategy,
    ConfigureTriggers,
    ConfigureVersions,
)
from release_management.domain.versions import DEFAULT
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Refused
from release_management.services.manifest.change import (
    ManifestChange,
    Row,
    Sent,
    differences,
)
from release_management.services.manifest.models import Manifest, PolicyPart
from release_management.services.manifest.yaml_file import Place, YamlFile

Options = Mapping[StrategyName, dict[str, Any]]


def changed_policies(
    manifest: Manifest, file: YamlFile, environments: tuple[str, ...], recorded: Mapping[str, Row]
) -> Iterator[ManifestChange]:
    """Return new and differing policies; `environments` are all that will exist."""
    for scope, part in manifest.policies.items():
        place: Place = ("policies", scope)
        application, slash, environment = scope.partition("/")
        if slash and environment not in environments:
            known = ", ".join(environments) or "none yet"
            reason = f"environment {environment!r} does not exist; known: {known}"
            raise file.refusal(place, reason, ErrorCode.NOT_FOUND)
        about = {"application": application} | ({"environment": environment} if slash else {})
        row = recorded.get(scope, {})
        default, options = _strategies(part, file, place, row)
        details = list(differences(*_compared(row, default, options)))
        commands: list[Sent] = [
            (ConfigureStrategy.NAME, {**about, "strategy": name, "options": options[name]})
            for name in _to_send(row, default, options)
        ]
        stated = part.model_dump(mode="json", exclude_none=True)
        if "versions" in stated:
            if slash:
                raise file.refusal((*place, "versions"), "they are the application's everywhere; state them there")
            if found := differences({"versions": row.get("versions") or DEFAULT}, {"versions": stated["versions"]}):
                details += found
                commands.append((ConfigureVersions.NAME, {"application": application, "versions": stated["versions"]}))
        if "triggers" in stated and (found := differences(row.get("triggers", []), stated["triggers"], "triggers")):
            details += found
            commands.append((ConfigureTriggers.NAME, {**about, "conditions": stated["triggers"]}))
        gates: dict[str, Any] = stated.get("gates", {})
        present = {
            name: {key: value for key, value in gate.items() if key != "label" or key in gates[name]}
            for name, gate in row.get("gates", {}).items()
            if name in gates
        }
        if found := differences({"gates": present}, {"gates": gates}):
            details += found
            commands.append((ConfigureGates.NAME, {**about, "gates": gates}))
        window = {key: stated[key] for key in ("rollback_window",) if key in stated}
        if found := differences({key: row.get(key) for key in window}, window):
            details += found
            commands.append((ConfigureRollbackWindow.NAME, {**about, "window": stated["rollback_window"]}))
        if commands:
            yield ManifestChange("~" if scope in recorded else "+", "policy", scope, tuple(details), tuple(commands))


def _strategies(
    part: PolicyPart, file: YamlFile, place: Place, row: Row
) -> tuple[StrategyName | None, dict[StrategyName, dict[str, Any]]]:
    """Return the default, and the options of every strategy that the file states."""
    options: dict[StrategyName, dict[str, Any]] = dict(part.strategies)
    default = part.strategy
    if default is None:
        if part.options is not None:
            raise file.refusal((*place, "options"), "they belong to no strategy; add: strategy: NAME")
        if len(options) > 1:
            raise file.refusal((*place, "strategies"), "which is the default? Add one of them as: strategy: NAME")
        default = next(iter(options), None)
    elif default not in options:
        known = row.get("strategies", {}).get(default, {})
        options[default] = dict(known) if part.options is None else part.options
    elif part.options is not None:
        reason = f"{default} has options here and in strategies; keep one of them"
        raise file.refusal((*place, "options"), reason)
    for name, strategy_options in options.items():
        inner: Place = ("strategies", name) if name in part.strategies else ("options",)
        try:
            parse_options(name, strategy_options)
        except Refused as refused:
            raise file.refusal((*place, *inner), refused.reason, refused.code) from None
    return default, options


def _compared(row: Row, default: StrategyName | None, options: Options) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the existing values of what the file states, and the stated ones."""
    recorded = row.get("strategies", {})
    before: dict[str, Any] = {name: recorded[name] for name in options if name in recorded}
    after: dict[str, Any] = dict(options.items())
    if default is not None:
        before["default"], after["default"] = row.get("default"), default
    return before, after


def _to_send(row: Row, default: StrategyName | None, options: Options) -> list[StrategyName]:
    """Return the strategies to configure. Each becomes the default, so the stated default comes last."""
    recorded = row.get("strategies", {})
    others = [
        name for name, strategy_options in options.items() if name != default and recorded.get(name) != strategy_options
    ]
    if default is None:
        return others
    unchanged = row.get("default") == default and recorded.get(default) == options[default]
    return others if unchanged and not others else [*others, default]
