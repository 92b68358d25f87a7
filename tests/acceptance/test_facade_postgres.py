"""`ReleaseManager` that owns its folder and keeps its events in PostgreSQL: the server goes away and comes back."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest

from release_management import (
    NotFinishedError,
    NotReachableError,
    Refused,
    ReleaseManager,
)
from release_management.adapters.event_store.postgres import PostgresEventLog
from release_management.domain.registry import Registry
from release_management.runtime.patient import ANSWER_SECONDS
from release_management.services.ports import Lease
from tests.acceptance.installation import (
    Installation,
    canary,
    until,
)
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def store(server: PostgresServer) -> str:
    server.start()
    return server.new_database()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    """Only its targets and its journal are used."""
    made = Installation(tmp_path)
    yield made
    made.end_everything()


def label(shop: ReleaseManager, name: str) -> None:
    """Any command that changes something."""
    shop.send("environment.configure", {"name": "staging", "label": name})


def succeeds(command: Callable[[], object]) -> bool:
    try:
        command()
    except (Refused, NotReachableError):
        return False
    return True


def labels(store: str) -> list[str]:
    """Every label that was ever given, as the log has it."""
    with psycopg.connect(store) as session:
        rows = session.execute(
            "SELECT convert_from(record, 'UTF8')::jsonb->'data'->>'label' FROM relman_log.events"
            " WHERE stream_id = 'environment:staging' ORDER BY position"
        ).fetchall()
    return [row[0] for row in rows]


def test_a_server_that_was_away_is_used_again_without_a_hand(
    tmp_path: Path, store: str, server: PostgresServer
) -> None:
    with ReleaseManager("shop", data=tmp_path / "data", store=store, timeout=0.5) as shop:
        label(shop, "before")
        server.stop()
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(NotReachableError, match="cannot be used now"):
                label(shop, "away")
            with pytest.raises(NotReachableError, match="cannot be used now"):
                shop.environments()
            assert time.monotonic() - began < ANSWER_SECONDS
            time.sleep(1)  # the lease is asked about each second

        server.start()
        until(lambda: succeeds(lambda: label(shop, "after")), 10)

        assert [one.label for one in shop.environments()] == ["after"]
        assert labels(store) == ["before", "after"]


def test_a_command_a_question_and_a_wait_last_through_a_restart(
    site: Installation, store: str, server: PostgresServer
) -> None:
    with ReleaseManager("shop", data=site.folder, store=store) as shop:
        shop.configure_environments({"staging": site.target("web")})
        deployment = shop.deploy(shop.create_release("1.0.0", ["web"]), "staging")
        coming = threading.Timer(3.0, server.start)
        server.stop()
        coming.start()
        try:
            label(shop, "meanwhile")
            assert [one.label for one in shop.environments()] == ["meanwhile"]
            assert shop.wait(deployment, 60).succeeded
        finally:
            coming.join()


def test_a_wait_that_is_over_while_nobody_answers_says_what_was_seen_last(
    site: Installation, store: str, server: PostgresServer
) -> None:
    with ReleaseManager("shop", data=site.folder, store=store) as shop:
        shop.configure_environments({"staging": site.target("web")})
        shop.configure_deployment_strategy("canary", canary(25, pause=2))
        shop.wait(shop.deploy(shop.create_release("1.0.0", ["web"]), "staging"), 60)
        deployment = shop.deploy(shop.create_release("1.1.0", ["web"]), "staging")
        server.stop()
        with pytest.raises(NotFinishedError, match=rf"{deployment.id} goes on.*when it was last seen") as over:
            shop.wait(deployment, 1.0)
        assert over.value.last is not None
        assert over.value.last.ended is None

        server.start()
        assert shop.wait(deployment, 60).succeeded


def test_a_restart_that_nobody_notices_costs_nothing(tmp_path: Path, store: str, server: PostgresServer) -> None:
    with ReleaseManager("shop", data=tmp_path / "data", store=store) as shop:
        label(shop, "before")
        server.restart()
        until(lambda: succeeds(lambda: label(shop, "after")), 10)
        server.kill()
        server.start()
        until(lambda: succeeds(lambda: label(shop, "in the end")), 10)

        assert labels(store) == ["before", "after", "in the end"]


def test_a_deployment_stands_still_while_the_server_is_away_and_goes_on(
    site: Installation, store: str, server: PostgresServer
) -> None:
    with ReleaseManager("shop", data=site.folder, store=store, timeout=3.0) as shop:
        shop.configure_environments({"staging": site.target("web")})
        shop.configure_deployment_strategy("canary", canary(25, pause=None))
        assert shop.wait(shop.deploy(shop.create_release("1.0.0", ["web"]), "staging", strategy="recreate")).succeeded
        going = shop.wait(shop.deploy(shop.create_release("1.1.0", ["web"]), "staging"))
        assert going.phase == "Paused"
        serving = sorted(site.deployed())

        server.stop()
        time.sleep(3)  # long enough for everything to notice
        began = time.monotonic()
        with pytest.raises(NotReachableError, match="cannot be used now"):
            shop.send("deployment.promote", {"deployment": going.id})
        assert time.monotonic() - began < ANSWER_SECONDS
        assert sorted(site.deployed()) == serving, "what was deployed serves on"
        assert site.shares() == {"1.0.0": 75, "1.1.0": 25}

        server.start()
        until(lambda: succeeds(lambda: shop.promote(going)), 15)
        assert shop.wait(going, 30).succeeded
        assert [pid for pid in site.deployed() if pid not in serving] == [], "nothing was started again"
        assert site.starts() == {("web", "1.0.0"): 1, ("web", "1.1.0"): 1}
    assert site.deployed() == []


def test_a_replaced_gateway_says_so_and_takes_over_again_when_the_other_has_gone(
    tmp_path: Path, store: str, server: PostgresServer
) -> None:
    with (
        ReleaseManager("shop", data=tmp_path / "data", store=store, timeout=1.0) as shop,
        closing(PostgresEventLog.open(store, Registry().knows)) as elsewhere,
    ):
        label(shop, "before")
        other = follow(elsewhere, store)

        until(lambda: other.is_held() and is_told(shop, "is another process"), 15)
        assert labels(store) == ["before"]

        other.release()
        until(lambda: succeeds(lambda: label(shop, "after")), 10)
        assert labels(store) == ["before", "after"]


def follow(log: PostgresEventLog, store: str) -> Lease:
    """End the session that holds the gateway's lease, as a network that breaks would, and be quicker than its owner."""
    with psycopg.connect(store, autocommit=True) as session:
        while True:
            session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1919249517"
                " AND objid <> 1"
            )
            if (lease := log.take("gateway")) is not None:
                return lease


def is_told(shop: ReleaseManager, reason: str) -> bool:
    with pytest.raises(NotReachableError) as refusal:
        label(shop, "not decided here")
    return reason in str(refusal.value)


def test_closing_while_the_server_is_away_ends_everything(
    site: Installation, store: str, server: PostgresServer
) -> None:
    before = {each.pid for each in psutil.Process().children(recursive=True)}
    shop = ReleaseManager("shop", data=site.folder, store=store)
    shop.configure_environments({"staging": site.target("web")})
    assert shop.wait(shop.deploy(shop.create_release("1.0.0", ["web"]), "staging")).succeeded
    server.stop()
    time.sleep(2)

    began = time.monotonic()
    shop.close()

    assert time.monotonic() - began < ANSWER_SECONDS
    after = {each.pid for each in psutil.Process().children(recursive=True)}
    assert after <= before
    assert site.deployed() == []
