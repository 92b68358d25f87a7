"""An older version that would overtake a newer one needs a word."""

from typing import Any

import pytest

from tests.services.office import Office, on_both_stores


def deploy(office: Office, version: str, **more: Any) -> Any:
    return office.ask("deployment.deploy", {"release": f"shop@{version}", "environment": "staging", **more})


def released(office: Office, *versions: str) -> None:
    office.environment()
    for version in versions:
        office.release(version)


@on_both_stores
def test_an_older_version_than_runs_is_refused_and_what_to_type_is_said(office: Office) -> None:
    released(office, "1.0.0", "1.1.0")
    office.carry_out(office.deploy("shop@1.1.0"))

    refused = deploy(office, "1.0.0")

    assert refused.reason == (
        "shop@1.0.0 may not be deployed to staging: 1.1.0 runs as web on main in staging, and is newer; to go back to "
        "1.0.0 where it succeeded before: relman rollback shop staging --to 1.0.0; to bring it all the same: relman "
        "deploy shop@1.0.0 staging --downgrade"
    )
    assert deploy(office, "1.0.0", downgrade=True).result["phase"] == "Progressing"


def test_an_older_version_than_is_on_its_way_is_refused(office: Office) -> None:
    released(office, "1.0.0", "1.1.0")
    newer = office.deploy("shop@1.1.0")

    assert f"1.1.0 is on its way to main in staging ({newer}), and is newer" in str(deploy(office, "1.0.0").reason)
    assert deploy(office, "1.0.0", downgrade=True).result["phase"] == "Queued"


def test_an_older_version_than_is_queued_is_refused(office: Office) -> None:
    released(office, "1.0.0", "1.1.0", "1.2.0")
    office.deploy("shop@1.0.0")
    queued = office.deploy("shop@1.2.0")

    assert f"1.2.0 is on its way to main in staging ({queued})" in str(deploy(office, "1.1.0").reason)


@on_both_stores
def test_an_older_version_whose_approval_comes_after_a_newer_one_has_gone_ahead_does_not_start(office: Office) -> None:
    released(office, "1.0.0", "1.1.0")
    office.do("environment.configure", {"name": "staging", "approval": {"required": 1}})
    older = office.deploy("shop@1.0.0")
    newer = office.deploy("shop@1.1.0")
    office.do("approval.grant", {"approval": newer}, actor="bob")
    office.carry_out(newer)

    office.do("approval.grant", {"approval": older}, actor="bob")

    assert "1.1.0 runs as web on main in staging, and is newer" in office.facts(older, "rejected")[0]["reason"]


def test_a_hotfix_that_supersedes_need_not_be_newer_than_what_gives_way(office: Office) -> None:
    released(office, "1.0.0", "1.0.1", "1.1.0")
    office.carry_out(office.deploy("shop@1.0.0"))
    newer = office.deploy("shop@1.1.0")

    assert deploy(office, "1.0.1", supersede=True).status == "accepted"
    assert office.facts(newer, "aborting")


@pytest.mark.parametrize("version", ["1.1.0", "1.1.0+build.2", "1.2.0-rc.1"])
def test_the_same_or_a_newer_version_needs_no_word(office: Office, version: str) -> None:
    released(office, "1.1.0", version)
    office.carry_out(office.deploy("shop@1.1.0"))

    assert deploy(office, version).status == "accepted"


def test_a_release_candidate_is_older_than_its_release(office: Office) -> None:
    released(office, "1.1.0-rc.1", "1.1.0")
    office.carry_out(office.deploy("shop@1.1.0"))

    assert deploy(office, "1.1.0-rc.1").status == "refused"


def test_after_a_rollback_the_version_that_runs_counts(office: Office) -> None:
    released(office, "1.0.0", "1.0.1", "1.1.0")
    office.carry_out(office.deploy("shop@1.0.0"))
    newest = office.deploy("shop@1.1.0")
    office.carry_out(newest)
    office.walk(str(office.do("deployment.rollback", {"deployment": newest})["deployment"]))

    assert deploy(office, "1.0.1").status == "accepted"


def test_a_dry_run_says_so_too(office: Office) -> None:
    released(office, "1.0.0", "1.1.0")
    office.carry_out(office.deploy("shop@1.1.0"))
    asked = {"release": "shop@1.0.0", "environment": "staging"}

    def denials(**more: bool) -> list[str]:
        shown = office.do("deployment.preview", {**asked, **more})["verdicts"]
        return [verdict["rule"] for verdict in shown if verdict["says"] == "deny"]

    assert denials() == ["version"]
    assert denials(downgrade=True) == []
