"""A changed variable: announced by `apply`, shown by `--dry-run`, rolled out by `deploy`, taken back by a rollback."""

import re
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from tests.acceptance.cli.desk import Desk

OUTDATED = "1 component (web) runs with another configuration than declared: relman deploy shop@1.0.0 staging"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Desk]:
    """`shop@1.0.0` serves in staging with `GREETING=hello`, two processes of it, one after the other replaced."""
    desk = Desk(tmp_path)
    try:
        desk.init()
        declare(desk, GREETING="hello", DB_PASSWORD="hunter2")
        desk.done("up", "--detach")
        desk.done("deploy", "shop@1.0.0", "staging", "--wait")
        yield desk
        desk.done("down")
    finally:
        desk.end_everything()


def declare(desk: Desk, **variables: str) -> None:
    file = desk.folder / "relman.yaml"
    stated = yaml.safe_load(file.read_text())
    stated["environments"]["staging"]["variables"] = variables
    stated["environments"]["staging"]["targets"]["main"]["components"]["web"]["replicas"] = 2
    file.write_text(yaml.safe_dump(stated))


def port(desk: Desk) -> int:
    stated = yaml.safe_load((desk.folder / "relman.yaml").read_text())
    return int(stated["environments"]["staging"]["targets"]["main"]["components"]["web"]["port"])


def greetings(desk: Desk) -> list[tuple[str, str]]:
    """`GREETING` and `DB_PASSWORD` of the processes that run for web, as the system has them."""
    found = []
    for process in desk.children():
        if "release_management.sample" in process.cmdline():
            environ = process.environ()
            found.append((environ["GREETING"], environ["DB_PASSWORD"]))
    return found


@contextmanager
def asked(desk: Desk) -> Iterator[Counter[str]]:
    """Clients keep asking while the block runs."""
    answers: Counter[str] = Counter()
    over = threading.Event()
    url = f"http://127.0.0.1:{port(desk)}/"

    def client() -> None:
        while not over.is_set():
            try:
                with urllib.request.urlopen(url, timeout=10) as answer:
                    answers[str(answer.status)] += 1
            except OSError as error:
                answers[str(error)] += 1

    threads = [threading.Thread(target=client) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_changed_variable_is_announced_shown_rolled_out_and_taken_back(shop: Desk) -> None:
    assert OUTDATED not in shop.done("apply", "relman.yaml").out
    assert greetings(shop) == [("hello", "hunter2")] * 2

    declare(shop, GREETING="good morning", DB_PASSWORD="hunter3")
    would = shop.done("apply", "relman.yaml", "--dry-run").out
    assert 'variables.GREETING "hello" → "good morning"' in would
    assert OUTDATED.replace("runs", "would run") in would
    applied = shop.done("apply", "relman.yaml")
    assert OUTDATED in applied.out
    assert "hunter" not in would + applied.out
    assert shop.done("apply", "relman.yaml", "--json").json["outdated"] == [OUTDATED]
    shown = shop.done("env", "show", "staging")
    assert OUTDATED in " ".join(shown.out.split())
    assert greetings(shop) == [("hello", "hunter2")] * 2, "nothing comes in unannounced"

    dry = shop.done("deploy", "shop@1.0.0", "staging", "--dry-run").out
    assert "change: web on main: 1.0.0 again; configuration differs: DB_PASSWORD, GREETING\n" in dry
    assert "  GREETING: hello → good morning\n" in dry
    assert "  DB_PASSWORD: another value (not shown)\n" in dry

    with asked(shop) as answers:
        deployed = shop.done("deploy", "shop@1.0.0", "staging", "--wait", "--json").json
    assert set(answers) == {"200"}
    assert greetings(shop) == [("good morning", "hunter3")] * 2
    told = shop.done("deployment", "show", deployed["id"]).out
    assert "  GREETING: hello → good morning\n" in told
    [change] = deployed["plan"]["changes"]
    assert change["differs"][1] == {"name": "GREETING", "before": "hello", "after": "good morning"}
    assert "hunter" not in told + str(deployed) + dry
    before, after = config(shown.out), config(shop.done("env", "show", "staging").out)
    assert before != after

    again = shop.done("deploy", "shop@1.0.0", "staging", "--wait").out
    assert "already so: it runs there with the configuration that is declared; nothing was done\n" in again
    assert "to bring it again: relman deploy shop@1.0.0 staging --redeploy\n" in again

    with asked(shop) as answers:
        back = shop.done("deployment", "rollback", deployed["id"], "--json").json
        shop.done("deploy", "shop@1.0.0", "staging", "--wait", "--timeout", "60")  # follows what is under way
    assert set(answers) == {"200"}
    assert back["reverts"] == deployed["id"]
    assert greetings(shop) == [("hello", "hunter2")] * 2
    assert config(shop.done("env", "show", "staging").out) == before
    assert OUTDATED in shop.done("apply", "relman.yaml").out


def config(shown: str) -> str:
    """The digest of web's configuration in the table that `env show` prints."""
    found = re.search(r"\b1\.0\.0 +([0-9a-f]{8})\b", shown)
    assert found is not None, shown
    return found[1]


def test_a_redeploy_brings_new_processes_of_the_same(shop: Desk) -> None:
    def pids() -> set[int]:
        return {each.pid for each in shop.children() if "release_management.sample" in each.cmdline()}

    before = pids()
    with asked(shop) as answers:
        out = shop.done("deploy", "shop@1.0.0", "staging", "--redeploy", "--wait").out
    assert "Succeeded" in out
    assert set(answers) == {"200"}
    assert len(pids()) == 2
    assert not pids() & before
    assert all(psutil.Process(pid).is_running() for pid in pids())
