"""`ReleaseManager`: plan, approve, deploy, watch, roll back and prove releases, from Python."""

import concurrent.futures.thread  # noqa: F401 # before `_register_atexit` below: its pools are shut down after us
import os
import shutil
import tempfile
import threading

from release_management.facade.approvals import Approvals
from release_management.facade.arguments import (
    data_address,
    named,
    text,
)
from release_management.facade.canaries import Canaries
from release_management.facade.environments import Environments
from release_management.facade.history import AuditTrail
from release_management.facade.incidents import Incidents
from release_management.facade.metrics import DeliveryMetrics
from release_management.facade.policies import Policies
from release_management.facade.releases import Releases
from release_management.runtime.installations import Installation, connect
from release_management.runtime.patient import ANSWER_SECONDS, PatientInstallation


class ReleaseManager(Environments, Policies, Releases, Canaries, Approvals, Incidents, DeliveryMetrics, AuditTrail):
    """Releases of one application.

    `data` is the folder that keeps everything (`.relman` of the working directory), `":memory:"` for a temporary
    folder, or `"nats://…"` for an installation elsewhere. With a running `relman up` on the folder this is its client;
    else it owns the folder, and starts the rest of the stack at the first `deploy`, until `close` or the end of the
    process. `store` is a `postgresql://…` URL, for a new folder that keeps everything there; the folder remembers it.
    `actor` is the acting person; by default the operating system's user. It serves the process that made it, not forks
    of that.

    Every method raises `Refused` with a sentence that says what, where, and what would be right, and
    `NotReachableError` if the installation does not answer. Transient errors, such as a PostgreSQL server that is away,
    a restart of `relman up`, or read models that are still being built, are retried: each command and each query for
    `timeout` seconds, then `NotReachableError` gives the reason.
    """

    def __init__(
        self,
        application: str = "default",
        data: str | os.PathLike[str] = ".relman",
        *,
        actor: str | None = None,
        store: str | None = None,
        timeout: float = ANSWER_SECONDS,
    ) -> None:
        self.application, self._written = named("application", application), application
        self._actor = None if actor is None else text("actor", actor)
        address = data_address(data)
        self._temporary = tempfile.mkdtemp(prefix="relman-") if address == ":memory:" else None
        try:
            installation = connect(self._temporary or address, may_start=True, store=store)
            self._opened: PatientInstallation | None = PatientInstallation(installation, timeout)
        except BaseException:
            if self._temporary is not None:
                shutil.rmtree(self._temporary, ignore_errors=True)
            raise
        self._owns = True
        self._process = os.getpid()
        self._sender = "python"
        self._last = 0
        _open.add(self)

    @classmethod
    def on(
        cls, backend: Installation, application: str = "default", *, actor: str | None = None, sender: str = "python"
    ) -> "ReleaseManager":
        """Return a manager of an installation that the caller opened and closes.

        `sender` is the name of the program in records.
        """
        manager = cls.__new__(cls)
        manager.application, manager._written = named("application", application), application
        manager._opened = backend if isinstance(backend, PatientInstallation) else PatientInstallation(backend)
        manager._actor = None if actor is None else text("actor", actor)
        manager._owns, manager._temporary, manager._last = False, None, 0
        manager._sender, manager._process = sender, os.getpid()
        return manager

    def acting_as(self, actor: str) -> "ReleaseManager":
        """Return a manager of the same application and installation for another person, such as an approver.

        The person's identity is only asserted. The new manager is closed with this one.
        """
        return ReleaseManager.on(self._backend, self._written, actor=actor, sender=self._sender)

    def close(self) -> None:
        """Stop what this process started. Safe to repeat; nothing happens in a fork."""
        if self._process != os.getpid():
            return
        _open.discard(self)
        installation, self._opened = self._opened, None
        if installation is not None and self._owns:
            installation.close()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def __enter__(self) -> "ReleaseManager":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


_open: set[ReleaseManager] = set()


def _close_all() -> None:
    for manager in list(_open):
        manager.close()


# Not `atexit`: that comes after the thread pools are shut down, without which nothing can be stopped any more.
threading._register_atexit(_close_all)  # type: ignore[attr-defined] # what concurrent.futures itself uses
# The parent closes what it made.
os.register_at_fork(after_in_child=_open.clear)
