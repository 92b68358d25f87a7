"""The read models' database for a projector: it creates the tables, and lets one thread at a time write."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from release_management.adapters.read_model import builds
from release_management.adapters.read_model.builds import Build
from release_management.adapters.read_model.database import (
    TROUBLE,
    is_missing,
    make_schema,
    reader,
    writer,
)
from release_management.projections.kit.projection import Projection

TRIES = 5

T = TypeVar("T")
_log = structlog.get_logger(__name__)


class Writing:
    """Writes to a database that may be away for a while, or not be created yet."""

    def __init__(self, where: str | Path, schema: str, projections: Sequence[Projection]) -> None:
        """The parameters are those of a `Projector`."""
        self._schema = schema
        self._projections = projections
        self._turning = threading.Lock()
        self._writer = writer(where, schema)
        self._reader = reader(where, schema)
        self._ready = False

    def prepare(self) -> None:
        """Create the schema and the bookkeeping tables if there are none."""
        if self._ready:
            return
        with self._writer.begin() as connection:
            make_schema(connection, self._schema)
            if builds.make_tables(connection):
                _log.warning("the read models were made by an older version of the program: they are made anew")
        self._ready = True

    @contextmanager
    def turn(self) -> Iterator[None]:
        """While inside, this thread, and no other of this projector, writes."""
        with self._turning:
            self.prepare()
            yield

    def begin(self) -> AbstractContextManager[Connection]:
        """Begin a writing transaction, within a turn."""
        return self._writer.begin()

    def in_turn(self, write: Callable[[Connection], T]) -> T:
        """Return the result of one writing transaction, in a turn of its own."""
        with self.turn(), self.begin() as connection:
            return write(connection)

    def builds(self) -> list[Build]:
        """Return today's builds, live ones first."""
        self.prepare()
        with self._reader.begin() as connection:
            return builds.current(connection, self._projections)

    def insist(self, write: Callable[[], T]) -> T:
        """Call `write`, and retry a few times if the database is in trouble."""
        for attempt in range(1, TRIES):
            try:
                return write()
            except DBAPIError as error:
                if not self.may_pass(error):
                    raise
                time.sleep(0.02 * 2**attempt)
        return write()

    def may_pass(self, error: DBAPIError) -> bool:
        """Return True if trying again may help. A killed server may have lost even the creation of its tables."""
        transient = isinstance(error, TROUBLE) or is_missing(error)
        self._ready = self._ready and not transient
        return transient

    def close(self) -> None:
        """Close the database. No thread may be writing."""
        self._writer.dispose()
        self._reader.dispose()
