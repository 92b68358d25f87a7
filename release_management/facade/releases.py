"""Releases: create, add changes, publish, attest."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from release_management.facade.arguments import (
    listed,
)
from release_management.facade.caller import Caller
from release_management.facade.views import (
    Release,
)
from release_management.services.batches import (
    adding_changes,
    creating_release,
    in_batches,
)


class Releases(Caller):
    """Releases of an application."""

    def create_release(
        self,
        version: str,
        components: Sequence[str | Mapping[str, Any]],
        changelog: Sequence[str] = (),
        changes: Sequence[Mapping[str, Any]] = (),
        draft: bool = False,
        partial: bool = False,
    ) -> Release:
        """Create a release. Components are names, or `{name, version, artifact, digest, config}`.

        It names every component of the application: a deployment stops components that the release no longer names. A
        `partial` release brings only the components that it names, and leaves the others as they are.

        The same content again returns the same release; other content under the same version is refused.
        """
        parts = listed("create_release: components", components, "['web']", str, Mapping)
        lines = listed("create_release: changelog", changelog, "['faster']", str)
        commits = listed("create_release: changes", changes, "[{'commit': 'abcd1234'}]", Mapping)
        data = {
            "application": self._written,
            "version": version,
            "components": [{"name": part} if isinstance(part, str) else dict(part) for part in parts],
            "changelog": lines,
            "changes": _changes(commits),
            "draft": draft,
            "partial": partial,
        }
        for command, part in creating_release(data):
            self.send(command, part)
        return self.release(version)

    def add_changes(self, release: Release | str, changes: Sequence[Mapping[str, Any]]) -> Release:
        """Add changes `{commit, committed_at, author, message}` to a release; changes that it has already stay.

        They may be added at any time, and the audit trail shows when. An approval from before must be granted again,
        unless the deployment has started.
        """
        ref = self._ref(release)
        commits = _changes(listed("add_changes: changes", changes, "[{'commit': 'abcd1234'}]", Mapping))
        for command, part in adding_changes(ref, list(in_batches(commits))):
            self.send(command, part)
        return self.release(ref)

    def publish(self, release: Release | str) -> Release:
        """Publish a draft, so that it can be deployed."""
        return self._release_command("release.publish", release)

    def attest(self, release: Release | str, gate: str, result: str, note: str | None = None) -> Release:
        """Attest by hand that a gate has `passed` or `failed`."""
        return self._release_command("release.attest", release, gate=gate, result=result, note=note)

    def release(self, release: Release | str) -> Release:
        """Return a release, by version or `application@version`."""
        ref = self._ref(release)
        return self._one(Release, "release", {"ref": ref}, f"release {ref} does not exist")

    def releases(self) -> Sequence[Release]:
        """Return the application's releases, newest first. They are read page by page on demand."""
        return self._own(Release.model_validate, "releases")

    def _release_command(self, command: str, release: Release | str, **data: Any) -> Release:
        ref = self._ref(release)
        self.send(command, {"release": ref, **data})
        return self.release(ref)


def _changes(changes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {key: value.isoformat() if isinstance(value, datetime) else value for key, value in change.items()}
        for change in changes
    ]
