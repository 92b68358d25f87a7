"""Applications say how they number their releases."""

import pytest

from tests.services.gateway_harness import GatewayHarness, on_both_stores


@on_both_stores
def test_an_application_may_have_calendar_versions_and_is_deployed_and_rolled_back_with_them(
    harness: GatewayHarness,
) -> None:
    harness.environment()
    harness.do("policy.configure_versions", {"application": "shop", "versions": "calendar"})

    for version in ("2026.10", "2026.11"):
        harness.carry_out(harness.deploy(harness.release(version)))
    last = harness.records("deployment.succeeded")[-1]["subject"].removeprefix("deployment:")
    back = harness.do("deployment.rollback", {"deployment": last})

    assert harness.facts(str(back["deployment"]), "planned")[0]["version"] == "2026.10"
    assert harness.records("release.created")[0]["data"]["versions"] == "calendar"
    refused = harness.ask("release.create", {"application": "shop", "version": "1.4", "components": [{"name": "web"}]})
    assert "'1.4' is no calendar version; write a year" in str(refused.reason)


def test_a_version_with_and_without_v_is_one_version(harness: GatewayHarness) -> None:
    assert harness.release("v1.0.0") == "shop@v1.0.0"
    assert harness.release("v1.0.0") == "shop@v1.0.0"

    same = harness.ask("release.create", {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}]})
    assert same.reason == (
        "release shop@1.0.0 would be the same version as shop@v1.0.0, which exists: a leading v makes no other "
        "version; create a new one"
    )
    unknown = harness.ask("deployment.plan", {"release": "shop@1.0.0", "environment": "staging"})
    assert unknown.reason == (
        "release shop@1.0.0 does not exist; shop@v1.0.0 does, and is the same version: name that one"
    )


def test_releases_that_there_are_stay_when_the_scheme_changes(harness: GatewayHarness) -> None:
    harness.release("1.0.0")
    harness.do("policy.configure_versions", {"application": "shop", "versions": "any"})

    assert harness.release("1.0.0") == "shop@1.0.0"
    assert harness.release("build-4711") == "shop@build-4711"
    assert harness.do("policy.configure_versions", {"application": "shop", "versions": "any"}) == {"policy": "shop"}
    assert len(harness.records("policy.versions_configured")) == 1


@pytest.mark.parametrize("version", ["1@2", "../etc", "a b", ""])
def test_a_malformed_version_is_refused_under_every_scheme(harness: GatewayHarness, version: str) -> None:
    harness.do("policy.configure_versions", {"application": "shop", "versions": "any"})

    refused = harness.ask(
        "release.create", {"application": "shop", "version": version, "components": [{"name": "web"}]}
    )

    assert "is no version; write at most 128 letters, digits" in str(refused.reason)
