"""The agenda kept up with the log."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from release_management import projections
from release_management.adapters.read_model import Projector
from release_management.domain.agenda import DueCommand
from release_management.domain.registry import Registry
from release_management.kernel.record import Event
from release_management.projections.agenda import PROJECTION
from release_management.projections.kit.projection import Rows
from release_management.runtime import projected_agenda as module
from release_management.runtime.projected_agenda import ProjectedAgenda
from tests.services.gateway_harness import REGISTRY, GatewayHarness


@pytest.fixture
def opened(harness: GatewayHarness, tmp_path: Path) -> Iterator[Callable[[], ProjectedAgenda]]:
    """Opens the agenda on one file, as a process does that starts."""
    made: list[ProjectedAgenda] = []

    def open_one(registry: Registry = REGISTRY) -> ProjectedAgenda:
        made.append(ProjectedAgenda(harness.log, registry, tmp_path / "agenda.db"))
        return made[-1]

    harness.environment()
    harness.release("1.0.0")
    yield open_one
    for one in made:
        one.close()


def what_is_due(agenda: ProjectedAgenda) -> list[str]:
    return sorted(
        item.command if isinstance(item, DueCommand) else item.order.action.verb for item in agenda.items().values()
    )


def test_records_that_do_not_concern_it_are_passed_over_and_its_items_stay(
    harness: GatewayHarness, opened: Callable[[], ProjectedAgenda]
) -> None:
    harness.deploy("shop@1.0.0")
    agenda = opened()
    agenda.catch_up()
    assert what_is_due(agenda) == ["deployment.expire_step", "provision"]

    harness.do("release.block", {"release": "shop@1.0.0", "reason": "late"})
    with patch.object(Projector, "catch_up", side_effect=AssertionError("the database was asked")):
        assert agenda.catch_up() == harness.log.last_position()
    assert what_is_due(agenda) == ["deployment.expire_step", "provision"]


def test_records_of_the_agenda_are_found_among_others(
    harness: GatewayHarness, opened: Callable[[], ProjectedAgenda]
) -> None:
    agenda = opened()
    agenda.catch_up()
    assert agenda.items() == {}

    harness.release("2.0.0")
    deployment = harness.deploy("shop@1.0.0")
    harness.release("3.0.0")
    assert agenda.catch_up() == harness.log.last_position()
    assert what_is_due(agenda) == ["deployment.expire_step", "provision"]

    harness.carry_out(deployment)
    agenda.catch_up()
    assert agenda.items() == {}


def test_a_new_process_finds_it_as_it_was_though_it_was_passed_over(
    harness: GatewayHarness, opened: Callable[[], ProjectedAgenda], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_EVERY", 3)
    agenda = opened()
    agenda.catch_up()
    harness.deploy("shop@1.0.0")
    for number in range(2, 9):
        harness.release(f"{number}.0.0")
        agenda.catch_up()

    again = opened()
    assert again.catch_up() == harness.log.last_position()
    assert again.items() == agenda.items()
    assert what_is_due(again) == ["deployment.expire_step", "provision"]


def test_the_database_hears_of_many_passed_over_records_so_that_a_start_reads_few(
    harness: GatewayHarness, opened: Callable[[], ProjectedAgenda], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_EVERY", 5)
    agenda = opened()
    agenda.catch_up()
    for number in range(2, 12):
        harness.release(f"{number}.0.0")
        agenda.catch_up()

    with patch.object(harness.log, "read", wraps=harness.log.read) as read:
        opened().catch_up()
    assert min(call.args[0] for call in read.call_args_list) > harness.log.last_position() - 10


def test_a_record_that_the_agenda_cannot_fold_is_its_trouble_until_a_start_can(
    harness: GatewayHarness, opened: Callable[[], ProjectedAgenda]
) -> None:
    poisoned = f"deployment:{harness.deploy('shop@1.0.0')}"
    first = harness.log.read_stream(poisoned)[0].position

    def fold(event: Event, rows: Rows) -> None:
        if event.stream == poisoned:
            raise ValueError("no way")
        PROJECTION.fold(event, rows)

    with patch.object(projections.agenda, "PROJECTION", replace(PROJECTION, fold=fold)):
        sick = opened()
    sick.catch_up()
    assert sick.items() == {}
    assert sick.trouble is not None
    assert f"nothing is done there: {poisoned} from position {first} on (ValueError: no way)" in sick.trouble

    well = opened()
    well.catch_up()
    assert well.trouble is None
    assert what_is_due(well) == ["deployment.expire_step", "provision"]


def test_a_failure_leaves_it_where_it_was(harness: GatewayHarness, opened: Callable[[], ProjectedAgenda]) -> None:
    agenda = opened()
    agenda.catch_up()
    harness.deploy("shop@1.0.0")
    with (
        patch.object(Projector, "catch_up", side_effect=OSError("the disk is away")),
        pytest.raises(OSError, match="the disk is away"),
    ):
        agenda.catch_up()
    assert agenda.items() == {}

    agenda.catch_up()
    assert what_is_due(agenda) == ["deployment.expire_step", "provision"]
