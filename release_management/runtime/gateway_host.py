"""The gateway host: event log, keys and gateway, opened by the one process that decides for an installation."""

import contextlib
import threading
import time
from typing import Any

import structlog

from release_management.adapters.event_store import EventStoreError
from release_management.adapters.executors.catalog import settings_checks
from release_management.adapters.nats.client import NotReachableError
from release_management.adapters.system.clock import (
    RecordingClock,
    SystemClock,
    new_id,
)
from release_management.domain.registry import Registry
from release_management.kernel.errors import ErrorCode
from release_management.runtime.data_directory import DataDirectory
from release_management.services.completeness import check_declarations
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.gateway.gateway import Gateway
from release_management.services.gateway.outcomes import busy
from release_management.services.ports import (
    DeposedError,
    Lease,
    LogUnavailableError,
)
from release_management.services.ports.bus import GatewayFailed

PATIENCE_SECONDS = 6.0
"""Seconds to wait for the lease: a gateway that died can be replaced within 5 s."""
ALIVE_SECONDS = 1.0
AGAIN_SECONDS = 0.25
TAKING_ANEW = "the lease of the gateway was lost and is being taken anew; try again in a moment"

_log = structlog.get_logger(__name__)


class GatewayHost:
    """The log, the keys and the gateway while they are open. Raises `NotReachableError` if another process decides.

    A lease that is lost, since the store was away or another process took the role, is taken again as soon as it is
    free, and there is another `gateway` from then on. Meanwhile `trouble` says why nothing is decided here.
    """

    def __init__(self, home: DataDirectory, recording: RecordingClock | None = None) -> None:
        """`recording` is the clock: a process that opens the host again passes the same one, with its memory."""
        self.home = home
        self.recording = recording or RecordingClock()
        check_declarations()
        self.home.prepare()
        self.clock = SystemClock()
        self.registry = Registry()
        self.trouble: str | None = None
        with contextlib.ExitStack() as opened:
            self.log = self.home.open_log(self.registry)
            opened.callback(self.log.close)
            self.keyring = self.home.open_keyring()
            opened.callback(self.keyring.close)
            self._lease = self._await_lease()
            self.gateway = self._begin(self._lease)
            self._opened = opened.pop_all()
        self._closing = threading.Event()
        self._leaving: list[threading.Thread] = []
        self._keeping = threading.Thread(target=self._keep_lease, name="lease", daemon=True)
        self._keeping.start()

    def answer(self, envelope: CommandEnvelope) -> Outcome:
        """Decide a command here; answer `busy`, with the reason, if that is not possible now."""
        gateway = self.gateway
        if (reason := self.trouble) is not None:
            return busy(envelope, reason, ErrorCode.UNAVAILABLE)
        try:
            return gateway.answer(envelope)
        except DeposedError as error:
            return busy(envelope, self.trouble or str(error), ErrorCode.UNAVAILABLE)
        except GatewayFailed as error:
            return busy(envelope, str(error), error.code)

    def deciding(self) -> Gateway:
        """Return the gateway that decides now. Raises `LogUnavailableError` if there is none."""
        if (reason := self.trouble) is not None:
            raise LogUnavailableError(reason)
        return self.gateway

    def close(self) -> None:
        """Decide the waiting commands, then release the store."""
        self._closing.set()
        self._keeping.join()
        self.gateway.close()
        for thread in self._leaving:
            thread.join()
        self._lease.release()
        self._opened.close()

    def _begin(self, lease: Lease) -> Gateway:
        return Gateway(self.log, self.registry, self.keyring, self.recording, new_id, settings_checks(), lease)

    def _await_lease(self) -> Lease:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (lease := self.log.take("gateway")) is None:
            if time.monotonic() > deadline:
                raise NotReachableError(self._other_holder)
            time.sleep(0.1)
        return lease

    @property
    def _other_holder(self) -> str:
        return (
            f"the gateway of {self.home.folder} is another process (relman serve gateway, or that of another "
            "machine); be its client: --data nats://HOST:PORT"
        )

    def _keep_lease(self) -> None:
        """Keep the lease alive, which is lost after some seconds without a check, and take it again if it is lost."""
        while not self._closing.wait(ALIVE_SECONDS):
            try:
                if self._lease.is_held() and not self.gateway.deposed.is_set():
                    continue
            except LogUnavailableError as error:
                _log.warning("whether this is still the gateway cannot be asked now", error=str(error))
                continue
            except Exception:
                _log.exception("whether this is still the gateway cannot be asked")
                continue
            try:
                self._follow()
            except Exception as error:  # it is tried again: without this thread nothing would ever be decided here
                self.trouble = f"the gateway's role cannot be taken again yet ({error!r})"
                _log.exception("the gateway's role cannot be taken again yet")

    def _follow(self) -> None:
        """Take the role again, and make a new gateway. Commands that wait in the one before are not decided by it."""
        before = self.gateway
        _log.warning("the gateway's lease was lost", number=self._lease.number)
        self.trouble = TAKING_ANEW
        before.deposed.set()
        # An append in progress may take seconds to fail, and the next lease must be kept alive meanwhile.
        closing = threading.Thread(target=before.close, name="deposed gateway", daemon=True)
        closing.start()
        self._leaving = [*(each for each in self._leaving if each.is_alive()), closing]
        self._lease.release()
        lost = time.monotonic()
        while not self._closing.is_set():
            try:
                lease = self.log.take("gateway")
            except (LogUnavailableError, EventStoreError) as error:
                lost = time.monotonic()
                self.trouble = str(error)
            else:
                if lease is not None:
                    _log.warning("the gateway's lease was taken again", number=lease.number)
                    self._lease, self.gateway, self.trouble = lease, self._begin(lease), None
                    break
                # The server may not have noticed yet that our session is gone.
                silent = time.monotonic() - lost
                self.trouble = self._other_holder if silent > PATIENCE_SECONDS else TAKING_ANEW
            self._closing.wait(AGAIN_SECONDS)

    def __enter__(self) -> "GatewayHost":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
