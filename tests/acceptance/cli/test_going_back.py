"""Going back, promoting and insisting, as a person types it, with real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import yaml

from tests.acceptance.cli.conftest import Types, typist
from tests.acceptance.cli.harness import (
    Answer,
    CommandLine,
    until,
)

CANARY = ("--strategy", "canary", "--set", 'steps=[{"set_weight":20},{"pause":{}},{"set_weight":40},{"pause":{}}]',
          "--set", "scale_down_delay=0", "--set", "abort_scale_down_delay=0")  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """1.0.0, 1.1.0 and 1.2.0 have succeeded in staging, by strategies that keep no old version."""
    cli = CommandLine(tmp_path_factory.mktemp("shop"))
    try:
        cli.init()
        manifest = cli.folder / "relman.yaml"
        stated = yaml.safe_load(manifest.read_text())
        quick = {"blue-green": {"scale_down_delay": 0}, "rolling": {"max_surge": 1, "max_unavailable": 0}}
        stated["policies"]["shop"] = {"strategy": "rolling", "strategies": quick, "rollback_window": "1d"}
        manifest.write_text(yaml.safe_dump(stated))
        cli.done("up", "--detach")
        cli.done("deploy", "shop@1.0.0", "staging", "--wait")
        for version in ("1.1.0", "1.2.0"):
            cli.done("release", "create", f"shop@{version}", "--component", "web")
            cli.done("deploy", f"shop@{version}", "staging", "--wait")
        yield cli
    finally:
        cli.end_everything()


@pytest.fixture
def here(shop: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Types]:
    yield typist(shop.folder, monkeypatch, capsys)
    structlog.reset_defaults()


@pytest.fixture
def serving(here: Types) -> None:
    """1.2.0 serves in staging, whatever other tests did before."""
    done(here("deploy", "shop@1.2.0", "staging", "--downgrade", "--wait"))


def done(answer: Answer) -> Answer:
    assert answer.code == 0, answer
    return answer


def stable(here: Types) -> list[str]:
    running = done(here("env", "show", "staging", "--json")).json["running"]
    return [each["version"] for each in running if each["role"] == "stable"]


@pytest.mark.usefixtures("serving")
def test_back_to_an_earlier_version_by_name_in_one_step(here: Types) -> None:
    older = here("deploy", "shop@1.0.0", "staging")
    assert older.code == 1
    assert "1.2.0 runs as web on main in staging, and is newer" in older.err
    assert "relman rollback shop staging --to 1.0.0" in older.err
    assert "relman deploy shop@1.0.0 staging --downgrade" in older.err

    back = done(here("rollback", "shop", "staging", "--to", "1.0.0", "--wait"))

    assert "✔ shop@1.0.0 → staging   blue-green   Succeeded" in back.out
    assert stable(here) == ["1.0.0"]
    again = here("rollback", "shop", "staging", "--to", "1.0.0")
    assert (again.code, again.err) == (
        1,
        "relman: there is nothing to take back in staging: web 1.0.0 on main is unchanged\n",
    )


@pytest.mark.usefixtures("serving")
def test_only_the_pause_that_was_seen_is_promoted(here: Types) -> None:
    done(here("release", "create", "shop@1.3.0", "--component", "web"))
    paused = done(here("deploy", "shop@1.3.0", "staging", *CANARY, "--wait"))
    [canary] = done(here("deployment", "list", "--active", "--json")).json
    seen = f"relman deployment promote {canary['id']} --step 4"
    assert f"next: {seen}, or: relman deployment abort {canary['id']}" in paused.out

    unnamed = here("deployment", "promote", canary["id"])
    assert unnamed.code == 1
    assert f"may pause more than once; look at it, and name the pause that you saw: {seen}" in unnamed.err
    done(here("deployment", "promote", canary["id"], "--step", "4"))
    until(lambda: done(here("deployment", "show", canary["id"], "--json")).json["weight"] == 40)
    until(lambda: bool(done(here("deployment", "show", canary["id"], "--json")).json["awaits_person"]))
    assert "Paused at 40 %" in done(here("deployment", "promote", canary["id"], "--step", "4")).out
    other = here("deployment", "promote", canary["id"], "--step", "8")
    assert (other.code, "does not wait at step 8, but at step 6" in other.err) == (1, True)

    kept = here("deploy", "shop@1.2.0", "staging")
    assert kept.code == 1
    assert f"deployment {canary['id']} is Paused there with shop@1.3.0; to keep 1.2.0, take that back" in kept.err
    taken = done(here("rollback", "shop", "staging", "--reason", "too slow"))
    assert canary["id"] in taken.out
    until(lambda: done(here("deployment", "show", canary["id"], "--json")).json["phase"] == "RolledBack")
    assert stable(here) == ["1.2.0"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--dry-run", "--wait"), "--dry-run records nothing, so that this has no effect"),
        (("--timeout", "5"), "it says how long --wait waits; add --wait"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(here: Types, options: tuple[str, ...], sentence: str) -> None:
    answer = here("deploy", "shop@1.2.0", "staging", *options)

    assert (answer.code, sentence in answer.err) == (2, True)


def test_the_window_is_applied_from_the_manifest(here: Types, shop: CommandLine) -> None:
    manifest = shop.folder / "relman.yaml"
    stated = yaml.safe_load(Path(manifest).read_text())
    stated["policies"] = {"shop": {"rollback_window": "2d"}}
    manifest.write_text(yaml.safe_dump(stated))

    changed = done(here("apply", "relman.yaml", "--dry-run")).out

    assert "~ policy shop: rollback_window 86400.0 → 172800.0" in changed


@pytest.mark.usefixtures("serving")
def test_deploying_while_the_old_version_is_kept_says_that_it_starts_at_once(here: Types) -> None:
    kept = ("--strategy", "blue-green", "--set", "scale_down_delay=600")
    for version in ("1.4.0", "1.5.0"):
        done(here("release", "create", f"shop@{version}", "--component", "web"))
    done(here("deploy", "shop@1.4.0", "staging", *kept))
    [first] = [each["id"] for each in done(here("deployment", "list", "--active", "--json")).json]
    until(lambda: done(here("deployment", "show", first, "--json")).json["phase"] == "Baking")
    holds = f"deployment {first} holds staging/shop/main only to keep the version that goes for a while; it stops that"

    shown = done(here("deploy", "shop@1.5.0", "staging", "--strategy", "recreate", "--dry-run"))
    following = done(here("deploy", "shop@1.5.0", "staging", "--strategy", "recreate"))

    assert f"wait: {holds}" in shown.out
    assert f"\n  {holds} early for this one, which begins right then\n" in following.out
    until(lambda: done(here("deployment", "list", "--active", "--json")).json == [])
    assert stable(here) == ["1.5.0"]
    told = " ".join(done(here("deployment", "show", first)).out.split())
    assert "blue-green Succeeded" in told
    assert "(before the old version is stopped): ended early for deployment" in told
    assert "ended the bake of step 5 early for deployment" in done(here("audit", "log", "--deployment", first)).out
