"""An older version that would overtake a newer one needs a word."""

from typing import Any

import pytest

from tests.services.gateway_harness import (
    PATIENCE,
    GatewayHarness,
    occupied,
    on_both_stores,
)


def deploy(harness: GatewayHarness, version: str, **more: Any) -> Any:
    return harness.ask("deployment.deploy", {"release": f"shop@{version}", "environment": "staging", **more})


def released(harness: GatewayHarness, *versions: str) -> None:
    harness.environment()
    for version in versions:
        harness.release(version)


@on_both_stores
def test_an_older_version_than_runs_is_refused_and_what_to_type_is_said(harness: GatewayHarness) -> None:
    released(harness, "1.0.0", "1.1.0")
    harness.carry_out(harness.deploy("shop@1.1.0"))

    refused = deploy(harness, "1.0.0")

    assert refused.reason == (
        "shop@1.0.0 may not be deployed to staging: 1.1.0 runs as web on main in staging, and is newer; to go back to "
        "1.0.0 where it succeeded before: relman rollback shop staging --to 1.0.0; to bring it all the same: relman "
        "deploy shop@1.0.0 staging --downgrade"
    )
    assert deploy(harness, "1.0.0", downgrade=True).result["phase"] == "Progressing"


def test_an_older_version_than_is_on_its_way_is_refused(harness: GatewayHarness) -> None:
    released(harness, "1.0.0", "1.1.0")
    newer = harness.deploy("shop@1.1.0")

    assert f"1.1.0 is on its way to main in staging ({newer}), and is newer" in str(deploy(harness, "1.0.0").reason)
    assert deploy(harness, "1.0.0", downgrade=True).result["phase"] == "Queued"


def test_an_older_version_than_is_queued_is_refused(harness: GatewayHarness) -> None:
    released(harness, "1.0.0", "1.1.0", "1.2.0")
    harness.deploy("shop@1.0.0")
    queued = harness.deploy("shop@1.2.0")

    assert f"1.2.0 is on its way to main in staging ({queued})" in str(deploy(harness, "1.1.0").reason)


@on_both_stores
def test_an_older_version_whose_approval_comes_after_a_newer_one_has_gone_ahead_does_not_start(
    harness: GatewayHarness,
) -> None:
    released(harness, "1.0.0", "1.1.0")
    harness.do("environment.configure", {"name": "staging", "approval": {"required": 1}})
    older = harness.deploy("shop@1.0.0")
    newer = harness.deploy("shop@1.1.0")
    harness.do("approval.grant", {"approval": newer}, actor="bob")
    harness.carry_out(newer)

    harness.do("approval.grant", {"approval": older}, actor="bob")

    assert "1.1.0 runs as web on main in staging, and is newer" in harness.facts(older, "rejected")[0]["reason"]


def test_a_hotfix_that_supersedes_need_not_be_newer_than_what_gives_way(harness: GatewayHarness) -> None:
    released(harness, "1.0.0", "1.0.1", "1.1.0")
    harness.carry_out(harness.deploy("shop@1.0.0"))
    newer = harness.deploy("shop@1.1.0")

    assert deploy(harness, "1.0.1", supersede=True).status == "accepted"
    assert harness.facts(newer, "aborting")


@pytest.mark.parametrize("version", ["1.1.0", "1.1.0+build.2", "1.2.0-rc.1"])
def test_the_same_or_a_newer_version_needs_no_word(harness: GatewayHarness, version: str) -> None:
    released(harness, "1.1.0", version)
    harness.carry_out(harness.deploy("shop@1.1.0"))

    assert deploy(harness, version).status == "accepted"


def test_a_release_candidate_is_older_than_its_release(harness: GatewayHarness) -> None:
    released(harness, "1.1.0-rc.1", "1.1.0")
    harness.carry_out(harness.deploy("shop@1.1.0"))

    assert deploy(harness, "1.1.0-rc.1").status == "refused"


def test_after_a_rollback_the_version_that_runs_counts(harness: GatewayHarness) -> None:
    released(harness, "1.0.0", "1.0.1", "1.1.0")
    harness.carry_out(harness.deploy("shop@1.0.0"))
    newest = harness.deploy("shop@1.1.0")
    harness.carry_out(newest)
    harness.walk(str(harness.do("deployment.rollback", {"deployment": newest})["deployment"]))

    assert deploy(harness, "1.0.1").status == "accepted"


def test_a_dry_run_says_so_too(harness: GatewayHarness) -> None:
    released(harness, "1.0.0", "1.1.0")
    harness.carry_out(harness.deploy("shop@1.1.0"))
    asked = {"release": "shop@1.0.0", "environment": "staging"}

    def denials(**more: bool) -> list[str]:
        shown = harness.preview(**asked, **more)["verdicts"]
        return [verdict["rule"] for verdict in shown if verdict["says"] == "deny"]

    assert denials() == ["version"]
    assert denials(downgrade=True) == []


# Versions that are ordered by creation


def numbered_freely(harness: GatewayHarness, *versions: str) -> None:
    harness.do("policy.configure_versions", {"application": "shop", "versions": "any"})
    released(harness, *versions)


@on_both_stores
def test_among_free_text_versions_the_release_that_was_created_first_is_the_older_one(harness: GatewayHarness) -> None:
    numbered_freely(harness, "zebra", "apple")
    harness.carry_out(harness.deploy("shop@apple"))

    assert "apple runs as web on main in staging, and is newer" in str(deploy(harness, "zebra").reason)
    assert deploy(harness, "zebra", downgrade=True).result["phase"] == "Progressing"


def test_among_free_text_versions_a_later_release_is_no_downgrade(harness: GatewayHarness) -> None:
    numbered_freely(harness, "zebra", "apple")
    harness.carry_out(harness.deploy("shop@zebra"))

    assert deploy(harness, "apple").status == "accepted"


def test_among_free_text_versions_an_older_release_does_not_overtake_one_under_way(harness: GatewayHarness) -> None:
    numbered_freely(harness, "zebra", "mango", "apple")
    harness.carry_out(harness.deploy("shop@zebra"))
    newer = harness.deploy("shop@apple")

    assert f"apple is on its way to main in staging ({newer}), and is newer" in str(deploy(harness, "mango").reason)


@on_both_stores
def test_another_gateway_knows_which_release_was_created_first(harness: GatewayHarness) -> None:
    numbered_freely(harness, "zebra", "apple")
    harness.carry_out(harness.deploy("shop@apple"))
    envelope = harness.envelope("deployment.deploy", {"release": "shop@zebra", "environment": "staging"})

    with_an_empty_memory = harness.open_gateway().ask(envelope).result(PATIENCE)

    assert "apple runs as web on main in staging, and is newer" in str(with_an_empty_memory.reason)


def test_releases_of_one_commit_are_in_the_order_in_which_they_were_created(harness: GatewayHarness) -> None:
    numbered_freely(harness)
    before = len(harness.log.read(0, 10_000))
    go_on = occupied(harness)
    envelopes = [
        harness.envelope("release.create", {"application": "shop", "version": version, "components": [{"name": "web"}]})
        for version in ("zebra", "apple")
    ]
    envelopes += [
        harness.envelope("deployment.deploy", {"release": f"shop@{version}", "environment": "staging"})
        for version in ("apple", "zebra")
    ]
    pending = [harness.gateway.ask(envelope) for envelope in envelopes]
    go_on.set()
    outcomes = [each.result(PATIENCE) for each in pending]

    assert [outcome.status for outcome in outcomes] == ["accepted", "accepted", "accepted", "refused"]
    assert "apple is on its way to main in staging" in str(outcomes[-1].reason)
    times = {record["time"] for record in harness.records()[before + 1 :] if record["type"].startswith("release.")}
    assert len(times) == 1, "they were one commit"


def test_a_version_of_another_scheme_is_compared_by_creation(harness: GatewayHarness) -> None:
    """It was created while the application numbered its releases as it liked."""
    numbered_freely(harness, "zebra")
    harness.do("policy.configure_versions", {"application": "shop", "versions": "semver"})
    harness.release("1.0.0")
    harness.carry_out(harness.deploy("shop@1.0.0"))

    assert "1.0.0 runs as web on main in staging, and is newer" in str(deploy(harness, "zebra").reason)
