"""Send commands and ask queries in the name of one person, for one application."""

import getpass
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from release_management.adapters.nats.client import NotReachableError
from release_management.facade.arguments import (
    plain,
)
from release_management.facade.lazy_list import Listed
from release_management.facade.views import (
    Approval,
    Deployment,
    Incident,
    Release,
    View,
)
from release_management.kernel.errors import ErrorCode
from release_management.kernel.names import ref_of
from release_management.kernel.types import Refused, explain
from release_management.runtime.patient import PatientInstallation
from release_management.services.envelope import (
    CommandEnvelope,
    InvalidCommand,
    Outcome,
)
from release_management.services.paging.pages import Page, read
from release_management.services.ports.bus import QueryNotUnderstood

T = TypeVar("T")
V = TypeVar("V", bound=View)


class Caller:
    """Sends commands and queries of one person, for one application, to an opened installation."""

    application: str
    _written: str
    """The application's name as the caller wrote it."""
    _actor: str | None
    _sender: str
    _opened: PatientInstallation | None
    _process: int
    _last: int
    """The highest position of this caller's own commands: every answer includes their effects."""

    @property
    def _backend(self) -> PatientInstallation:
        if self._opened is None:
            raise RuntimeError("this ReleaseManager was closed; make another one")
        if self._process != os.getpid():
            raise NotReachableError(
                f"this ReleaseManager belongs to process {self._process}; make another one after a fork"
            )
        return self._opened

    def send(self, command: str, data: Mapping[str, Any]) -> Outcome:
        """Send any command under a new id. Raises `Refused`."""
        asserted = self._actor is not None or not self._backend.verifies_user
        actor = getpass.getuser() if self._actor is None else self._actor
        if actor.startswith("system:"):
            raise Refused(
                f"actor: {actor!r} begins with 'system:', which is reserved; name a person", code=ErrorCode.DENIED
            )
        try:
            envelope = CommandEnvelope(
                sender=self._sender,
                id=str(uuid.uuid4()),
                command=command,
                data={key: plain(value) for key, value in data.items() if value is not None},
                actor=actor,
                actorkind="person",
                actorauth="asserted" if asserted else "os",
            )
        except ValidationError as error:
            raise Refused(f"{command}: {explain(error)}", code=ErrorCode.INVALID) from None
        try:
            outcome = self._backend.ask(envelope)
        except InvalidCommand as error:
            raise Refused(f"{command}: {error}", code=error.code) from None
        if outcome.refused or outcome.status == "refused":
            raise Refused(
                outcome.reason or f"{command} was refused", outcome.verdicts, code=outcome.code or ErrorCode.DENIED
            )
        self._last = max(self._last, outcome.last)
        return outcome

    def _page(self, query: str, params: dict[str, Any]) -> Page:
        try:
            return self._backend.page(query, params, self._last)
        except QueryNotUnderstood as error:
            raise Refused(str(error), code=error.code) from None

    def _rows(self, query: str, /, **params: Any) -> Iterator[dict[str, Any]]:
        """Return a query's rows, up to the parameter `limit`; each page is requested when it is needed."""
        stated = {key: value for key, value in params.items() if value is not None}
        return read(lambda asked: self._page(query, asked), stated)

    def _query(self, query: str, /, **params: Any) -> list[dict[str, Any]]:
        return list(self._rows(query, **params))

    def _own(self, make: Callable[..., T], query: str, /, environment: str | None = None, **params: Any) -> Sequence[T]:
        """Return rows of the application; none if nothing of it is recorded yet."""
        try:
            return Listed(self._rows(query, application=self.application, environment=environment, **params), make)
        except Refused as refused:
            known = refused.code is not ErrorCode.NOT_FOUND
            if known or any(row["name"] == self.application for row in self._query("applications")):
                raise
            self._query("conditions", environment=environment, limit=1)  # refuses an unknown environment
            return ()

    def _row(self, name: str, params: dict[str, Any], missing: str) -> dict[str, Any]:
        rows = self._query(name, **params)
        if not rows:
            raise Refused(missing, code=ErrorCode.NOT_FOUND)
        return rows[0]

    def _one(self, view: type[V], name: str, params: dict[str, Any], missing: str) -> V:
        return view(**self._row(name, params, missing))

    def _ref(self, release: Release | str) -> str:
        if isinstance(release, Release):
            return release.ref
        try:
            return ref_of(release) if "@" in release else f"{self.application}@{release}"
        except ValueError as error:
            raise Refused(f"release: {error}", code=ErrorCode.INVALID) from None


def identity(thing: Deployment | Approval | Incident | Release | str) -> str:
    """Return what names a thing: a release's `application@version`, another's id, or the text that was given."""
    return thing if isinstance(thing, str) else thing.ref if isinstance(thing, Release) else thing.id
