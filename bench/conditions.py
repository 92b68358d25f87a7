"""The conditions of a measurement: the stores and the scale."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from release_management.runtime.data_directory import DataDirectory
from tests.servers.postgres import PostgresServer


@dataclass(frozen=True, slots=True)
class Scale:
    """The size of a measurement: `FULL` for figures, `QUICK` to check that it runs."""

    rounds: int
    commands: int
    events: int
    history: int
    on_one_stream: int
    deployments: int
    asked: int
    backlog: int
    components: int
    waiting: int


FULL = Scale(
    rounds=5,
    commands=3_200,
    events=20_000,
    history=1_000_000,
    on_one_stream=50_000,
    deployments=10_000,
    asked=400,
    backlog=100_000,
    components=500,
    waiting=10_000,
)
QUICK = Scale(
    rounds=1,
    commands=320,
    events=2_000,
    history=4_000,
    on_one_stream=1_000,
    deployments=100,
    asked=20,
    backlog=2_000,
    components=40,
    waiting=300,
)


@dataclass(frozen=True, slots=True)
class Store:
    """A store for us and one for the peer, both empty, on one machine: SQLite files, or databases of one server."""

    name: str
    folder: Path
    ours: str | None = None
    peer: str | None = None

    @property
    def home(self) -> DataDirectory:
        """Return our installation."""
        return DataDirectory(self.folder / "ours", self.ours)

    @property
    def another(self) -> "Store":
        """Return a second store for us, in the peer's place."""
        return Store(self.name, self.folder / "another", self.peer)

    @property
    def peer_settings(self) -> dict[str, str]:
        """Return the environment variables that tell the library its store."""
        if self.peer is None:
            return {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(self.folder / "library.db")}
        url = urlsplit(self.peer)
        return {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_HOST": str(url.hostname),
            "POSTGRES_PORT": str(url.port),
            "POSTGRES_USER": str(url.username),
            "POSTGRES_PASSWORD": str(url.password),
            "POSTGRES_DBNAME": url.path.removeprefix("/"),
        }


class Stores:
    """Creates stores; the PostgreSQL server is started at the first use."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._server: PostgresServer | None = None

    def __enter__(self) -> "Stores":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def fresh(self, name: str) -> Iterator[Store]:
        """Create an empty store, and remove it afterwards."""
        with tempfile.TemporaryDirectory(prefix="relman-bench-") as folder:
            if name == "SQLite":
                yield Store(name, Path(folder))
                return
            if self._server is None:
                self._server = self._stack.enter_context(PostgresServer())
            yield Store(name, Path(folder), self._server.new_database(), self._server.new_database())


def progress(text: str) -> None:
    """Print the progress, beside the table."""
    print(text, file=sys.stderr, flush=True)
