"""Compare the file's releases with the recorded ones."""

from collections.abc import Iterator
from typing import Any

from release_management.domain.release_commands import PublishRelease
from release_management.kernel.suggestions import first_few
from release_management.services.batches import (
    adding_changes,
    creating_release,
    in_batches,
)
from release_management.services.manifest.change import (
    Asks,
    ManifestChange,
    Row,
    differences,
)
from release_management.services.manifest.models import Manifest, ReleasePart
from release_management.services.manifest.yaml_file import YamlFile
from release_management.services.sealing import ERASED


def changed_releases(manifest: Manifest, file: YamlFile, ask: Asks) -> Iterator[ManifestChange]:
    """Return new releases, and drafts to publish. Other content under an existing version is refused."""
    seen: set[str] = set()
    for index, part in enumerate(manifest.releases):
        place = ("releases", index)
        names = [component.name for component in part.component_inputs]
        if part.ref in seen:
            raise file.refusal(place, f"release {part.ref} stands twice; name each once")
        if len(set(names)) != len(names):
            raise file.refusal((*place, "components"), f"a component stands twice in {', '.join(names)}")
        seen.add(part.ref)
        found = ask("release", ref=part.ref)
        if not found:
            data = {**part.model_dump(mode="json", exclude_none=True), "components": _components(part)}
            yield ManifestChange("+", "release", part.ref, (first_few(names),), tuple(creating_release(data)))
            continue
        stated = _stated(part)
        if details := differences(_present(found[0], stated), stated):
            reason = f"release {part.ref} exists with other content ({details[0]}); state a new version"
            raise file.refusal(place, reason)
        recorded = {change["commit"] for change in found[0].get("changes") or []}
        missing = [change for change in stated["changes"] if change["commit"] not in recorded]
        if missing:
            added = tuple(adding_changes(part.ref, list(in_batches(missing))))
            yield ManifestChange("~", "release", part.ref, (f"{len(missing):,} changes added",), added)
        if found[0]["published"] is None and not part.draft:
            publish = (PublishRelease.NAME, {"release": part.ref})
            yield ManifestChange("~", "release", part.ref, ("published",), (publish,))


def _components(part: ReleasePart) -> list[dict[str, Any]]:
    return [component.model_dump(mode="json", exclude_defaults=True) for component in part.component_inputs]


def _stated(part: ReleasePart) -> dict[str, Any]:
    components = {
        component.name: {
            "version": component.version or part.version,
            "artifact": component.artifact,
            "config": component.config,
            **({"artifact_digest": component.digest} if component.digest else {}),
        }
        for component in part.component_inputs
    }
    changes = [change.model_dump(mode="json", exclude_none=True) for change in part.changes]
    return {"components": components, "changelog": list(part.changelog), "changes": changes}


def _present(row: Row, stated: dict[str, Any]) -> dict[str, Any]:
    """Return the recorded release in the fields of `stated`; an erased text counts as equal."""
    components = {}
    for component in row["components"]:
        name = component["name"]
        compared = stated["components"].get(name, component)
        components[name] = {key: component.get(key) for key in compared}
    changelog = row.get("changelog") or []
    erased = ERASED in changelog and len(changelog) == len(stated["changelog"])
    return {
        "components": components,
        "changelog": stated["changelog"] if erased else changelog,
        "changes": _same_changes(row.get("changes") or [], stated["changes"]),
    }


def _same_changes(recorded: list[dict[str, Any]], stated: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the stated changes as they are recorded; new ones can be added, so they are no difference."""
    known = {change["commit"]: change for change in recorded}
    return [known.get(change["commit"], change) for change in stated]
