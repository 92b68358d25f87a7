"""A short form of `make chaos`: kill -9 of every role, every server and everything makes no difference.

What the judge says of wrong doings is in `test_chaos_judge.py`.
"""

import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.__main__ import missed
from chaos.act import Act, Result
from chaos.installation import Installation, Strike
from chaos.leftovers import leftovers
from chaos.plan import (
    BUS,
    DATABASE,
    EVERY_ROLE,
    EVERYTHING,
    ONE_OF_EACH,
    TWO_OF_EACH,
    Blow,
    each,
    parts_of,
    until,
)
from chaos.servers import STREAMS, ClusterBus, Database, SingleBus

SINGLE = (*parts_of(ONE_OF_EACH), BUS)
PAIRED = (DATABASE, "gateway-1", "gateway-2", "executor-1", "executor-2", EVERYTHING)
FOR_THE_REST_OF_IT = 600.0


def flawless(result: Result, kinds: tuple[str, ...]) -> None:
    """Nothing was found, though each of these was alive and was killed, and the world was changed meanwhile."""
    assert result.faults == []
    assert result.kills == dict.fromkeys(kinds, 1)
    assert result.processes > len(kinds) or EVERYTHING not in kinds
    assert result.ended.total() > 1
    assert min(result.figures[what] for what in ("records", "effects", "rows compared")) > 10


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_canary_survives_the_death_of_each_role_and_of_the_bus_on_sqlite(tmp_path: Path) -> None:
    """After one record after the other."""
    act = Act("each", tmp_path / "act", 7, postgres=False, cluster=False, roles=ONE_OF_EACH, kinds=SINGLE)
    flawless(act.canary(len(SINGLE), lambda _: None), SINGLE)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_deployments_survive_the_death_of_the_database_and_of_everything_with_two_of_each_role(tmp_path: Path) -> None:
    act = Act("pairs", tmp_path / "act", 7, postgres=True, cluster=False, roles=TWO_OF_EACH, kinds=PAIRED)
    flawless(act.stream(len(PAIRED), lambda _: None), PAIRED)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_deployments_survive_the_loss_of_a_clusters_leader(tmp_path: Path) -> None:
    """The other two servers go on with what has begun."""
    act = Act(
        "leader",
        tmp_path / "act",
        7,
        postgres=False,
        cluster=True,
        roles=ONE_OF_EACH,
        kinds=[BUS],
        away=FOR_THE_REST_OF_IT,
    )
    result = act.stream(1, lambda _: None)
    flawless(result, (BUS,))
    assert result.leaders
    assert set(result.leaders) <= set(STREAMS)


def test_of_every_kind_that_is_asked_for_there_is_one_kill_of_something_alive() -> None:
    killed = {"a": 0, "b": 0, "c": 0}
    drawn = []
    for blow in each(killed, killed, away=5.0):
        drawn.append(blow.what)
        killed[blow.what] += drawn != ["a", "b"]  # `b` was away the first time

    assert drawn == ["a", "b", "c", "b"]
    assert killed == {"a": 1, "b": 1, "c": 1}


def test_kinds_of_kills_that_there_were_none_of_are_said() -> None:
    one, other = Result("one"), Result("other")
    one.kills.update([*parts_of(ONE_OF_EACH)[1:], BUS])
    other.kills.update(["gateway-2", EVERYTHING])

    assert missed([one], postgres=True) == ["gateway", EVERY_ROLE, EVERYTHING, DATABASE]
    assert missed([one, other], postgres=False) == [EVERY_ROLE]


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
    made = Installation(folder, SingleBus(folder), None, replicas=1, roles=ONE_OF_EACH)
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
    [executor] = installation.executors
    assert installation.executors[executor] > time.time()
    for what in (installation.names[0], BUS):
        assert [killed(installation.strike(blow(what))) for _ in range(2)] == [1, 0]
    assert killed(installation.strike(blow(EVERYTHING))) == len(ONE_OF_EACH) - 1
    assert killed(installation.strike(blow(EVERYTHING))) == 0
    assert installation.executors[executor] <= time.time()
    assert installation.deaths == []


def test_a_cluster_that_lacks_a_server_is_left_alone() -> None:
    cluster = ClusterBus(random.Random(1))  # all three are away until it is started

    assert [cluster.kill(whole=False), cluster.kill(whole=True)] == [0, 0]


def test_a_database_that_was_stopped_in_order_was_not_killed() -> None:
    database = Database(random.Random(1))
    try:
        done = []
        for _ in range(4):
            database.start()
            before = database.stopped_in_order
            done.append((database.kill(whole=False), database.stopped_in_order - before))
            assert database.kill(whole=True) == 0
    finally:
        database.stop()

    assert set(done) == {(1, 0), (0, 1)}


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
def test_processes_that_an_act_leaves_behind_are_found(
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
