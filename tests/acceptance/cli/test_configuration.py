"""A changed variable: announced by `apply`, shown by `--dry-run`, rolled out by `deploy`, taken back by a rollback."""

import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog
import yaml

from tests.acceptance.cli.conftest import Types, typist
from tests.acceptance.cli.harness import (
    Answer,
    CommandLine,
    until,
)

HELLO = {"GREETING": "hello", "DB_PASSWORD": "hunter2"}
GOOD_MORNING = {"GREETING": "good morning", "DB_PASSWORD": "hunter3"}
OUTDATED = "1 component (web) runs with another configuration than declared: relman deploy shop@1.0.0 staging"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """`shop@1.0.0` serves in staging with `GREETING=hello`, two processes of it."""
    cli = CommandLine(tmp_path_factory.mktemp("shop"))
    try:
        cli.init()
        declare(cli, **HELLO)
        cli.done("up", "--detach")
        cli.done("deploy", "shop@1.0.0", "staging", "--wait")
        until_well(cli)
        yield cli
        cli.done("down")
    finally:
        cli.end_everything()


@pytest.fixture
def here(shop: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Types]:
    """`relman` beside the one that runs, in this process; it must succeed."""
    typed = typist(shop.folder, monkeypatch, capsys)

    def done(*arguments: str) -> Answer:
        answer = typed(*arguments)
        assert answer.code == 0, (arguments, answer)
        return answer

    yield done
    structlog.reset_defaults()


def until_well(cli: CommandLine) -> None:
    """Wait until the newest look sees what was deployed last: an older one may still be told after the deployment."""
    until(lambda: cli.relman("env", "show", "staging").code == 0)


def declare(cli: CommandLine, **variables: str) -> None:
    file = cli.folder / "relman.yaml"
    stated = yaml.safe_load(file.read_text())
    stated["environments"]["staging"]["variables"] = variables
    stated["environments"]["staging"]["targets"]["main"]["components"]["web"]["replicas"] = 2
    at_once = {"scale_down_delay": 0}
    stated["policies"]["shop"] = {"strategy": "rolling", "strategies": {"rolling": at_once, "blue-green": at_once}}
    file.write_text(yaml.safe_dump(stated))


def roll_out(cli: CommandLine, here: Types, variables: dict[str, str]) -> None:
    """Declare these variables, and deploy them where others run."""
    declare(cli, **variables)
    here("apply", "relman.yaml")
    here("deploy", "shop@1.0.0", "staging", "--wait")
    until_well(cli)


def port(cli: CommandLine) -> int:
    stated = yaml.safe_load((cli.folder / "relman.yaml").read_text())
    return int(stated["environments"]["staging"]["targets"]["main"]["components"]["web"]["port"])


def greetings(cli: CommandLine) -> list[tuple[str, str]]:
    """`GREETING` and `DB_PASSWORD` of the processes that run for web, as the system has them."""
    found = []
    for process in cli.children():
        if "release_management.sample" in process.cmdline():
            environ = process.environ()
            found.append((environ["GREETING"], environ["DB_PASSWORD"]))
    return found


@contextmanager
def asked(cli: CommandLine) -> Iterator[Counter[str]]:
    """Clients keep asking while the block runs."""
    answers: Counter[str] = Counter()
    over = threading.Event()
    url = f"http://127.0.0.1:{port(cli)}/"

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


def test_a_changed_variable_is_announced(shop: CommandLine, here: Types) -> None:
    roll_out(shop, here, HELLO)
    assert OUTDATED not in here("apply", "relman.yaml").out
    declare(shop, **GOOD_MORNING)

    would = here("apply", "relman.yaml", "--dry-run").out
    applied = here("apply", "relman.yaml").out

    assert 'variables.GREETING "hello" → "good morning"' in would
    assert OUTDATED.replace("runs", "would run") in would
    assert OUTDATED in applied
    assert "hunter" not in would + applied
    assert here("apply", "relman.yaml", "--json").json["outdated"] == [OUTDATED]
    assert here("env", "show", "staging", "--json").json["outdated"] == [OUTDATED]
    assert greetings(shop) == [("hello", "hunter2")] * 2, "nothing comes in unannounced"


def test_a_dry_run_shows_old_and_new_values(shop: CommandLine, here: Types) -> None:
    roll_out(shop, here, HELLO)
    declare(shop, **GOOD_MORNING)
    here("apply", "relman.yaml")

    dry = here("deploy", "shop@1.0.0", "staging", "--dry-run").out

    assert "change: web on main: 1.0.0 again; configuration differs: DB_PASSWORD, GREETING\n" in dry
    assert "  GREETING: hello → good morning\n" in dry
    assert "  DB_PASSWORD: another value (not shown)\n" in dry


def test_a_deploy_of_the_same_release_rolls_it_out_without_a_failed_request(shop: CommandLine, here: Types) -> None:
    roll_out(shop, here, HELLO)
    declare(shop, **GOOD_MORNING)
    here("apply", "relman.yaml")
    before = config(here)

    with asked(shop) as answers:
        deployed = here("deploy", "shop@1.0.0", "staging", "--wait", "--json")

    until_well(shop)
    assert set(answers) == {"200"}
    assert greetings(shop) == [("good morning", "hunter3")] * 2
    told = here("deployment", "show", deployed.json["id"]).out
    assert "  GREETING: hello → good morning\n" in told
    [change] = deployed.json["plan"]["changes"]
    assert change["differs"][1] == {"name": "GREETING", "before": "hello", "after": "good morning"}
    assert "hunter" not in told + deployed.out
    assert config(here) != before
    assert "another configuration than declared" not in here("env", "show", "staging").out


def test_a_second_deploy_says_that_it_is_already_so(shop: CommandLine, here: Types) -> None:
    roll_out(shop, here, HELLO)

    again = here("deploy", "shop@1.0.0", "staging", "--wait").out

    assert "already so: it was deployed there with the configuration that is declared; nothing was done\n" in again
    assert "to bring it again: relman deploy shop@1.0.0 staging --redeploy\n" in again


def test_a_redeploy_brings_new_processes_of_the_same(shop: CommandLine, here: Types) -> None:
    roll_out(shop, here, HELLO)
    before = pids(shop)

    with asked(shop) as answers:
        out = here("deploy", "shop@1.0.0", "staging", "--redeploy", "--wait").out

    assert "Succeeded" in out
    assert set(answers) == {"200"}
    assert len(pids(shop)) == 2
    assert not pids(shop) & before


def test_a_rollback_returns_to_the_configuration_that_ran(shop: CommandLine, here: Types) -> None:
    roll_out(shop, here, HELLO)
    roll_out(shop, here, GOOD_MORNING)
    [newest, *_] = here("deployment", "list", "--limit", "1", "--json").json

    with asked(shop) as answers:
        back = here("deployment", "rollback", newest["id"], "--json").json
        until(lambda: here("deployment", "show", back["id"], "--json").json["phase"] == "Succeeded")

    assert set(answers) == {"200"}
    assert back["reverts"] == newest["id"]
    assert greetings(shop) == [("hello", "hunter2")] * 2
    assert OUTDATED in here("apply", "relman.yaml").out


def config(here: Types) -> str:
    """The digest of web's configuration, the beginning of which stands in the table too."""
    [running] = here("env", "show", "staging", "--json").json["running"]
    assert running["configuration"][:8] in here("env", "show", "staging").out
    return str(running["configuration"])


def pids(cli: CommandLine) -> set[int]:
    return {each.pid for each in cli.children() if "release_management.sample" in each.cmdline()}
