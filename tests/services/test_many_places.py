"""One deployment to many places, carried out to its end: each gets the version, and none waits for another."""

from typing import Any

from tests.services.gateway_harness import GatewayHarness, on_both_stores

PLACES = 60
PROGRAMS = {verb: ["true"] for verb in ("provision", "await_healthy", "retire", "route")}
AT_ONCE: dict[str, Any] = {"strategy": "rolling", "options": {"scale_down_delay": 0}}


def declare(harness: GatewayHarness) -> list[str]:
    names = [f"shop-{number:03d}" for number in range(PLACES)]
    components = {"web": {"commands": PROGRAMS}}
    targets = [{"name": name, "executor": "command", "components": components} for name in names]
    harness.do("environment.configure", {"name": "staging", "targets": targets})
    return names


@on_both_stores
def test_every_place_of_an_environment_gets_the_version_in_one_deployment(harness: GatewayHarness) -> None:
    names = declare(harness)
    for version in ("1.0.0", "2.0.0"):
        deployment = harness.deploy(harness.release(version), **AT_ONCE)
        assert len(harness.facts(deployment, "step_started")) == PLACES, "all places begin at once"

        harness.walk(deployment)

        succeeded = [
            (record["subject"], record["data"]["version"])
            for record in harness.records("place.version_succeeded")
            if record["data"]["deployment"] == deployment
        ]
        assert sorted(succeeded) == [(f"place:staging/shop/{name}", version) for name in names]
        assert len(harness.facts(deployment, "succeeded")) == 1
    retired = [record["subject"] for record in harness.records("place.slot_retired")]
    assert sorted(retired) == [f"place:staging/shop/{name}" for name in names], "the old version is gone everywhere"
