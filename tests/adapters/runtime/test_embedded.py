"""The owner of a folder, where it cannot be opened or started whole."""

import contextlib
from pathlib import Path
from unittest.mock import patch

import pytest

from release_management import NotReachableError, ReleaseManager
from release_management.adapters.nats.embedded.server import NatsServer, NatsServerError
from release_management.runtime.installations import connect
from release_management.services.envelope import CommandEnvelope
from release_management.services.use_cases import COMMANDS


def test_a_damaged_read_model_is_named_and_holds_nothing(tmp_path: Path) -> None:
    with ReleaseManager(data=tmp_path) as relman:
        relman.create_release("1.0.0", components=["web"])
    for file in tmp_path.glob("read.db*"):
        file.write_bytes(b"no database at all " * 1000)

    for _ in range(2):
        with pytest.raises(NotReachableError, match=r"read\.db is damaged: remove it; it is built again"):
            ReleaseManager(data=tmp_path)

    for file in tmp_path.glob("read.db*"):
        file.unlink()
    with ReleaseManager(data=tmp_path) as relman:
        assert [release.version for release in relman.releases()] == ["1.0.0"]


def test_a_read_model_that_is_damaged_while_it_is_used_is_named(tmp_path: Path) -> None:
    with ReleaseManager(data=tmp_path) as relman:
        relman.create_release("1.0.0", components=["web"])
        for file in tmp_path.glob("read.db*"):
            with file.open("r+b") as opened:
                opened.write(b"no database at all " * 1000)

        with pytest.raises(NotReachableError, match=r"read\.db is damaged: remove it; it is built again"):
            relman.release("1.0.0")


def test_a_start_that_failed_is_tried_again(tmp_path: Path) -> None:
    with ReleaseManager(data=tmp_path) as relman:
        relman.create_release("1.0.0", components=["web"])
        with patch.object(NatsServer, "start", side_effect=NatsServerError("no nats-server here")):
            for _ in range(2):
                with pytest.raises(Exception, match="no nats-server here"):
                    relman.deploy("1.0.0", "staging")
        with pytest.raises(Exception, match="environment 'staging' does not exist"):
            relman.deploy("1.0.0", "staging")


def test_just_the_commands_that_say_so_need_the_workers(tmp_path: Path) -> None:
    with contextlib.closing(connect(str(tmp_path), may_start=False)) as backend:
        for name, (command, _) in COMMANDS.items():
            envelope = CommandEnvelope(
                sender="test", id=name, command=name, data={}, actor="alice", actorkind="person", actorauth="asserted"
            )
            if command.NEEDS_WORKERS:
                with pytest.raises(NotReachableError, match="nothing runs in"):
                    backend.ask(envelope)
            else:
                assert "Field required" in str(backend.ask(envelope).reason)
