"""The environments of what the executor `local` starts: lists of what each may have of the executor's own."""

import psutil
import pytest

from release_management.adapters.system.process_environment import inherited
from tests.adapters.local.harness import ExecutorHarness

OF_AN_INSTANCE = {"PORT", "RELMAN_INSTANCE", "RELMAN_SECRETS", "RELMAN_DIGEST"}
OF_AN_INSTANCE |= {f"RELMAN_{name}" for name in ("VERSION", "ARTIFACT", "COMPONENT", "SLOT", "ENVIRONMENT", "PORT")}


def test_an_instance_and_the_balancer_get_what_is_on_the_list_and_what_is_declared(
    harness: ExecutorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RELMAN_STORE", "RELMAN_BUS", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD"):
        monkeypatch.setenv(name, "pass-word")
    harness.variables = {"REGION": "eu", "PASSWORD": "env:DB_PASSWORD"}

    harness.run_in("blue")
    [instance] = [psutil.Process(pid).environ() for pid in harness.instance_pids()]
    balancer = psutil.Process(harness.balancer_pid()).environ()

    assert instance.keys() <= inherited().keys() | OF_AN_INSTANCE | {"REGION", "PASSWORD", "PYTHONPATH"}
    assert [name for name, value in instance.items() if "pass-word" in value] == ["PASSWORD"]
    assert balancer.keys() <= inherited().keys() | {"RELMAN_INSTANCE", "HAPROXY_STATS_SOCKET"}
