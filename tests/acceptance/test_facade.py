"""`ReleaseManager` with exactly the names and keyword arguments that were promised; nothing is deployed here."""

import inspect
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import ValidationError

import release_management
from release_management import (
    Deployment,
    NotReachableError,
    Refused,
    ReleaseManager,
)
from release_management.runtime.installations import Installation

COMMAND = ["./run", "--port", "{port}", "--version", "{version}"]
NUMBERS = count(1)
UNTYPED: Any = ReleaseManager


def targets(port: int = 18080) -> dict[str, Any]:
    return {"main": {"executor": "local", "components": {"web": {"command": COMMAND, "port": port}}}}


LABELS = {
    "staging": {"name": "Staging", "targets": targets()},
    "production": {"name": "Live", "targets": targets(18081)},
}


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[ReleaseManager]:
    """A folder of its own."""
    with ReleaseManager("shop", data=str(tmp_path / ".relman"), actor="alice") as manager:
        yield manager


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReleaseManager]:
    """A folder with staging and production, and a release of the application `shop`."""
    with ReleaseManager("shop", data=str(tmp_path_factory.mktemp("shared") / ".relman"), actor="alice") as manager:
        manager.configure_environments(LABELS)
        manager.create_release("1.0.0", ["web"])
        yield manager


@pytest.fixture
def shop(shared: ReleaseManager) -> ReleaseManager:
    """An application of its own in that folder; it has no policies and no releases yet."""
    return ReleaseManager.on(shared._backend, f"shop-{next(NUMBERS)}", actor="alice")


@pytest.fixture
def as_bob(shop: ReleaseManager) -> ReleaseManager:
    return ReleaseManager.on(shop._backend, shop.application, actor="bob")


def positions(manager: ReleaseManager) -> int:
    return sum(1 for _ in manager._backend.records(0, follow=False))


# The promise


@pytest.mark.parametrize(
    ("method", "promised"),
    [
        ("configure_environments", "environments"),
        ("setup_release_pipeline", "name stages=None"),
        ("configure_deployment_strategy", "strategy options environment=None"),
        ("create_release", "version components changelog changes draft=False"),
        ("plan_deployment", "release target_environment strategy=None"),
        ("setup_canary_deployment", "release traffic_percentage"),
        ("configure_rollback_strategy", "trigger_conditions"),
        ("configure_compliance_gates", "gates"),
        ("attest", "release gate result note=None"),
        ("deploy", "release target_environment"),
        ("wait", "deployment"),
        ("promote", "deployment"),
        ("abort", "deployment"),
        ("rollback", "deployment"),
        ("request_approval", "deployment"),
        ("approve", "approval"),
        ("refuse", "approval"),
        ("environment", "name"),
        ("history", ""),
    ],
)
def test_every_method_has_the_promised_names_and_defaults(method: str, promised: str) -> None:
    parameters = inspect.signature(getattr(ReleaseManager, method)).parameters

    for word in promised.split():
        name, equals, default = word.partition("=")
        assert name in parameters
        if equals:
            assert repr(parameters[name].default) == default
    mandatory = [name for name, it in parameters.items() if it.default is it.empty and name != "self"]
    assert set(mandatory) <= {word.partition("=")[0] for word in promised.split()}


def test_the_package_offers_what_it_lists() -> None:
    assert release_management.__all__ == sorted(release_management.__all__)
    assert all(getattr(release_management, name) for name in release_management.__all__)


# The same script twice


def script(manager: ReleaseManager) -> list[str]:
    """Everything that is configured and planned, as text."""
    printed: list[Any] = [*manager.configure_environments(LABELS)]
    printed.append(manager.setup_release_pipeline("main"))
    printed.append(manager.configure_deployment_strategy(strategy="canary", options={"interval": "5m"}))
    printed.append(manager.configure_deployment_strategy("recreate", environment="staging"))
    conditions = [{"metric": "error_rate", "threshold": 0.05, "duration_seconds": 60}]
    printed.append(manager.configure_rollback_strategy(trigger_conditions=conditions))
    printed.append(manager.configure_compliance_gates({"tests": {"required": True, "pass_threshold": 0.9}}))
    release = manager.create_release(
        version="1.0.0",
        components=["web"],
        changelog=["the first one"],
        changes=[{"commit": "abcd1234", "committed_at": "2026-11-23T09:30:00Z"}],
    )
    printed.append(release)
    printed.append(manager.attest(release, gate="tests", result="passed"))
    deployment = manager.plan_deployment(release, target_environment="staging")
    printed.append(deployment)
    printed.append(deployment.id)
    printed.append(manager.setup_canary_deployment(release, traffic_percentage=20))
    printed.append(manager.plan_deployment(release, "production", strategy="rolling"))
    return [str(one) for one in printed]


def test_the_same_script_twice_in_one_folder_gives_the_same_and_records_nothing_more(tmp_path: Path) -> None:
    data = str(tmp_path / ".relman")
    with ReleaseManager("shop", data=data, actor="alice") as manager:
        script(manager)
        first, recorded = script(manager), positions(manager)
    with ReleaseManager("shop", data=data, actor="alice") as manager:
        assert script(manager) == first
        assert positions(manager) == recorded


def test_memory_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        with ReleaseManager(data=":memory:") as manager:
            assert manager.create_release("1.0.0", ["web"]).ref == "default@1.0.0"
            assert len(manager.releases()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_data_lie_in_the_working_directory_readable_by_their_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ReleaseManager() as manager:
        assert manager.application == "default"
        manager.create_release("1.0.0", ["web"])

    assert (tmp_path / ".relman" / "log.db").exists()
    assert (tmp_path / ".relman").stat().st_mode & 0o077 == 0


def test_a_manager_may_be_closed_twice_and_says_so_when_used_afterwards(tmp_path: Path) -> None:
    manager = ReleaseManager(data=str(tmp_path))
    manager.close()
    manager.close()
    with pytest.raises(Exception, match="closed"):
        manager.releases()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python ≥ 3.12, of threads
def test_a_forked_child_is_told_so_and_closes_nothing_of_its_parents() -> None:
    with ReleaseManager("shop", data=":memory:") as manager:
        manager.create_release("1.0.0", ["web"])
        child = get_context("fork").Process(target=in_a_fork, args=(manager, manager._backend, os.getpid()))
        child.start()
        child.join(20)
        child.kill()
        child.join()

        assert child.exitcode == 0
        assert [release.version for release in manager.releases()] == ["1.0.0"]
        assert manager.create_release("1.1.0", ["web"]).version == "1.1.0"


def in_a_fork(manager: ReleaseManager, backend: Installation, parent: int) -> None:
    on_it = ReleaseManager.on(backend, "shop")
    attempts: list[Callable[[], object]] = [manager.releases, on_it.releases, backend.start_workers]
    attempts += [partial(each.create_release, "2.0.0", ["web"]) for each in (manager, on_it)]
    for attempt in attempts:
        with pytest.raises(NotReachableError, match=f"belongs to process {parent}; make another one after a fork"):
            attempt()
    backend.close()
    manager.close()
    threading._shutdown()  # type: ignore[attr-defined] # what the end of a process runs


def test_a_manager_on_anothers_backend_leaves_it_open(shop: ReleaseManager) -> None:
    with ReleaseManager.on(shop._backend, shop.application, actor="bob") as bob:
        bob.create_release("1.0.0", ["web"])

    assert [release.author for release in shop.releases()] == ["bob"]


# Environments and pipelines


def test_a_list_parameter_accepts_any_sequence(alone: ReleaseManager) -> None:
    web = {"command": ("./run", "{port}"), "port": 18080}
    target = {"slots": ("a", "b"), "routes": (0, 50, 100), "components": MappingProxyType({"web": web})}
    rule = {"approvers": ("bob", "carol")}

    (staging,) = alone.configure_environments(
        MappingProxyType({"staging": {"targets": {"main": target}, "approval": rule}})
    )
    alone.setup_release_pipeline("main", ("staging",))
    release = alone.create_release(
        "1.0.0", deque(["web"]), ("faster",), ({"commit": "abcd1234", "committed_at": "2026-11-20T14:03:00Z"},)
    )
    steps: Any = ({"set_weight": 50}, {"pause": {}})
    planned = alone.plan_deployment(release, "staging", "canary", {"steps": steps})
    alone.configure_rollback_strategy(({"metric": "error_rate", "threshold": 0.05, "duration_seconds": 60},))

    assert list(staging.targets[0]["slots"]) == ["a", "b"]
    assert planned.phase == "Planned"
    alone.configure_environments({"staging": {"targets": {"main": dict(staging.targets[0]) | {"reversible": False}}}})


@pytest.mark.parametrize("slots", ["ab", b"ab", {"a", "b"}, ("a", 1), (b"a",)])
def test_a_text_or_a_set_is_no_sequence_of_names(alone: ReleaseManager, slots: object) -> None:
    with pytest.raises(Refused, match=r"^environment staging: targets"):
        alone.configure_environments({"staging": {"targets": {"main": {"slots": slots}}}})


def test_data_that_contains_itself_is_refused(alone: ReleaseManager) -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(Refused, match="contains itself"):
        alone.plan_deployment("1.0.0", "staging", "canary", {"steps": endless})


def test_environments_are_merged(alone: ReleaseManager) -> None:
    alone.configure_environments({"staging": {"name": "Staging", "variables": {"LEVEL": "info"}, "targets": targets()}})

    (staging,) = alone.configure_environments({"staging": {"name": "Stage"}})

    assert (staging.label, staging.tier) == ("Stage", "staging")
    assert [target["name"] for target in staging.targets] == ["main"]


@pytest.mark.parametrize(
    "wrong",
    [None, {"tier": "moon"}, {"order": float("nan")}, {"targets": ["main"]}, {"approval": {"approvers": {"alice"}}}],
)
def test_environments_of_which_one_is_wrong_are_all_refused(alone: ReleaseManager, wrong: Any) -> None:
    with pytest.raises(Refused, match=r"^environment production"):
        alone.configure_environments({"staging": {}, "production": wrong})

    assert alone.environments() == ()
    assert positions(alone) == 0


def test_the_order_is_the_dicts(alone: ReleaseManager) -> None:
    alone.configure_environments({"production": {}, "dev": {}})
    assert stages(alone) == ["production", "dev"]

    alone.configure_environments({"dev": {}, "qa": {}, "production": {}})
    assert stages(alone) == ["dev", "qa", "production"]

    alone.configure_environments({"canary": {}})
    assert stages(alone) == ["dev", "qa", "production", "canary"]

    alone.configure_environments({"qa": {}, "uat": {}})
    assert stages(alone) == ["dev", "qa", "uat", "production", "canary"]


def stages(manager: ReleaseManager) -> list[str]:
    """All environments, in order."""
    pipeline = manager.setup_release_pipeline("main")
    return [stage["environment"] for stage in pipeline.stages]


@pytest.mark.parametrize(
    ("key", "tier", "approvals"),
    [("dev", "development", 0), ("qa", "testing", 0), ("staging", "staging", 0), ("prod-eu", "production", 1)],
)
def test_the_tier_follows_from_the_key(shop: ReleaseManager, key: str, tier: str, approvals: int) -> None:
    (made,) = shop.configure_environments({key: {}})

    assert (made.tier, made.approval["required"]) == (tier, approvals)


def test_a_stated_tier_wins(shop: ReleaseManager) -> None:
    (made,) = shop.configure_environments({"prod-test": {"tier": "testing"}})

    assert made.tier == "testing"


def test_entry_to_a_stage_needs_success_in_the_stage_before(alone: ReleaseManager) -> None:
    alone.configure_environments(LABELS)
    assert str(alone.setup_release_pipeline("main")) == "pipeline main of shop: staging → production"
    release = alone.create_release("1.0.0", ["web"])

    with pytest.raises(Refused, match=r"shop@1.0.0 has not succeeded in staging; deploy it there first"):
        alone.deploy(release, "production")


def test_a_pipeline_may_name_its_stages(shop: ReleaseManager) -> None:

    assert [stage["environment"] for stage in shop.setup_release_pipeline("fast", ["production"]).stages] == [
        "production"
    ]
    with pytest.raises(Refused, match="moon"):
        shop.setup_release_pipeline("fast", ["moon"])


# Releases


def test_a_release_says_who_made_it_and_of_what(shop: ReleaseManager) -> None:
    release = shop.create_release(
        "1.0.0",
        [{"name": "web", "artifact": "file:///web-1.tar", "config": {"LEVEL": "info"}}, "db"],
        changelog=["first"],
        changes=[{"commit": "abcd1234", "committed_at": datetime(2026, 11, 23, tzinfo=UTC)}],
    )

    assert (release.ref, release.author, release.published is not None) == (f"{shop.application}@1.0.0", "alice", True)
    assert [part["name"] for part in release.components] == ["web", "db"]
    assert release.changelog == ("first",)
    assert str(release).startswith(f"{shop.application}@1.0.0 (published) by alice")


def test_another_content_under_the_same_version_is_refused(shop: ReleaseManager) -> None:
    shop.create_release("1.0.0", ["web"])

    with pytest.raises(Refused, match="a version is never reused"):
        shop.create_release("1.0.0", ["web", "db"])


def test_a_draft_is_not_deployed_until_it_is_published(shop: ReleaseManager) -> None:
    draft = shop.create_release("1.0.0", ["web"], draft=True)

    planned = shop.plan_deployment(draft, "staging")
    assert [verdict.rule for verdict in planned.verdicts if verdict.says == "deny"] == ["release"]
    with pytest.raises(Refused, match=rf"{shop.application}@1.0.0 is a draft; publish it with: relman release publish"):
        shop.deploy(draft, "staging")
    published = shop.publish(draft)
    assert published.published is not None
    assert all(verdict.says == "allow" for verdict in shop.plan_deployment(published, "staging").verdicts)


# Plans


def test_a_plan_prints_as_a_table_with_what_would_stop_it_today(shop: ReleaseManager) -> None:
    shop.configure_compliance_gates({"tests": {"required": True}})

    planned = shop.plan_deployment(shop.create_release("1.0.0", ["web"]), target_environment="production")

    lines = str(planned).splitlines()
    assert lines[0].startswith(f"{shop.application}@1.0.0 → production   rolling   Planned")
    assert any(line.startswith("1     ·  run 1 of the candidate version of web on main") for line in lines)
    assert f"deny: gate tests of {shop.application}@1.0.0 is not evaluated" in str(planned)
    assert "wait: production asks for 1 approval(s), by somebody else" in str(planned)
    assert str(planned.plan) in str(planned)


def test_a_plan_asked_for_again_unchanged_is_the_same_one(shop: ReleaseManager) -> None:
    release = shop.create_release("1.0.0", ["web"])
    first = shop.plan_deployment(release, "staging")

    assert shop.plan_deployment("1.0.0", "staging").id == first.id
    assert shop.plan_deployment(f"{shop.application}@1.0.0", "staging", strategy=None).id == first.id
    other = shop.plan_deployment(release, "staging", strategy="recreate")
    assert other.id != first.id
    assert shop.deployment(first).phase == "Superseded"


@pytest.mark.parametrize(
    "other",
    [{"strategy": "recreate"}, {"options": {"interval": "5s"}}, {"target_environment": "production"}],
    ids=["strategy", "options", "environment"],
)
def test_a_planned_deployment_is_deployed_as_it_is_or_refused(shop: ReleaseManager, other: dict[str, Any]) -> None:
    apart = f"apart-{shop.application}"
    shop.configure_environments({apart: {"targets": targets(19000 + next(NUMBERS))}})
    planned = shop.plan_deployment(shop.create_release("1.0.0", ["web"]), apart, strategy="rolling")

    with pytest.raises(Refused) as refusal:
        shop.deploy(planned, **other)

    assert str(refusal.value) == (
        f"deployment {planned.id} is planned for {apart} with its strategy and options; "
        "deploy it as it is, or name its release to plan another one"
    )
    assert shop.deployment(planned).phase == "Planned", "it was not touched"
    assert shop.deploy(planned, apart).id == planned.id


def test_a_plan_is_there_before_its_targets_and_says_what_to_declare_until_they_are(shop: ReleaseManager) -> None:
    import yaml

    shop.configure_environments({"bare": {}})
    release = shop.create_release("1.0.0", ["web"])

    planned = shop.plan_deployment(release, "bare")

    assert planned.phase == "Planned"
    assert planned.plan is not None
    assert planned.plan.steps
    [missing] = [verdict for verdict in planned.verdicts if verdict.says == "deny"]
    assert missing.rule == "targets"
    assert missing.reason in str(planned)
    with pytest.raises(Refused) as refusal:
        shop.deploy(planned)
    assert missing.reason in str(refusal.value)
    assert shop.deployment(planned).phase == "Planned"
    printed, _, lines = missing.reason.partition("\n")
    assert printed.startswith("component web has no target in bare; add this to relman.yaml")
    shop.configure_environments(yaml.safe_load(lines)["environments"])
    complete = shop.plan_deployment(release, "bare")
    assert [verdict.says for verdict in complete.verdicts if verdict.says == "deny"] == []
    assert complete.plan is not None
    assert complete.plan.notes == tuple(note for note in planned.plan.notes if "assumes" not in note)
    assert [step["description"] for step in complete.plan.steps] == [s["description"] for s in planned.plan.steps]


def test_a_canary_of_its_own_recompiles_the_releases_plans(shop: ReleaseManager) -> None:
    shop.configure_deployment_strategy("canary", {"increment": 30, "interval": "5m"})
    release = shop.create_release("1.0.0", ["web"])

    canary = shop.setup_canary_deployment(release, traffic_percentage=10)

    assert (canary.steps, canary.interval_seconds) == ((10, 40, 70, 100), 300)
    assert str(canary) == f"canary of {shop.application}@1.0.0: 10 % → 40 % → 70 % → 100 %, 300 s between"


@pytest.mark.parametrize("share", [0, 101, -5])
def test_a_share_that_is_none_is_refused(shop: ReleaseManager, share: int) -> None:
    shop.create_release("1.0.0", ["web"])

    with pytest.raises(Refused, match="traffic_percentage"):
        shop.setup_canary_deployment("1.0.0", share)


# Gates, triggers, approvals


def test_a_trigger_prints_that_it_is_not_armed(shop: ReleaseManager) -> None:
    condition = {"metric": "error_rate", "threshold": 0.05, "duration_seconds": 60}

    policy = shop.configure_rollback_strategy(trigger_conditions=[condition])

    assert "roll back when error_rate > 0.05 for 60 s: NOT ARMED" in str(policy)
    planned = shop.plan_deployment(shop.create_release("1.0.0", ["web"]), "staging")
    assert "NOT ARMED: error_rate" in str(planned)


def test_not_evaluated_is_not_passed_and_neither_is_failed(shop: ReleaseManager) -> None:
    shop.configure_compliance_gates({"tests": {"required": True}, "style": {"required": False}})
    release = shop.create_release("1.0.0", ["web"])

    with pytest.raises(Refused, match=rf"gate tests of {shop.application}@1.0.0 is not evaluated"):
        shop.deploy(release, "staging")
    shop.attest(release, gate="tests", result="failed", note="two are red")
    with pytest.raises(Refused, match=rf"gate tests of {shop.application}@1.0.0 is attested as failed"):
        shop.deploy(release, "staging")
    shop.attest(release, gate="tests", result="passed", note="green now")
    printed = shop.plan_deployment(release, "staging").verdicts
    assert [v.reason for v in printed if v.rule == "gates"] == ["passed by manual attestation: tests"]


def test_an_attestation_of_something_else_is_refused(shop: ReleaseManager) -> None:
    shop.create_release("1.0.0", ["web"])

    with pytest.raises(Refused, match="result"):
        shop.attest("1.0.0", gate="tests", result="maybe")


def test_approval_is_somebody_elses(shop: ReleaseManager, as_bob: ReleaseManager) -> None:
    planned = shop.plan_deployment(shop.create_release("1.0.0", ["web"]), "production")
    approval = shop.request_approval(planned)
    assert (approval.phase, approval.by, approval.environment) == ("Waiting", "alice", "production")
    assert approval.id in [one.id for one in shop.approvals()]

    with pytest.raises(Refused, match="alice"):
        shop.approve(approval)
    granted = as_bob.approve(planned, note="looks good")

    assert (granted.id, granted.phase, len(granted.signatures)) == (approval.id, "Granted", 1)
    assert shop.deployment(planned).phase == "Planned"
    assert all(v.says == "allow" for v in shop.plan_deployment("1.0.0", "production").verdicts)


def test_only_the_named_approvers_may(shop: ReleaseManager, as_bob: ReleaseManager) -> None:
    rule = {"required": 2, "approvers": ["carol", "dave"], "allow_self": False}
    shop.configure_environments({"vault": {"approval": rule, "targets": targets(18082)}})
    approval = shop.request_approval(shop.plan_deployment(shop.create_release("1.0.0", ["web"]), "vault"))

    with pytest.raises(Refused, match="bob"):
        as_bob.approve(approval)
    carol, dave = (ReleaseManager.on(shop._backend, shop.application, actor=name) for name in ("carol", "dave"))
    assert carol.approve(approval).phase == "Waiting"
    assert carol.approve(approval).phase == "Waiting"
    assert dave.approve(approval).phase == "Granted"


def test_a_refused_approval_ends_what_waited(shop: ReleaseManager, as_bob: ReleaseManager) -> None:
    approval = shop.request_approval(shop.plan_deployment(shop.create_release("1.0.0", ["web"]), "production"))

    assert as_bob.refuse(approval, note="not today").phase == "Denied"
    with pytest.raises(Refused, match="refused"):
        shop.deploy("1.0.0", "production")


def test_an_environment_that_asks_for_none_is_told(shop: ReleaseManager) -> None:
    planned = shop.plan_deployment(shop.create_release("1.0.0", ["web"]), "staging")

    with pytest.raises(Refused, match="asks for no approval"):
        shop.request_approval(planned)


def test_more_approvals_than_a_page_holds_do_not_hide_one(shop: ReleaseManager) -> None:
    first = shop.request_approval(shop.plan_deployment(shop.create_release("1.0.0", ["web"]), "production"))

    def another(number: int) -> None:
        wanted = {"application": "many", "version": f"2.0.{number}", "components": [{"name": "web"}]}
        release = shop.send("release.create", wanted).result["release"]
        planned = shop.send("deployment.plan", {"release": release, "environment": "production"})
        shop.send("approval.request", {"deployment": planned.result["deployment"]})

    with ThreadPoolExecutor(16) as callers:
        list(callers.map(another, range(101)))

    assert shop.request_approval(first.deployment).id == first.id


# Who acts


def test_the_actor_is_the_operating_systems_user_unless_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "someone")
    with ReleaseManager(data=str(tmp_path)) as manager:
        manager.create_release("1.0.0", ["web"])
        ReleaseManager.on(manager._backend, actor="bob").create_release("2.0.0", ["web"])
        entries = [entry for entry in manager.history().entries if entry.type == "release.created"]

    assert [(entry.actor, entry.actorauth) for entry in entries][1] == ("bob", "asserted")
    assert entries[0].actorauth == "os"
    assert entries[0].actor != "bob"


def test_the_history_tells_it_oldest_first_refusals_included(alone: ReleaseManager) -> None:
    alone.create_release("1.0.0", ["web"])
    with pytest.raises(Refused):
        alone.deploy("1.0.0", "moon")

    history = alone.history()

    assert [entry.type for entry in history.entries] == ["release.created", "release.published", "command.refused"]
    assert [entry.position for entry in history.entries] == [1, 2, 3]
    assert history.entries[2].refused
    assert "alice" in str(history)
    assert len(alone.history("1.0.0")) == 3, "the refusal is found by the release that it is about"


# What is returned, and what is wrong


def test_returned_views_are_immutable(shop: ReleaseManager) -> None:
    environment = shop.environment("staging")
    release = shop.create_release("1.0.0", ["web"])
    planned = shop.plan_deployment(release, "staging")

    for view, field in ((environment, "label"), (release, "version"), (planned, "phase"), (planned.plan, "strategy")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(view, field, "other")
    assert isinstance(planned, Deployment)


@pytest.mark.parametrize(
    ("attempt", "printed"),
    [
        (lambda it: it.deploy("9.9.9", "staging"), "release shop@9.9.9 does not exist; create it with: relman release"),
        (lambda it: it.deploy("1.0.0"), "deploy needs target_environment"),
        (lambda it: it.deploy("1.0.0", "moon"), "environment 'moon' does not exist; known: "),
        (lambda it: it.plan_deployment("1.0.0", "staging", strategy="yolo"), "strategy"),
        (lambda it: it.release("9.9.9"), "release shop@9.9.9 does not exist"),
        (lambda it: it.environment("moon"), "environment 'moon' does not exist"),
        (lambda it: it.deployment("nonsense"), "deployment nonsense does not exist"),
        (lambda it: it.promote("00000000-0000-0000-0000-000000000000"), "does not exist"),
        (lambda it: it.abort("nonsense"), "deployment"),
        (lambda it: it.approve("nonsense"), "'nonsense' is no id"),
        (lambda it: it.create_release("v1", ["web"]), "'v1' is no semantic version"),
        (lambda it: it.create_release("1.1.0", []), "components"),
        (lambda it: it.create_release("1.1.0", [{"name": "web", "colour": "red"}]), "colour"),
        (lambda it: it.create_release("1.1.0", ["web"], changelog=[object()]), "changelog"),
        (lambda it: it.configure_environments({"qa": {"colour": "red"}}), "environment qa: there is no 'colour'"),
        (
            lambda it: it.configure_environments({"qa": {"targets": {"main": {"executor": "moon"}}}}),
            "no executor 'moon'",
        ),
        (lambda it: it.configure_environments({" ": {}}), "' ' is no name; write at least one letter or digit"),
        (lambda it: it.configure_environments({"QA 1": {}, "qa_1": {}}), "'QA 1' and 'qa_1' are one name, qa-1"),
        (lambda it: it.configure_environments(["qa"]), "environments is a mapping, such as"),
        (lambda it: it.configure_environments({"qa": None}), "environment qa is a mapping, such as"),
        (lambda it: it.create_release("1.1.0", "web"), "components is a list, such as ['web'] (got 'web')"),
        (lambda it: it.create_release("1.1.0", None), "create_release: components is a list"),
        (lambda it: it.create_release("1.1.0", [5]), "create_release: components[0] is not as in ['web'] (got 5)"),
        (lambda it: it.create_release("1.1.0", ["web"], changelog="hello"), "create_release: changelog is a list"),
        (lambda it: it.create_release("1.1.0", ["web"], changes="x"), "create_release: changes is a list"),
        (lambda it: it.setup_release_pipeline("main", stages="staging"), "setup_release_pipeline: stages is a list"),
        (lambda it: it.configure_rollback_strategy("x"), "trigger_conditions is a list"),
        (lambda it: it.configure_compliance_gates(["tests"]), "gates is a mapping"),
        (lambda it: it.configure_compliance_gates({"tests": True}), "gates: tests is a mapping"),
        (lambda it: it.configure_deployment_strategy("canary", []), "options is a mapping"),
        (lambda it: it.plan_deployment("1.0.0", "staging", options="x"), "plan_deployment: options is a mapping"),
        (lambda it: it.deploy("1.0.0", "staging", options=["x"]), "deploy: options is a mapping"),
        (lambda it: UNTYPED.on(it._backend, "shop", actor=5), "actor is a text (got 5)"),
        (lambda it: UNTYPED("shop", data=None), "data is a folder such as '.relman'"),
        (lambda it: UNTYPED("shop", data=""), "data is a folder such as '.relman'"),
        (lambda it: UNTYPED(5), "application is a text (got 5)"),
        (lambda it: it.configure_deployment_strategy("canary", {"steps": []}), "steps"),
        (lambda it: it.configure_deployment_strategy("canary", {"steps": [{"set_weight": 101}]}), "101"),
        (lambda it: it.configure_deployment_strategy("canary", {"initial_traffic": 5}, environment="moon"), "moon"),
        (lambda it: it.configure_rollback_strategy([{"metric": "x"}]), "threshold"),
        (lambda it: it.configure_rollback_strategy([{"metric": "x", "threshold": float("nan")}]), "threshold"),
        (lambda it: it.configure_compliance_gates({"tests": {"mandatory": True}}), "mandatory"),
        (lambda it: it.setup_release_pipeline(""), "name: '' is no name"),
        (lambda it: it.setup_release_pipeline("a\nb"), "write it on one line"),
        (lambda it: it.setup_release_pipeline("x" * 501), "goes on for 501 characters; a name has at most 500"),
        (lambda it: it.configure_compliance_gates({"A b": {}, "a_b": {}}), "'A b' and 'a_b' are one name, a-b"),
        (lambda it: it.create_release("1.1.0", ["Web", "web"]), "a component stands twice"),
        (lambda it: it.plan_deployment("1.0.0", "Staging!?", strategy="yolo"), "strategy"),
        (lambda it: ReleaseManager.on(it._backend, "shop", actor="").publish("1.0.0"), "actor"),
        (lambda it: ReleaseManager.on(it._backend, "shop", actor="a\nb").publish("1.0.0"), "actor"),
        (lambda it: ReleaseManager.on(it._backend, "shop", actor="system:timers").publish("1.0.0"), "system:"),
        (lambda it: ReleaseManager.on(it._backend, "?!"), "application: '?!' is no name"),
    ],
)
def test_bad_input_gets_one_clear_sentence(
    shared: ReleaseManager, attempt: Callable[[ReleaseManager], object], printed: str
) -> None:
    records = list(shared._backend.records(0, follow=False))
    under_way = {record.stream for record in records if record.stream.startswith(("deployment:", "place:"))}

    with pytest.raises(Refused) as refusal:
        attempt(shared)

    assert printed in str(refusal.value)
    assert "\n" not in str(refusal.value)
    new = shared._backend.records(len(records), follow=False)
    assert {record.name for record in new if record.stream not in under_way} <= {"command.refused"}
