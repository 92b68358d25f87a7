"""`relman projections` on a folder that nobody owns; beside `relman up` it is in the story."""

import json
import os
import pty
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench.conditions import Store
from bench.seed import releases, write
from release_management.runtime.gateway_host import GatewayHost
from tests.acceptance.cli.conftest import Types
from tests.acceptance.cli.harness import (
    SECONDS,
    Answer,
    CommandLine,
)

NAMES = {"running", "environments", "policies", "releases", "deployments", "approvals", "trail"}


def done(answer: Answer) -> Answer:
    assert answer.code == 0, answer
    return answer


def damaged(folder: Path) -> str:
    """Make one record unreadable, as if a newer program had written it; what it said before."""
    log = sqlite3.connect(folder / ".relman" / "log.db")
    with log:
        ((record,),) = log.execute("SELECT record FROM events WHERE name = 'release.published'").fetchall()
        unknown = record.replace(b'"data":{', b'"data":{"unknown":1', 1)
        log.execute("UPDATE events SET record = ? WHERE name = 'release.published'", (unknown,))
    log.close()
    return str(record.decode())


def repaired(folder: Path, record: str) -> None:
    log = sqlite3.connect(folder / ".relman" / "log.db")
    with log:
        log.execute("UPDATE events SET record = ? WHERE name = 'release.published'", (record.encode(),))
    log.close()


def published(relman: Types) -> None:
    done(relman("release", "create", "shop@1.0.0", "--component", "web"))
    done(relman("release", "publish", "shop@1.0.0"))


def test_projections_are_listed_with_their_positions(relman: Types) -> None:
    published(relman)
    rows = done(relman("projections", "list", "--json")).json
    last = max(row["position"] for row in rows)

    assert {row["name"] for row in rows} >= NAMES
    assert {(row["position"], row["lag"], row["parked"], row["building"]) for row in rows} == {(last, 0, 0, None)}
    printed = done(relman("projections", "list")).out.splitlines()
    assert printed[0].split() == ["projection", "version", "position", "behind", "parked", "being", "built"]
    assert done(relman("projections", "list", "--parked")).out == "nothing is set aside\n"


def test_parked_events_are_shown_and_folded_once_the_cause_is_gone(relman: Types, tmp_path: Path) -> None:
    published(relman)
    record = damaged(tmp_path)
    done(relman("projections", "rebuild"))
    (releases, trail) = done(relman("projections", "list", "--parked", "--json")).json

    assert (releases["projection"], trail["projection"]) == ("releases", "trail")
    assert releases["stream"] == "release:shop@1.0.0"
    assert "release.published) does not fit its model: unknown: Extra inputs are not permitted" in releases["reason"]
    assert "release:shop@1.0.0" in done(relman("projections", "list", "--parked")).out
    answer = relman("projections", "unpark", "trail", "--stream", "release:shop@1.0.0", "--json")
    assert done(answer).json == {
        "projection": "trail",
        "stream": "release:shop@1.0.0",
        "taken_in": 0,
        "still_parked": 1,
    }
    repaired(tmp_path, record)
    sentence = done(relman("projections", "unpark", "trail")).out
    assert sentence.startswith("✔ trail has taken in ")
    assert done(relman("projections", "list", "--parked", "--json")).json == []


def test_progress_goes_to_standard_error_and_not_beside_json(relman: Types) -> None:
    published(relman)
    answer = done(relman("projections", "rebuild", "trail"))
    assert answer.out.startswith("✔ trail was rebuilt from the log in ")
    assert answer.err.splitlines()[-1].startswith("trail: ")
    assert answer.err.endswith("(100 %)\n")
    answer = done(relman("projections", "rebuild", "--json"))
    assert (answer.json["rebuilt"], answer.err) == ("all", "")


def test_on_a_terminal_a_bar_moves(cli: CommandLine, tmp_path: Path) -> None:
    store = Store("SQLite", tmp_path)
    with GatewayHost(store.home) as core:
        source = f"urn:uuid:{core.log.store_id}"
    events = write(store, releases(source, 30_000))
    terminal, printed = pty.openpty()
    rebuild = subprocess.Popen(
        [*cli.relman_command(), "projections", "rebuild", "trail", "--data", str(store.home.folder)],
        cwd=cli.folder,
        env=cli.environment | {"TERM": "xterm-256color"},
        stdout=subprocess.PIPE,
        stderr=printed,
        text=True,
    )
    os.close(printed)
    shown = "".join(read_all(terminal))
    out, _ = rebuild.communicate(timeout=SECONDS)

    assert rebuild.returncode == 0
    assert out.startswith("✔ trail was rebuilt from the log in ")
    frames = re.findall(r"trail ━[^\r\n]*?(\d+)/(\d+)", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown))
    counts = [int(done) for done, _ in frames]
    assert counts == sorted(counts)
    assert len(set(counts)) > 2, "it moves"
    assert counts[-1] == events
    assert {int(total) for _, total in frames} == {events}


def read_all(terminal: int) -> Iterator[str]:
    """Yield the terminal's output, until no process has it open any more."""
    with open(terminal, "rb", buffering=0) as screen, suppress(OSError):
        while part := screen.read(4096):
            yield part.decode(errors="replace")


def test_an_unknown_name_is_refused_with_those_that_there_are(relman: Types) -> None:
    published(relman)
    for command in (("rebuild", "nonsense"), ("unpark", "nonsense")):
        answer = relman("projections", *command, "--json")
        assert answer.code == 1
        assert "there is no projection 'nonsense'; there are approvals, " in answer.json["error"]["reason"]


def test_on_another_machine_they_are_only_listed(cli: CommandLine) -> None:
    cli.init()
    cli.done("up", "--detach")
    url = (cli.data / "nats.url").read_text().strip()
    rows = json.loads(cli.done("projections", "list", "--data", url, "--json").out)
    assert {row["name"] for row in rows} >= NAMES
    assert cli.done("projections", "list", "--parked", "--data", url).out == "nothing is set aside\n"
    for command in (("rebuild",), ("unpark", "trail")):
        answer = cli.relman("projections", *command, "--data", url)
        assert answer.code == 3
        assert f"run relman projections {command[0]} there" in answer.err
