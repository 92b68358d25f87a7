"""Judge whether the kills made a difference: compare the log, the bus, the projections and the world."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select

from chaos.story import SENDER, Deployment, Story
from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.dead_letters.model import DeadLetter
from release_management.adapters.read_model import Projector, ReadStore
from release_management.adapters.read_model.database import SCHEMA, reader
from release_management.domain.registry import Registry
from release_management.kernel.record import Recorded
from release_management.projections import agenda
from release_management.projections.catalog import PROJECTIONS
from release_management.projections.kit.projection import Projection
from release_management.runtime.data_directory import DataDirectory
from release_management.services.ports import EventLog

PUBLISHED_SECONDS = 60.0
MORE_SECONDS = 0.5
"""Seconds to wait for more messages on the bus than there should be."""
ANSWERED_SECONDS = 60.0
LETTERS = 100
DYING_SECONDS = 0.5
"""Seconds after the death of its executor within which a program may still begin, and dies then."""
Line = Mapping[str, Any]


def records_of(log: EventLog) -> list[Recorded]:
    """Return the whole log."""
    found: list[Recorded] = []
    while page := log.read(len(found)):
        found += page
    return found


def deployments(found: Iterable[Deployment]) -> list[str]:
    """Check that each deployment ended as the story requires."""
    return [
        f"{one.release} ({one.id}) ended {one.ended}, and should have ended {one.demanded}"
        for one in found
        if one.ended != one.demanded
    ]


def log(records: Sequence[Recorded], story: Story, events: EventLog) -> list[str]:
    """Check that nothing is missing: no position, no version of a stream, and no record of an answered command."""
    faults = [f"position {n} is missing" for n, one in enumerate(records, 1) if one.position != n][:5]
    versions: Counter[str] = Counter()
    for one in records:
        versions[one.stream] += 1
        if one.version != versions[one.stream]:
            faults.append(f"{one.stream} has version {one.version} after {versions[one.stream] - 1}")
            versions[one.stream] = one.version
    keys = [(SENDER, outcome.id) for outcome in story.outcomes]
    stored = events.outcomes(keys)
    for outcome in story.outcomes:
        kept = stored.get((SENDER, outcome.id))
        if kept is None:
            faults.append(f"{outcome.command} {outcome.id} was answered {outcome.status}, but is not stored")
        elif outcome.first and (kept.first, kept.last) != (outcome.first, outcome.last):
            faults.append(f"{outcome.command} {outcome.id} was told positions {outcome.first} to {outcome.last}")
        for position in range(outcome.first, outcome.last + 1) if outcome.first else ():
            told = json.loads(records[position - 1].record).get("commandid") if position <= len(records) else None
            if told != outcome.id:
                faults.append(f"{outcome.command} {outcome.id} was told position {position}, another command's")
    return faults


def bus(events: EventLog, url: str, patience: float = PUBLISHED_SECONDS) -> list[str]:
    """Check that the event stream holds the log: every record, once, in order, byte for byte, and nothing else."""
    last = events.last_position()

    async def read() -> list[Recorded]:
        found: list[Recorded] = []
        async with BusClient(url) as client:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience) as limit:
                    async for event in client.events():
                        found.append(event)
                        if len(found) == last:
                            limit.reschedule(asyncio.get_running_loop().time() + MORE_SECONDS)
        return found

    published = asyncio.run(read())
    records = {one.position: one.record for one in records_of(events)}
    faults = [
        f"position {said.position} is another record on the bus"
        for said in published
        if said.record != records.get(said.position)
    ]
    if len(published) < last:
        faults.append(f"{last} records are in the log, and {len(published)} on the bus")
    return faults


def dead_letters(url: str) -> list[str]:
    """Check that there is no dead letter, and no message was given up: all were valid."""

    async def read() -> list[DeadLetter]:
        async with BusClient(url, timeout=ANSWERED_SECONDS) as client:
            return await client.dead_letters(LETTERS)

    return [f"dead letter {one.id} of {one.subject}: {one.reason}" for one in asyncio.run(read())]


def parked(where: str | Path, schema: str, chosen: Sequence[Projection]) -> list[str]:
    """Check that no event is parked, which a rebuild by the same code would do as well."""
    store = ReadStore(where, chosen, schema=schema)
    try:
        rows = store.parked()
    finally:
        store.close()
    return [
        f"projection {row['projection']} in {schema} has set aside position {row['position']}: {row['reason']}"
        for row in rows
    ]


def projections(home: DataDirectory, events: EventLog) -> tuple[list[str], int]:
    """Check that every projection equals a rebuild from the log; also count the compared rows."""
    faults: list[str] = []
    rows = 0
    cases = [(home.read_models, SCHEMA, PROJECTIONS), (home.agenda, "relman_agenda", (agenda.PROJECTION,))]
    for where, schema, chosen in cases:
        fresh = where if isinstance(where, str) else where.with_name(f"rebuilt-{where.name}")
        made = f"rebuilt_{schema}"
        faults += parked(where, schema, chosen)  # before the projector, which tries them again
        for at, name in ((where, schema), (fresh, made)):
            projector = Projector(events, Registry(), at, chosen, schema=name)
            projector.catch_up()
            projector.close()
        faults += parked(fresh, made, chosen)
        for table in (table for projection in chosen for table in projection.tables):
            kept, rebuilt = _rows(where, schema, table), _rows(fresh, made, table)
            rows += len(rebuilt)
            if kept != rebuilt:
                odd = [row for row in kept + rebuilt if (row in kept) != (row in rebuilt)]
                faults.append(f"{table.name}: {len(odd)} rows differ from a rebuild, such as {odd[0][:300]}")
    return faults, rows


def _rows(where: str | Path, schema: str, table: Table) -> list[str]:
    engine = reader(where, schema)
    try:
        with engine.connect() as connection:
            found = connection.execute(select(table)).mappings()
            return sorted(json.dumps(dict(row), sort_keys=True, default=str) for row in found)
    finally:
        engine.dispose()


def journals(folder: Path) -> dict[str, list[Line]]:
    """Return the world's journals, per place and component."""
    return {
        path.stem: [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted(folder.glob("*.journal"))
    }


def world(
    found: Mapping[str, Sequence[Line]], records: Sequence[Recorded], executors: Mapping[int, float]
) -> list[str]:
    """Check that one program ran at a time, in the order of the fences, and each order had one effect, as ordered.

    An order is a step's attempt at a place, whatever its fence. `executors` says by pid until when each has lived: only
    after the death of its executor may a program begin again.
    """
    faults: list[str] = []
    ordered = {one.position: json.loads(one.record) for one in records if one.name == "deployment.step_started"}
    steps = {(one["subject"].partition(":")[2], *_step(one["data"])) for one in ordered.values()}
    done = set()
    for place, lines in found.items():
        faults += [f"{place}: {fault}" for fault in (*_effects(lines), *_in_turn(lines, executors))]
        for line in (line for line in lines if line["what"] == "effect"):
            said = ordered.get(line["fence"])
            if said is not None and line.get("verb") == "await_healthy" != said["data"]["action"]["verb"]:
                continue  # health was asked ahead of the order
            if said is None or _asked(said["data"]) != _asked(line):
                faults.append(f"{place}: the effect with fence {line['fence']} was not ordered by that record")
            done.add((line["deployment"], *_step(line)))
    for one in records:
        if one.name == "deployment.step_succeeded":
            step = (one.stream.partition(":")[2], *_step(json.loads(one.record)["data"]))
            if step in steps and step not in done:
                faults.append(f"position {one.position}: a step succeeded without an effect")
    return faults


def repeated(found: Mapping[str, Sequence[Line]]) -> int:
    """Return how often a program began again for the same order."""
    begun = [
        (place, line["fence"], line.get("verb"))
        for place, lines in found.items()
        for line in lines
        if line["what"] == "begin"
    ]
    return len(begun) - len(set(begun))


def _effects(lines: Sequence[Line]) -> list[str]:
    effects = [line for line in lines if line["what"] == "effect"]
    done = Counter((line["deployment"], *_step(line), line.get("verb")) for line in effects)
    return [
        f"attempt {attempt} of step {step} {leg} of deployment {deployment} has {times} effects"
        for (deployment, leg, step, attempt, _), times in done.items()
        if times > 1
    ]


def _in_turn(lines: Sequence[Line], executors: Mapping[int, float]) -> list[str]:
    faults = []
    begun = [line for line in lines if line["what"] == "begin"]
    for earlier, later in pairwise(begun):
        if later["fence"] < earlier["fence"]:
            faults.append(f"fence {later['fence']} began after {earlier['fence']}")
        same = (later["fence"], later.get("verb")) == (earlier["fence"], earlier.get("verb"))
        if same and not _died(earlier, later["at"], executors):
            faults.append(f"fence {later['fence']} began twice, and the executor of the first lived")
    last = None
    for line in lines:
        if line["what"] == "begin":
            last = line["pid"], line["fence"]
        elif (line["pid"], line["fence"]) != last:
            faults.append(f"the program of fence {line['fence']} went on after another had begun")
    return faults


def _died(begun: Line, before: float, executors: Mapping[int, float]) -> bool:
    """Return True if the executor that began a program has died; an orphan's had died already."""
    if begun["by"] in executors:
        return executors[begun["by"]] <= before
    return any(begun["at"] - DYING_SECONDS <= died <= before for died in executors.values())


def _asked(line: Line) -> tuple[Any, ...]:
    return (*_step(line), {key: value for key, value in line["action"].items() if value is not None})


def _step(line: Line) -> tuple[Any, ...]:
    return line["leg"], line["step"], line["attempt"]


def running(found: Mapping[str, Sequence[Line]], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Check that the world's versions and traffic are those of the read model; nobody observes this world."""
    real: dict[str, dict[str, tuple[str, int]]] = {}
    for place, lines in found.items():
        slots: dict[str, str] = {}
        weights: dict[str, int] = {}
        for action in (line["action"] for line in lines if line["what"] == "effect"):
            if action["verb"] == "provision":
                slots[action["slot"]] = action["version"]
            elif action["verb"] == "retire":
                slots.pop(action["slot"], None)
            elif action["verb"] == "route":
                weights = action["weights"]
        real[place] = {slot: (version, weights.get(slot, 0)) for slot, version in slots.items()}
    said: dict[str, dict[str, tuple[str, int]]] = {place: {} for place in real}
    for row in rows:
        place = f"{row['environment']}-{row['application']}-{row['target']}-{row['component']}"
        said.setdefault(place, {})[row["slot"]] = (row["version"], row["intended"] or 0)
    return [
        f"{place} runs {real.get(place)}, and the read model says {slots}"
        for place, slots in said.items()
        if real.get(place) != slots
    ]
