"""Incident: detected, caused, resolved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from release_management.domain.incident import (
    AttributeIncident,
    Incident,
    IncidentAttributed,
    IncidentEvent,
    IncidentOpened,
    IncidentResolved,
    OpenIncident,
    ResolveIncident,
    attribute,
    evolve,
    open_,
    resolve,
)
from release_management.kernel.timestamps import utc
from release_management.kernel.types import Refused, Unsealed
from tests.domain.build import (
    ANN,
    DEPLOYMENT,
    LATER,
    NOW,
    OTHER,
)

ID = "0193a5c2-7d7e-7000-8000-0000000000bb"
EARLIER = "2026-11-23T08:00:00.000000Z"
TITLE = Unsealed(subject=ANN, text="carts are empty")
OPENED = IncidentOpened(
    incident=ID, application="shop", environment="production", title=TITLE, detected_at=NOW, attribution="inferred"
)
RESOLVE = ResolveIncident(incident=ID)


def given_(*facts: IncidentEvent, cause: str | None = None) -> Incident:
    state = evolve(Incident(), OPENED if cause is None else blaming(cause))
    for fact in facts:
        state = evolve(state, fact)
    return state


def blaming(cause: str | None) -> IncidentOpened:
    return OPENED.model_copy(update={"cause": cause, "attribution": "explicit"})


@pytest.mark.parametrize("detected_at", [EARLIER, NOW, "2026-11-23T09:31:00.000000Z"])
def test_an_incident_may_have_been_detected_long_ago_or_by_a_clock_that_is_a_little_ahead(detected_at: str) -> None:
    opened = OPENED.model_copy(update={"detected_at": detected_at})

    assert open_(opened, Incident(), NOW) == [opened]


def test_an_incident_cannot_be_detected_in_the_future() -> None:
    opened = OPENED.model_copy(update={"detected_at": "2026-11-23T09:31:00.000001Z"})

    with pytest.raises(Refused, match="which is in the future; it is 2026-11-23T09:30:00"):
        open_(opened, Incident(), NOW)


def test_a_deployment_is_blamed_and_another_one_later() -> None:
    state = given_()

    assert attribute(DEPLOYMENT, state) == [IncidentAttributed(cause=DEPLOYMENT)]
    assert attribute(OTHER, given_(cause=DEPLOYMENT)) == [IncidentAttributed(cause=OTHER)]
    assert attribute(None, given_(cause=DEPLOYMENT)) == [IncidentAttributed()]


def test_saying_again_what_was_said_is_already_so() -> None:
    assert attribute(DEPLOYMENT, given_(cause=DEPLOYMENT)) == []
    assert attribute(None, given_(IncidentAttributed())) == []
    assert attribute(None, given_()) == [IncidentAttributed()], "not said is another thing than: no deployment"


def test_a_remedy_cannot_be_the_cause() -> None:
    ended = IncidentResolved(resolved_at=LATER, remedy=OTHER)
    with pytest.raises(Refused, match=f"ended by deployment {OTHER}"):
        attribute(OTHER, given_(ended))

    with pytest.raises(Refused, match=f"caused by deployment {DEPLOYMENT}, which cannot have ended it"):
        resolve(ResolveIncident(incident=ID, deployment=DEPLOYMENT), given_(cause=DEPLOYMENT), ANN, LATER)


def test_an_incident_is_resolved_now_unless_another_time_is_given() -> None:
    noted = ResolveIncident(incident=ID, resolved_at="2026-11-23T10:30:30+01:00", deployment=OTHER, note="hotfix")

    assert resolve(RESOLVE, given_(), ANN, LATER) == [IncidentResolved(resolved_at=LATER)]
    assert resolve(noted, given_(), ANN, LATER) == [
        IncidentResolved(
            resolved_at="2026-11-23T09:30:30.000000Z", remedy=OTHER, note=Unsealed(subject=ANN, text="hotfix")
        )
    ]
    assert resolve(RESOLVE, given_(), ANN, EARLIER) == [IncidentResolved(resolved_at=NOW)], "a clock that was set back"


def test_an_incident_cannot_be_over_before_it_was_detected_nor_in_the_future() -> None:
    with pytest.raises(Refused, match="cannot have been resolved before"):
        resolve(ResolveIncident(incident=ID, resolved_at=EARLIER), given_(), ANN, LATER)
    with pytest.raises(Refused, match="in the future"):
        resolve(ResolveIncident(incident=ID, resolved_at="2027-01-01T00:00:00Z"), given_(), ANN, LATER)


@pytest.mark.parametrize(
    "again",
    [
        RESOLVE,
        ResolveIncident(incident=ID, deployment=OTHER),
        ResolveIncident(incident=ID, resolved_at=LATER),
        ResolveIncident(incident=ID, resolved_at=LATER, deployment=OTHER, note="as I said"),
    ],
)
def test_resolving_it_again_the_same_way_is_already_so(again: ResolveIncident) -> None:
    assert resolve(again, given_(IncidentResolved(resolved_at=LATER, remedy=OTHER)), ANN, LATER) == []


@pytest.mark.parametrize(
    "other",
    [ResolveIncident(incident=ID, deployment=DEPLOYMENT), ResolveIncident(incident=ID, resolved_at=NOW)],
)
def test_resolving_it_in_another_way_is_refused(other: ResolveIncident) -> None:
    with pytest.raises(Refused, match=f"was resolved at {LATER} by deployment {OTHER}; that stays: open another"):
        resolve(other, given_(IncidentResolved(resolved_at=LATER, remedy=OTHER)), ANN, LATER)


@given(
    st.lists(
        st.sampled_from(
            [
                OPENED,
                blaming(DEPLOYMENT),
                IncidentAttributed(cause=OTHER),
                IncidentAttributed(),
                IncidentResolved(resolved_at=LATER),
            ]
        )
    )
)
def test_any_facts_fold_and_what_was_decided_is_then_already_so(facts: list[IncidentEvent]) -> None:
    state = Incident()
    for fact in facts:
        state = evolve(state, fact)

    for fact in attribute(DEPLOYMENT, state):
        state = evolve(state, fact)
    assert attribute(DEPLOYMENT, state) == []
    if state.resolved_at is None and state.detected_at:
        for fact in resolve(RESOLVE, state, ANN, LATER):
            state = evolve(state, fact)
        assert resolve(RESOLVE, state, ANN, LATER) == []


@pytest.mark.parametrize(
    "data",
    [
        {"environment": "production", "title": ""},
        {"environment": "production", "title": "x", "severity": "terrible"},
        {"environment": "production", "title": "x", "deployment": "nobody"},
        {"environment": "production", "title": "x", "detected_at": "2026-11-23"},
        {"environment": "production", "title": "x", "detected_at": "2026-02-30T00:00:00Z"},
        {"environment": "production", "title": "x", "detected_at": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_a_malformed_incident_is_refused(data: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        OpenIncident.model_validate(data)


def test_a_cause_is_a_deployment_or_none() -> None:
    assert AttributeIncident(incident=ID, deployment="none").deployment == "none"
    with pytest.raises(ValidationError, match="is no id"):
        AttributeIncident(incident=ID, deployment="nobody")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2026-11-23T09:30Z", NOW),
        ("2026-11-23T10:30:00.0000009+01:00", NOW),
        ("2026-11-23T09:30:00.000000Z", NOW),
    ],
)
def test_times_are_kept_in_one_form(said: str, meant: str) -> None:
    assert utc(said) == meant


@pytest.mark.parametrize(
    "said", ["", "now", "2026-11-23T09:30:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00"]
)
def test_a_malformed_time_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match=r"no time|before 1970"):
        utc(said)
