"""Applications say how they number their releases."""

import pytest

from tests.services.gateway_harness import Office, on_both_stores


@on_both_stores
def test_an_application_may_have_calendar_versions_and_is_deployed_and_rolled_back_with_them(office: Office) -> None:
    office.environment()
    office.do("policy.configure_versions", {"application": "shop", "versions": "calendar"})

    for version in ("2026.10", "2026.11"):
        office.carry_out(office.deploy(office.release(version)))
    last = office.records("deployment.succeeded")[-1]["subject"].removeprefix("deployment:")
    back = office.do("deployment.rollback", {"deployment": last})

    assert office.facts(str(back["deployment"]), "planned")[0]["version"] == "2026.10"
    assert office.records("release.created")[0]["data"]["versions"] == "calendar"
    refused = office.ask("release.create", {"application": "shop", "version": "1.4", "components": [{"name": "web"}]})
    assert "'1.4' is no calendar version; write a year" in str(refused.reason)


def test_a_version_with_and_without_v_is_one_version(office: Office) -> None:
    assert office.release("v1.0.0") == "shop@v1.0.0"
    assert office.release("v1.0.0") == "shop@v1.0.0"

    same = office.ask("release.create", {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}]})
    assert same.reason == (
        "release shop@1.0.0 would be the same version as shop@v1.0.0, which exists: a leading v makes no other "
        "version; create a new one"
    )
    unknown = office.ask("deployment.plan", {"release": "shop@1.0.0", "environment": "staging"})
    assert unknown.reason == (
        "release shop@1.0.0 does not exist; shop@v1.0.0 does, and is the same version: name that one"
    )


def test_releases_that_there_are_stay_when_the_scheme_changes(office: Office) -> None:
    office.release("1.0.0")
    office.do("policy.configure_versions", {"application": "shop", "versions": "any"})

    assert office.release("1.0.0") == "shop@1.0.0"
    assert office.release("build-4711") == "shop@build-4711"
    assert office.do("policy.configure_versions", {"application": "shop", "versions": "any"}) == {"policy": "shop"}
    assert len(office.records("policy.versions_configured")) == 1


@pytest.mark.parametrize("version", ["1@2", "../etc", "a b", ""])
def test_a_malformed_version_is_refused_under_every_scheme(office: Office, version: str) -> None:
    office.do("policy.configure_versions", {"application": "shop", "versions": "any"})

    refused = office.ask("release.create", {"application": "shop", "version": version, "components": [{"name": "web"}]})

    assert "is no version; write at most 128 letters, digits" in str(refused.reason)
