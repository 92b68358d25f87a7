"""The core: event log, keys and gateway, opened on one installation by the one process that decides."""

import contextlib
import threading
import time
from typing import Any

import structlog

from release_management.adapters.clock import SystemClock, new_id
from release_management.adapters.executors import EXECUTORS
from release_management.adapters.home import Home
from release_management.adapters.nats.client import NotReachableError
from release_management.domain.registry import Registry
from release_management.services.gateway import Gateway
from release_management.services.ports import Lease, LogUnavailableError

PATIENCE_SECONDS = 6.0
"""A gateway that died is followed within 5 s."""
ALIVE_SECONDS = 1.0
_log = structlog.get_logger()


class Core:
    """What decides, for as long as it is open. Raises `NotReachableError` where another process decides already.

    `deposed` is set where another process has become the gateway meanwhile.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.home.prepare()
        self.clock = SystemClock()
        self.registry = Registry()
        with contextlib.ExitStack() as opened:
            self.log = self.home.open_log(self.registry)
            opened.callback(self.log.close)
            self.keyring = self.home.open_keyring()
            opened.callback(self.keyring.close)
            self._lease = self._take()
            opened.callback(self._lease.release)
            self.gateway = Gateway(self.log, self.registry, self.keyring, self.clock, new_id, EXECUTORS, self._lease)
            self._opened = opened.pop_all()
        self.deposed = self.gateway.deposed
        self._closing = threading.Event()
        self._keeping = threading.Thread(target=self._keep_lease, name="lease", daemon=True)
        self._keeping.start()

    def close(self) -> None:
        """Decide what waits, then release the store."""
        self._closing.set()
        self._keeping.join()
        self.gateway.close()
        self._opened.close()

    def _take(self) -> Lease:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (lease := self.log.take("gateway")) is None:
            if time.monotonic() > deadline:
                raise NotReachableError(
                    f"the gateway of {self.home.folder} is another process (relman serve gateway, or that of another "
                    "machine); be its client: --data nats://HOST:PORT"
                )
            time.sleep(0.1)
        return lease

    def _keep_lease(self) -> None:
        """A lease that nobody asks about is lost after some seconds, which the next append would find out."""
        while not self._closing.wait(ALIVE_SECONDS):
            try:
                if self._lease.is_held():
                    continue
            except LogUnavailableError as error:
                _log.warning("whether this is still the gateway cannot be asked now", error=str(error))
                continue
            except Exception:
                _log.exception("whether this is still the gateway cannot be asked")
                continue
            self.deposed.set()
            return

    def __enter__(self) -> "Core":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
