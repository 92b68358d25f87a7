"""A patient client retries transient errors until its time is over, and says once what it waits for."""

import itertools
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from release_management.adapters.nats.client import (
    NoConnectionError,
    NotReachableError,
    UnavailableError,
)
from release_management.kernel.record import Recorded
from release_management.runtime import patient as patience
from release_management.runtime.installations import Installation
from release_management.runtime.patient import PatientInstallation
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.paging.pages import Page
from release_management.services.ports.bus import QueryNotUnderstood

COMMAND = CommandEnvelope(
    sender="s", id="1", command="release.create", data={}, actor="alice", actorkind="person", actorauth="os"
)
AWAY = UnavailableError("the store is away")


class Troubled:
    """A backend whose answers are said beforehand; the last one again and again."""

    def __init__(self, *answers: object) -> None:
        self.asked: list[str] = []
        self._answers: Iterator[object] = itertools.chain(answers, itertools.repeat(answers[-1]))

    def ask(self, envelope: CommandEnvelope) -> Outcome:
        self.asked.append(envelope.id)
        status = self._next()
        about: dict[str, Any] = {
            "sender": envelope.sender,
            "id": envelope.id,
            "command": envelope.command,
            "refused": False,
        }
        return Outcome(status=cast(Any, status), reason="the gateway is being closed", **about)

    def page(self, name: str, params: dict[str, Any], after: int) -> Page:
        self.asked.append(name)
        return Page(cast(list[dict[str, Any]], self._next()))

    def records(self, after: int, *, follow: bool) -> Iterator[Recorded]:
        for position in range(after + 1, 10):
            if position % 3 == 0 and not self.asked.count(str(position)):
                self.asked.append(str(position))
                raise AWAY
            yield Recorded(position, "s", position, "n", b"{}")

    def _next(self) -> object:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def patient(told: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., PatientInstallation]:
    """A patient caller whose clocks run fast."""
    for name, seconds in (("SAY", 0.05), ("FIRST", 0.2), ("FIRST_PAUSE", 0.01), ("LONGEST_PAUSE", 0.02)):
        monkeypatch.setattr(patience, f"{name}_SECONDS", seconds)
    return lambda backend, seconds=5.0: PatientInstallation(cast(Installation, backend), seconds, told.append)


def test_a_busy_gateway_is_asked_again_under_the_same_id(patient: Callable[..., PatientInstallation]) -> None:
    troubled = Troubled("busy", "busy", "accepted")

    assert patient(troubled).ask(COMMAND).status == "accepted"
    assert troubled.asked == ["1", "1", "1"]


def test_a_wait_is_announced_once_and_so_is_its_end(
    patient: Callable[..., PatientInstallation], told: list[str]
) -> None:
    troubled = Troubled(*[AWAY] * 20, [{"position": 1}])

    assert patient(troubled).query("position", {}) == [{"position": 1}]
    waiting, over = told
    assert waiting == "waiting: the store is away"
    assert re.fullmatch(r"answered again after [0-9]+ s", over)


def test_of_a_short_trouble_nothing_is_said(patient: Callable[..., PatientInstallation], told: list[str]) -> None:
    assert patient(Troubled(AWAY, [])).query("position", {}) == []
    assert told == []


@pytest.mark.parametrize("error", [QueryNotUnderstood("there is no query x"), NotReachableError("nothing runs here")])
def test_a_permanent_error_is_raised_at_once(error: Exception, patient: Callable[..., PatientInstallation]) -> None:
    troubled = Troubled(error)

    with pytest.raises(type(error), match=str(error)):
        patient(troubled).query("x", {})
    assert len(troubled.asked) == 1


def test_an_expired_wait_raises_the_last_reason(patient: Callable[..., PatientInstallation]) -> None:
    began = time.monotonic()

    with pytest.raises(UnavailableError, match=r"the store is away \(waited [0-9]+ s\)"):
        patient(Troubled(AWAY), 0.3).query("position", {})
    with pytest.raises(UnavailableError, match="the gateway is being closed"):
        patient(Troubled("busy"), 0.3).ask(COMMAND)
    assert 0.5 < time.monotonic() - began < 20


def test_several_questions_share_the_time_that_their_asker_has(patient: Callable[..., PatientInstallation]) -> None:
    asking = patient(Troubled(AWAY), 60.0)
    began = time.monotonic()

    with asking.until(began + 0.2):
        for _ in range(3):
            with pytest.raises(UnavailableError):
                asking.query("position", {})
    assert time.monotonic() - began < 30


def test_a_first_connection_is_tried_for_a_shorter_time(patient: Callable[..., PatientInstallation]) -> None:
    nobody = NoConnectionError("no connection to the bus")
    began = time.monotonic()

    with pytest.raises(UnavailableError, match="no connection"):
        patient(Troubled(nobody), 60.0).query("position", {})
    assert time.monotonic() - began < 30
    met = patient(Troubled([], *[nobody] * 30, [{}]), 60.0)
    met.query("position", {})
    assert met.query("position", {}) == [{}]


@pytest.mark.parametrize("follow", [True, False])
def test_records_go_on_after_the_last_one(follow: bool, patient: Callable[..., PatientInstallation]) -> None:
    records = patient(Troubled(None)).records(0, follow=follow)

    assert [each.position for each in records] == list(range(1, 10))
