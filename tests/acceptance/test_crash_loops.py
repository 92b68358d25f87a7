"""A version that becomes healthy and then ends every few seconds, behind a real HAProxy, with each strategy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from release_management import ReleaseManager
from release_management.adapters.executors.local.ports import free_port

SECONDS = 3
CRASHING = f"""
import os, sys, threading
from release_management.sample import main
port, version = sys.argv[1:]
if version == "2.0.0":
    threading.Timer({SECONDS}, os._exit, [3]).start()
main(["--port", port, "--version", version])
"""
STRATEGIES: dict[str, dict[str, Any]] = {
    "canary": {"initial_traffic": 25, "increment": 25, "interval": 2},
    "rolling": {"max_surge": 1, "max_unavailable": 0, "interval": 5},
    "blue-green": {"auto_promotion_seconds": 5},
    "recreate": {"min_ready": 5},
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[ReleaseManager, int]]:
    """1.0.0 serves."""
    port = free_port(())
    web = {"command": ["{python}", "-c", CRASHING, "{port}", "{version}"], "port": port, "health": "/health"}
    components = {"web": {**web, "replicas": 2, "max_replicas": 3}}
    with ReleaseManager("shop", data=str(tmp_path / ".relman")) as manager:
        manager.configure_environments({"staging": {"targets": {"main": {"components": components}}}})
        assert manager.wait(manager.deploy(manager.create_release("1.0.0", ["web"]), "staging")).succeeded
        yield manager, port


def answers(port: int, count: int = 20) -> set[str]:
    """Return the versions that answer."""
    return {str(httpx.get(f"http://127.0.0.1:{port}/").json()["version"]) for _ in range(count)}


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_an_ill_candidate_is_rolled_back_and_the_old_version_serves_on(
    shop: tuple[ReleaseManager, int], strategy: str
) -> None:
    manager, port = shop
    release = manager.create_release("2.0.0", ["web"])

    options = {**STRATEGIES[strategy], "abort_scale_down_delay": 0}
    ended = manager.wait(manager.deploy(release, "staging", strategy=strategy, options=options), 100)

    assert ended.phase == "RolledBack", ended.reason
    assert "exited" in str(ended.reason), "whether a look or a question came first, the reason is the same"
    assert answers(port) == {"1.0.0"}
    running = [slot for slot in manager.environment("staging").running if slot.replicas]
    assert [(slot.version, slot.intended) for slot in running] == [("1.0.0", 100)]
