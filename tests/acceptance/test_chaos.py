"""A short form of `make chaos`: kill -9 of roles, servers and everything makes no difference."""

import asyncio
import itertools
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos import judge
from chaos.act import Act, Result
from chaos.installation import Installation, Strike
from chaos.leftovers import leftovers
from chaos.plan import BUS, EVERYTHING, PARTS, Blow, until
from chaos.servers import ClusterBus, Database, SingleBus
from chaos.story import Deployment
from release_management.adapters.home import Home
from release_management.adapters.nats import streams
from release_management.adapters.nats.connection import connect
from release_management.adapters.read_model import Projector
from release_management.domain.record import Recorded
from release_management.domain.registry import Registry
from release_management.projections import agenda
from release_management.projections.catalog import PROJECTIONS


def flawless(result: Result, folder: Path) -> None:
    assert result.faults == [], f"what was left is in {folder}"
    assert result.processes >= result.kills.total() > 0
    assert result.ended.total() > 1


@pytest.mark.timeout(300)
def test_a_canary_survives_a_kill_after_every_record_on_sqlite(tmp_path: Path) -> None:
    act = Act("after every record", tmp_path / "act", 7, postgres=False, cluster=False)
    result = act.canary(8, lambda _: None)
    flawless(result, tmp_path)
    assert result.kills.total() <= 8


@pytest.mark.timeout(300)
def test_deployments_survive_kills_at_random_on_postgresql(tmp_path: Path) -> None:
    act = Act("at random", tmp_path / "act", 7, postgres=True, cluster=False)
    result = act.stream(6, lambda _: None)
    flawless(result, tmp_path)
    assert result.kills.total() == 6


def test_for_a_blow_that_met_nobody_another_one_is_drawn() -> None:
    plan = (Blow(what, 0.0, 0.0, moving=False) for what in itertools.cycle(["away", "there"]))
    drawn: list[str] = []
    for one in until(3, lambda: drawn.count("there"), plan):
        drawn.append(one.what)

    assert drawn == ["away", "there"] * 3


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    made = Installation(folder, SingleBus(folder), None, replicas=1)
    try:
        made.start()
        yield made
    finally:
        made.end()


def killed(strike: Strike) -> int:
    give_up = time.monotonic() + 30
    while not strike.is_over():
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return strike.killed()


def blow(what: str) -> Blow:
    return Blow(what, 0.0, 60.0, moving=False)


def test_only_what_was_alive_counts_as_killed(installation: Installation) -> None:
    for what in (PARTS[0], BUS):
        assert [killed(installation.strike(blow(what))) for _ in range(2)] == [1, 0]
    assert killed(installation.strike(blow(EVERYTHING))) == len(PARTS) - 1
    assert killed(installation.strike(blow(EVERYTHING))) == 0
    assert [len(moments) for moments in installation.kills.values()] == [1] * len(PARTS)
    assert installation.deaths == []


def test_a_cluster_that_lacks_a_server_is_left_alone() -> None:
    cluster = ClusterBus(random.Random(1))  # all three are away until it is started

    assert [cluster.kill(whole=False), cluster.kill(whole=True)] == [0, 0]


def test_a_database_that_was_stopped_in_order_was_not_killed() -> None:
    database = Database(random.Random(1))
    try:
        done = []
        for _ in range(12):
            database.start()
            before = database.stopped_in_order
            done.append((database.kill(whole=False), database.stopped_in_order - before))
            assert database.kill(whole=True) == 0
    finally:
        database.stop()

    assert set(done) == {(1, 0), (0, 1)}


def test_the_judge_sees_a_dead_letter(installation: Installation) -> None:
    url = installation.bus.urls["client"]
    assert judge.dead_letters(url) == []

    async def send() -> None:
        connection = await connect(url, "somebody")
        await connection.request(f"{streams.ASK_COMMAND}.release.create", b"this is no command", timeout=30.0)
        await connection.close()

    asyncio.run(send())

    [fault] = judge.dead_letters(url)
    assert fault.startswith(f"dead letter 1 of {streams.ASK_COMMAND}.release.create: ")


def test_the_judge_sees_an_event_that_a_projection_has_set_aside(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    log = home.open_log(Registry())
    for where, chosen in ((home.read_models, PROJECTIONS), (home.agenda, [agenda.PROJECTION])):
        projector = Projector(log, Registry(), where, chosen)
        projector.catch_up()
        projector.close()
    assert judge.projections(home, log)[0] == []
    with sqlite3.connect(home.read_models) as connection:
        connection.execute("INSERT INTO read_parked VALUES ('releases', 1, 1, 'release:a@1', 'release.created', 'why')")
    connection.close()

    assert "projection releases in relman_read has set aside position 1: why" in judge.projections(home, log)[0]
    log.close()


WAIT = "import sys; sys.stdin.read()"


@pytest.mark.parametrize(
    ("tie", "words", "place", "variables"),
    [
        ("command line", ["{act}/world"], "/", {}),
        ("command line", ["--config={act}/data/nats/server.conf"], "/", {}),
        ("working directory", [], "{act}/data", {}),
        ("RELMAN_DATA", [], "/", {"RELMAN_DATA": "{act}/data"}),
        ("RELMAN_INSTANCE", [], "/", {"RELMAN_INSTANCE": "a token", "RELMAN_DEPLOYMENT": "one"}),
        (None, ["{act}-of-somebody-else/world"], "/", {}),
        (None, [], "/", {"RELMAN_INSTANCE": "a token", "RELMAN_DEPLOYMENT": "another"}),
    ],
)
def test_what_an_act_leaves_behind_is_found(
    tmp_path: Path, tie: str | None, words: list[str], place: str, variables: dict[str, str]
) -> None:
    act = tmp_path / "act"
    (act / "data").mkdir(parents=True)
    planted = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", WAIT, *(word.format(act=act) for word in words)],
        stdin=subprocess.PIPE,
        cwd=place.format(act=act),
        env={**os.environ, **{name: value.format(act=act) for name, value in variables.items()}},
    )
    try:
        found = leftovers(act, {"one"}, patience=0.0)
    finally:
        planted.communicate()

    assert [line.partition(": ")[0] for line in found] == ([f"{planted.pid} ({tie})"] if tie else [])
    assert leftovers(act, {"one"}) == []


ACTION = {"verb": "retire", "slot": "blue"}
STEP = {"leg": "forward", "step": 0, "attempt": 1}


def started(position: int) -> Recorded:
    data = {**STEP, "action": ACTION}
    record = json.dumps({"subject": "deployment:d", "data": data}).encode()
    return Recorded(position, "deployment:d", position, "deployment.step_started", record)


def line(what: str, fence: int, at: float, pid: int = 1) -> dict[str, Any]:
    return {"what": what, "fence": fence, "at": at, "pid": pid, "deployment": "d", "action": ACTION, **STEP}


def once(fence: int, at: float, pid: int = 1) -> list[dict[str, Any]]:
    return [line(what, fence, at, pid) for what in ("begin", "effect", "end")]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([*once(1, 1.0), *once(2, 2.0)], None),
        ([line("begin", 1, 1.0), *once(1, 9.0, pid=2)], None),
        ([*once(1, 1.0), line("begin", 1, 2.0), line("end", 1, 2.0)], "fence 1 began twice"),
        ([*once(1, 1.0), *once(1, 9.0)], "fence 1 has 2 effects"),
        ([*once(2, 1.0), *once(1, 2.0)], "fence 1 began after 2"),
        ([line("begin", 1, 1.0), *once(2, 2.0, pid=2), line("end", 1, 3.0)], "fence 1 went on after another had begun"),
        (once(3, 1.0), "the effect with fence 3 was not ordered"),
    ],
)
def test_the_judge_sees_what_programs_must_not_do(lines: list[dict[str, Any]], fault: str | None) -> None:
    found = judge.world({"place": lines}, [started(1), started(2)], kills=[5.0])
    assert [fault in each for each in found] == [True] if fault else found == []


def test_the_judge_sees_an_end_that_was_not_demanded() -> None:
    ended = [Deployment("a", "shop@1.0.0", ("Succeeded",), "Succeeded"), Deployment("b", "shop@1.0.9", ("RolledBack",))]
    assert judge.deployments(ended) == ["shop@1.0.9 (b) ended None, and should have ended RolledBack"]
