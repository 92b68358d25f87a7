"""`ReleaseManager` as the client of a running `up`, and of an installation elsewhere."""

import getpass
import socket
import time
from collections.abc import Callable

import psutil
import pytest

from release_management import (
    NotReachableError,
    Refused,
    ReleaseManager,
)
from release_management.adapters.nats import client as client_module
from release_management.runtime import patient
from tests.acceptance.installation import (
    Installation,
    canary,
    until,
)


def test_with_a_running_up_it_is_its_client(running: Installation) -> None:
    children = {child.pid for child in psutil.Process().children()}
    shop = running.manager("client")
    shop.configure_environments({"staging": running.target("web")})
    shop.configure_deployment_strategy("canary", canary(25, pause=None))
    release = shop.create_release("1.0.0", ["web"], changelog=["first"])

    assert shop.wait(shop.deploy(release, "staging")).succeeded
    going = shop.wait(shop.deploy(shop.create_release("1.1.0", ["web"]), "staging"))
    assert (going.phase, going.weight) == ("Paused", 25)
    assert running.shares(application="client") == {"1.0.0": 75, "1.1.0": 25}
    ended = shop.wait(shop.abort(going, reason="enough"))
    assert ended.phase == "RolledBack"
    assert running.shares(application="client") == {"1.0.0": 100}
    assert [one.phase for one in shop.deployments()] == ["RolledBack", "Succeeded"]
    assert {child.pid for child in psutil.Process().children()} == children


def test_an_address_serves_as_well_as_a_folder(running: Installation) -> None:
    with ReleaseManager("remote", data=running.url, actor="alice") as remote:
        remote.create_release("1.0.0", ["web"])
        assert remote.release("1.0.0").author == "alice"
        assert [entry.actorauth for entry in remote.history("remote@1.0.0").entries] == ["asserted"] * 2
    assert running.manager("remote").release("1.0.0").author == "alice"


def test_a_clients_user_is_asserted_not_known(running: Installation) -> None:
    with ReleaseManager("anybody", data=str(running.folder)) as client:
        release = client.create_release("1.0.0", ["web"])
        (entry, *_) = client.history("anybody@1.0.0").entries

    assert (release.author, entry.actorauth) == (getpass.getuser(), "asserted")


def test_a_list_of_an_unknown_application_or_environment_is_refused_over_the_bus(running: Installation) -> None:
    running.manager("known").create_release("1.0.0", ["web"])

    with ReleaseManager("unheard-of", data=running.url, actor="alice") as remote:
        for query in ("running", "releases", "deployments", "incidents", "trail"):
            with pytest.raises(Refused, match="application 'knwon' does not exist"):
                remote._query(query, application="knwon")
        for query in ("running", "deployments", "incidents", "trail"):
            with pytest.raises(Refused, match="environment 'moon' does not exist"):
                remote._query(query, environment="moon")
        assert (remote.releases(), remote.deployments(), remote.incidents()) == ((), (), ())
        with pytest.raises(Refused, match="environment 'moon' does not exist"):
            remote.deployments("moon")
        with pytest.raises(Refused, match="application 'unheard-of' does not exist"):
            remote.open_incident("Carts are empty")


def test_refusals_of_a_client_read_the_same(running: Installation) -> None:
    shop = running.manager("refusals")

    with pytest.raises(Refused, match=r"release refusals@9.9.9 does not exist; create it with: relman release create"):
        shop.deploy("9.9.9", "staging")
    with pytest.raises(Refused, match=r"component.*'--' is no name"):
        shop.create_release("1.0.0", ["--"])
    with pytest.raises(Refused, match="bytes"):
        shop.create_release("1.0.0", ["web"], changelog=["x" * 4000] * 90)
    with pytest.raises(Refused, match="begins with 'system:'"):
        running.manager("refusals", actor="system:timers").create_release("1.0.0", ["web"])
    with pytest.raises(Refused, match=r"limit|parameters"):
        shop._query("releases", limit="many")


def test_a_client_reads_its_own_writes(running: Installation) -> None:
    shop = running.manager("fresh")
    other = ReleaseManager.on(shop._backend, "fresh", actor="bob")
    for number in range(30):
        shop.create_release(f"1.0.{number}", ["web"])
        assert other.releases()[0].version == f"1.0.{number}"


@pytest.mark.parametrize("ask", [ReleaseManager.releases, lambda manager: manager.deploy("1.0.0", "staging")])
def test_an_unreachable_installation_is_reported_in_time(
    ask: Callable[[ReleaseManager], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(patient, "FIRST_SECONDS", 1.0)
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with (
        ReleaseManager(data=f"nats://127.0.0.1:{port}") as manager,
        pytest.raises(NotReachableError, match="is `relman up` running"),
    ):
        ask(manager)
    assert time.monotonic() - began < patient.ANSWER_SECONDS / 2, "an address where nobody ever was is given up early"


def test_a_client_survives_a_restart_of_the_bus(running: Installation) -> None:
    shop = running.manager("patient")
    shop.create_release("1.0.0", ["web"])
    old = running.pid("nats-server")
    running.kill("nats-server")

    assert shop.create_release("1.1.0", ["web"]).version == "1.1.0"
    until(lambda: running.pid("nats-server") != old)
    assert shop.releases()[0].version == "1.1.0"
