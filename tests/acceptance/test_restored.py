"""Processes that `down` or a power cut ended are started again: serving ones first, and nothing takes their ports."""

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from release_management.adapters.executors.local.ports import free_port
from tests.acceptance.installation import Installation, until


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    try:
        yield made
    finally:
        made.end_everything()


def answers(port: int) -> str:
    """Return the version that answers on a port, or why none does."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return str(json.load(answer)["version"])
    except OSError as error:
        return str(error)


def serves_behind_a_port_that_another_had(site: Installation) -> int:
    """`shop` serves behind a port that `blog`, whose only deployment was never healthy and went back, had before it."""
    site.start()
    shop, blog = site.manager(), site.manager("blog")
    ill, web = site.target("page", arguments=("--fail",)), site.target("web")
    declared = web["targets"]["main"]["components"] | ill["targets"]["main"]["components"]
    targets = {"main": {"executor": "local", "components": declared}}
    shop.configure_environments({"staging": {"targets": targets}})
    assert shop.wait(shop.deploy(shop.create_release("1.0.0", ["web"]), "staging"), 30).succeeded
    blog.configure_deployment_strategy("rolling", {"healthy_deadline": 1})
    failed = blog.wait(blog.deploy(blog.create_release("9.0.0", ["page"]), "staging"), 30)
    assert failed.phase == "RolledBack", failed
    port: int = declared["page"]["port"]
    declared["page"]["port"], declared["web"]["port"] = free_port(site.ports), port
    shop.configure_environments({"staging": {"targets": targets}})
    assert shop.wait(shop.deploy("1.0.0", "staging"), 30).succeeded
    return port


def troubles(site: Installation) -> list[dict[str, Any]]:
    """Return the troubles in the road's health."""
    notes = [json.loads(each.read_text()) for each in (site.folder / "run").glob("*.json")]
    [address] = [note["address"] for note in notes if note["pid"] == site.pid("road")]
    document = httpx.get(f"http://{address}/health", trust_env=False).json()
    return [*document["troubles"], *document["warnings"]]


def troubles_of(site: Installation) -> dict[str, str]:
    """Return the troubles in the road's health by part."""
    return {each["part"]: each["says"] for each in troubles(site)}


@pytest.mark.parametrize("how", ["down", "power cut", "kill -9 of up"])
def test_a_deployment_that_never_succeeded_does_not_take_the_port_of_what_serves(site: Installation, how: str) -> None:
    port = serves_behind_a_port_that_another_had(site)
    for _ in range(2):
        if how == "down":
            site.stop()
        else:
            site.kill_everything()
        if how == "power cut":
            for pid in site.ours():
                site.end(pid)
            until(lambda: not site.ours())
        site.start()
        until(lambda: answers(port) == "1.0.0", 20)
        until(lambda: troubles(site) == [], 40)


def test_a_process_that_cannot_be_restarted_is_a_trouble_and_retried(site: Installation) -> None:
    site.start()
    shop = site.manager()
    shop.configure_environments({"staging": site.target("web")})
    assert shop.wait(shop.deploy(shop.create_release("1.0.0", ["web"]), "staging"), 30).succeeded
    [port] = site.ports
    site.stop()
    with socket.create_server(("127.0.0.1", port)):
        site.start()
        until(lambda: "deployed staging/shop/main/web" in troubles_of(site), 20)
        assert f"port {port} of 127.0.0.1 is taken by process" in troubles_of(site)["deployed staging/shop/main/web"]

    until(lambda: answers(port) == "1.0.0", 40)
    until(lambda: troubles(site) == [])
