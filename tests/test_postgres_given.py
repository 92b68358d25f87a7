"""`RELMAN_TEST_POSTGRES` names a server that runs already, and the tests use that one."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.servers.postgres import Databases

ROOT = Path(__file__).parents[1]
TEST = "tests/contract/test_event_log.py::test_an_empty_log_has_no_last_position_and_nothing_to_read[postgres]"


def run_on(url: str) -> "subprocess.CompletedProcess[str]":
    """One small test of the contract, in a run of its own."""
    command = [sys.executable, "-m", "pytest", "--numprocesses=0", "-p", "no:cacheprovider", TEST]
    environment = {**os.environ, "RELMAN_TEST_POSTGRES": url}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)


def databases(server: Databases) -> list[str]:
    with psycopg.connect(server.url) as connection:
        return [name for (name,) in connection.execute("SELECT datname FROM pg_database ORDER BY 1").fetchall()]


def test_the_contract_runs_on_the_server_that_is_named_and_leaves_nothing_on_it(postgres_server: Databases) -> None:
    before = databases(postgres_server)

    done = run_on(postgres_server.url)

    assert "1 passed" in done.stdout, done.stdout
    assert databases(postgres_server) == before


def test_a_given_server_that_cannot_be_used_is_an_error_and_no_other_is_used(postgres_server: Databases) -> None:
    done = run_on(urlsplit(postgres_server.url)._replace(path="/nothing_here").geturl())

    assert "passed" not in done.stdout, done.stdout
    assert 'database "nothing_here" does not exist' in done.stdout
