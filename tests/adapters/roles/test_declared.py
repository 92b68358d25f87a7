"""Every role is declared once; what the bus and the processes know of roles follows."""

from dataclasses import replace
from pathlib import Path

import pytest

from release_management.adapters.executors.installed import executor_names
from release_management.adapters.nats.access.permissions import CLIENT, EXECUTOR, USERS, inbox_prefix, users
from release_management.kernel.gathering import NotListedError
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.roles.declared import ALL_IN_ONE, ROLES, Role, role_of
from release_management.runtime.roles.kit.health import Health
from release_management.runtime.roles.process import require_bus_user
from release_management.runtime.supervisor import TOGETHER, parts_apart


def bus_user(role: Role, executor: str = "local") -> str:
    return f"{EXECUTOR}{executor}" if role.per_executor else role.name


@pytest.mark.parametrize("role", ROLES.values(), ids=lambda role: role.name)
def test_every_role_has_a_user_of_the_bus_with_an_inbox_of_its_own(role: Role) -> None:
    assert bus_user(role) in users(executor_names())
    assert inbox_prefix(bus_user(role)) == f"_INBOX_{bus_user(role)}"


def test_the_bus_has_users_for_nobody_but_clients_and_roles() -> None:
    assert USERS.keys() == {CLIENT} | {name for name, role in ROLES.items() if not role.per_executor}


@pytest.mark.parametrize("role", [*ROLES.values(), ALL_IN_ONE], ids=lambda role: role.name)
def test_every_role_can_be_made_and_served(role: Role, tmp_path: Path) -> None:
    home = DataDirectory(tmp_path)
    home.prepare()

    assert callable(role_of(role.name).make(home, Health(role.name), "local").serve)


def test_a_small_installation_runs_the_shared_process_and_every_role_that_does_not_share_it() -> None:
    apart = [name for name, role in ROLES.items() if not role.shares_process]

    assert {part.role for part in TOGETHER.values()} == {ALL_IN_ONE.name, *apart}


def test_a_large_installation_runs_every_role_as_often_as_it_says_and_once_for_each_executor() -> None:
    running = [(part.role, part.executor) for part in parts_apart().values()]

    for name, role in ROLES.items():
        executors = list(executor_names()) if role.per_executor else ["-"] * role.instances
        assert sorted(executor for other, executor in running if other == name) == sorted(executors)


@pytest.mark.parametrize("role", [*ROLES.values(), ALL_IN_ONE], ids=lambda role: role.name)
def test_every_role_may_use_the_bus(role: Role) -> None:
    require_bus_user(role)


def test_a_role_without_permissions_does_not_start_and_says_where_they_go() -> None:
    with pytest.raises(NotListedError, match=r"the role gardener has no user of the bus.*permissions.py"):
        require_bus_user(replace(ROLES["relay"], name="gardener"))
