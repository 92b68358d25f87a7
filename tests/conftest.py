"""Fixtures and hooks for the whole suite."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
import structlog

from tests import profiles
from tests.servers.postgres import Databases, PostgresServer
from tests.signals import hear_interrupts

profiles.load()


class NoSilentSkips:
    """Fail a run in which a test was skipped or expected to fail, and name each one."""

    def __init__(self) -> None:
        self.unrun: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unrun and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unrun:
            terminalreporter.section("skips and expected failures count as failures here", red=True)
            for nodeid in self.unrun:
                terminalreporter.line(nodeid)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped or hasattr(report, "wasxfail"):
            self.unrun.append(report.nodeid)


def pytest_configure(config: pytest.Config) -> None:
    hear_interrupts()
    if os.environ.get("CI") or os.environ.get("RELMAN_NO_SKIP") == "1":
        config.pluginmanager.register(NoSilentSkips())


def pytest_collection_finish() -> None:
    """Have the garbage collector leave alone what all tests share: it would look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _log_as_by_default() -> Iterator[None]:
    """Restore the log's configuration, so that no test's program affects the next test."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Databases]:
    """A PostgreSQL server for databases of one's own; `RELMAN_TEST_POSTGRES` may name one that runs already.

    Who wants to stop or kill a server starts a `PostgresServer` of its own.
    """
    if url := os.environ.get("RELMAN_TEST_POSTGRES"):
        given = Databases(url)
        yield given
        given.close()
    else:
        with PostgresServer() as server:
            yield server
