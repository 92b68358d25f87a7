"""The judges of `make chaos`: each is shown a fault, and finds it."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaos import judge
from chaos import world as program
from chaos.installation import Installation
from chaos.servers import SingleBus
from chaos.story import SENDER, Deployment, Story
from release_management import ReleaseManager
from release_management.adapters.nats.connection import connect
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.queues import streams
from release_management.adapters.read_model import Projector
from release_management.domain.registry import Registry
from release_management.kernel.record import Recorded
from release_management.projections import agenda
from release_management.projections.catalog import PROJECTIONS
from release_management.runtime.data_directory import DataDirectory
from release_management.services.envelope import Outcome
from release_management.services.ports import CommandKey, StoredOutcome
from tests.adapters.nats.fakes import FakeLog, record


class Kept(FakeLog):
    """A log of three records, which one command has made."""

    def __init__(self) -> None:
        super().__init__()
        self.told = Outcome(status="accepted", sender=SENDER, id="1", command="release.create", first=1, last=3)
        self.kept = {(SENDER, "1"): StoredOutcome(b"", b"", 1, 3)}
        self.records = [made(position) for position in (1, 2, 3)]

    def outcomes(self, commands: Collection[CommandKey]) -> dict[CommandKey, StoredOutcome]:
        return {key: self.kept[key] for key in commands if key in self.kept}


def made(position: int, command: str = "1", version: int | None = None) -> Recorded:
    body = json.dumps({"commandid": command}).encode()
    return Recorded(position, "release:a@1", version or position, "release.created", body)


def gap(log: Kept) -> None:
    del log.records[1]


def jump(log: Kept) -> None:
    log.records[2] = made(3, version=4)


def loss(log: Kept) -> None:
    log.records.pop()


def strange(log: Kept) -> None:
    log.records[1] = made(2, command="2")


def forgotten(log: Kept) -> None:
    log.kept.clear()


def moved(log: Kept) -> None:
    log.kept[SENDER, "1"] = replace(log.kept[SENDER, "1"], first=2)


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (gap, "position 2 is missing"),
        (gap, "release:a@1 has version 3 after 1"),
        (jump, "release:a@1 has version 4 after 2"),
        (loss, "release.create 1 was told position 3, another command's"),
        (strange, "release.create 1 was told position 2, another command's"),
        (forgotten, "release.create 1 was answered accepted, but is not stored"),
        (moved, "release.create 1 was told positions 1 to 3"),
    ],
)
def test_the_judge_sees_what_the_log_lacks(harm: Callable[[Kept], None], fault: str) -> None:
    log = Kept()
    story = Story(outcomes=[log.told])
    assert judge.log(log.records, story, log) == []

    harm(log)

    assert fault in judge.log(log.records, story, log)


def publish(server: NatsServer, records: list[Recorded]) -> None:
    """The stream has these records, and no other."""

    async def write() -> None:
        connection = await connect(server.urls["relay"], "test")
        js = connection.jetstream(timeout=10.0)
        await streams.ensure_streams(js, names=[streams.EVENTS])
        await NatsEventStream(connection, "store").publish(records)
        await connection.close()

    asyncio.run(write())


@pytest.mark.parametrize(
    ("published", "faults"),
    [
        ([record(1), record(2), record(3)], []),
        ([record(1), record(2)], ["3 records are in the log, and 2 on the bus"]),
        ([record(1), record(2, "other"), record(3)], ["position 2 is another record on the bus"]),
        ([record(1), record(2), record(3), record(4)], ["position 4 is another record on the bus"]),
    ],
)
def test_the_judge_sees_where_the_bus_differs_from_the_log(
    tmp_path: Path, published: list[Recorded], faults: list[str]
) -> None:
    server = NatsServer(tmp_path)
    try:
        server.start()
        publish(server, published)
        assert judge.bus(FakeLog(3), server.urls["client"], patience=1.0) == faults
    finally:
        server.stop()


def test_the_judge_sees_a_dead_letter(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    gateway = Installation(tmp_path, SingleBus(tmp_path), None, replicas=1, roles={"gateway": 1})
    try:
        gateway.start()
        url = gateway.bus.urls["client"]
        assert judge.dead_letters(url) == []

        async def send() -> None:
            connection = await connect(url, "somebody")
            await connection.request(f"{streams.ASK_COMMAND}.release.create", b"this is no command", timeout=30.0)
            await connection.close()

        asyncio.run(send())

        [fault] = judge.dead_letters(url)
    finally:
        gateway.end()
    assert fault.startswith(f"dead letter 1 of {streams.ASK_COMMAND}.release.create: ")


def harm(home: DataDirectory, statement: str) -> list[str]:
    """Return the judge's faults of the projections of a log with one release, after this statement."""
    with ReleaseManager("shop", data=str(home.folder), actor="alice") as shop:
        shop.create_release("1.0.0", ["web"])
    log = home.open_log(Registry())
    for where, chosen in ((home.read_models, PROJECTIONS), (home.agenda, [agenda.PROJECTION])):
        projector = Projector(log, Registry(), where, chosen)
        projector.catch_up()
        projector.close()
    try:
        faults, rows = judge.projections(home, log)
        assert (faults, rows > 1) == ([], True)
        with closing(sqlite3.connect(home.read_models)) as connection, connection:
            assert connection.execute(statement).rowcount == 1
        return judge.projections(home, log)[0]
    finally:
        log.close()


@pytest.mark.parametrize(
    ("statement", "differ"),
    [("UPDATE releases SET author = 'mallory'", 2), ("DELETE FROM releases", 1)],
)
def test_the_judge_sees_a_row_that_differs_from_its_rebuild(tmp_path: Path, statement: str, differ: int) -> None:
    [fault] = harm(DataDirectory.at(tmp_path / ".relman"), statement)
    assert fault.startswith(f"releases: {differ} rows differ from a rebuild, such as ")


def test_the_judge_sees_an_event_that_a_projection_has_set_aside(tmp_path: Path) -> None:
    parked = "INSERT INTO read_parked VALUES ('releases', 1, 1, 'release:a@1', 'release.created', 'why')"
    faults = harm(DataDirectory.at(tmp_path / ".relman"), parked)
    assert "projection releases in relman_read has set aside position 1: why" in faults


ACTION = {"verb": "retire", "slot": "blue"}


def step(attempt: int) -> dict[str, Any]:
    return {"leg": "forward", "step": 0, "attempt": attempt}


def started(position: int, attempt: int | None = None) -> Recorded:
    data = {**step(attempt or position), "action": ACTION}
    record = json.dumps({"subject": "deployment:d", "data": data}).encode()
    return Recorded(position, "deployment:d", position, "deployment.step_started", record)


def line(what: str, fence: int, at: float, by: int = 11, attempt: int | None = None) -> dict[str, Any]:
    about = {"deployment": "d", "action": ACTION, **step(attempt or fence)}
    return {"what": what, "fence": fence, "at": at, "pid": by + 1000, "by": by, **about}


def once(fence: int, at: float, by: int = 11, attempt: int | None = None) -> list[dict[str, Any]]:
    return [line(what, fence, at, by, attempt) for what in ("begin", "effect", "end")]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([*once(1, 1.0), *once(2, 2.0)], None),
        ([line("begin", 1, 1.0), *once(1, 9.0, by=12)], None),
        ([line("begin", 1, 5.1, by=1), *once(1, 9.0, by=12)], None),
        ([*once(1, 1.0), line("begin", 1, 2.0), line("again", 1, 2.0), line("end", 1, 2.0)], "fence 1 began twice"),
        ([line("begin", 1, 1.0, by=12), *once(1, 9.0)], "fence 1 began twice, and the executor of the first lived"),
        ([line("begin", 1, 7.0, by=1), *once(1, 9.0)], "fence 1 began twice, and the executor of the first lived"),
        ([*once(1, 1.0), *once(1, 9.0, by=12)], "attempt 1 of step 0 forward of deployment d has 2 effects"),
        ([*once(1, 1.0), *once(3, 9.0, attempt=1)], "attempt 1 of step 0 forward of deployment d has 2 effects"),
        ([*once(2, 1.0), *once(1, 2.0)], "fence 1 began after 2"),
        ([line("begin", 1, 1.0), *once(2, 2.0, by=12), line("end", 1, 3.0)], "fence 1 went on after another had begun"),
        (once(4, 1.0), "the effect with fence 4 was not ordered"),
        (once(1, 1.0, attempt=2), "the effect with fence 1 was not ordered"),
    ],
)
def test_the_judge_sees_what_programs_must_not_do(lines: list[dict[str, Any]], fault: str | None) -> None:
    """Executor 11 was killed at 5.0; executor 12 lives."""
    executors = {11: 5.0, 12: float("inf")}
    found = judge.world({"place": lines}, [started(1), started(2), started(3, attempt=1)], executors)
    assert [fault in each for each in found] == [True] if fault else found == []


def test_the_judge_sees_a_step_that_succeeded_without_an_effect() -> None:
    data = json.dumps({"data": step(1)}).encode()
    records = [started(1), Recorded(2, "deployment:d", 2, "deployment.step_succeeded", data)]
    assert judge.world({"place": once(1, 1.0)}, records, {}) == []
    assert judge.world({"place": []}, records, {}) == ["position 2: a step succeeded without an effect"]


def test_programs_that_were_begun_again_are_counted() -> None:
    again = [line("begin", 1, 1.0), line("begin", 1, 2.0), *once(1, 3.0), *once(2, 4.0)]
    assert judge.repeated({"one": again, "other": once(1, 1.0)}) == 2


def test_an_order_that_comes_again_has_no_second_effect_and_one_with_another_fence_has(tmp_path: Path) -> None:
    place = dict.fromkeys(("environment", "application", "target", "component"), "a")
    order = {**place, **step(1), "deployment": "d", "action": ACTION}
    for fence in (1, 1, 2):
        given = json.dumps({**order, "fence": fence})
        subprocess.run([sys.executable, "-I", "-S", program.__file__, tmp_path], input=given, text=True, check=True)

    [lines] = judge.journals(tmp_path).values()
    assert [line["what"] for line in lines if line["what"] not in ("begin", "end")] == ["effect", "again", "effect"]


def effect(**action: Any) -> dict[str, Any]:
    return {"what": "effect", "action": action}


PLACE = "qa-shop-main-web"
WORLD = [
    effect(verb="provision", slot="blue", version="1.0.0"),
    effect(verb="provision", slot="green", version="1.0.1"),
    effect(verb="route", weights={"green": 100}),
    effect(verb="retire", slot="blue"),
]
ROW = {
    "environment": "qa",
    "application": "shop",
    "target": "main",
    "component": "web",
    "slot": "green",
    "version": "1.0.1",
    "intended": 100,
}


@pytest.mark.parametrize(
    ("lines", "rows", "right"),
    [
        (WORLD, [ROW], True),
        (WORLD[:-1], [ROW], False),  # both versions run
        ([*WORLD, effect(verb="provision", slot="blue", version="1.0.1")], [ROW], False),  # it runs twice
        (WORLD, [{**ROW, "version": "1.0.0"}], False),
        (WORLD, [{**ROW, "intended": 50}], False),
        (WORLD, [ROW, {**ROW, "slot": "blue"}], False),
        (WORLD, [], False),
        ([], [ROW], False),
    ],
)
def test_the_judge_sees_that_something_else_runs_than_is_said(
    lines: list[dict[str, Any]], rows: list[dict[str, Any]], right: bool
) -> None:
    assert [PLACE in fault for fault in judge.running({PLACE: lines}, rows)] == ([] if right else [True])


@pytest.mark.parametrize("ended", [None, "Succeeded", "Cancelled"])
def test_the_judge_sees_an_end_that_was_not_demanded(ended: str | None) -> None:
    found = [
        Deployment("a", "shop@1.0.0", "Succeeded", "Succeeded"),
        Deployment("b", "shop@1.0.9", "RolledBack", ended),
    ]
    assert judge.deployments(found) == [f"shop@1.0.9 (b) ended {ended}, and should have ended RolledBack"]
