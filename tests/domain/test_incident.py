"""Incident: detected, caused, resolved."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from release_management.domain.incident import (
    INCIDENT,
    AttributeIncident,
    Incident,
    IncidentAttributed,
    IncidentCommand,
    IncidentEvent,
    IncidentFacts,
    IncidentOpened,
    IncidentResolved,
    Involved,
    OpenIncident,
    ResolveIncident,
    decide,
)
from release_management.kernel.timestamps import utc
from release_management.kernel.types import Unsealed
from tests.domain.build import (
    ANN,
    DEPLOYMENT,
    LATER,
    NOW,
    OTHER,
)
from tests.domain.specification import (
    Given,
    Specification,
    Then,
)

ID = "0193a5c2-7d7e-7000-8000-0000000000bb"
EARLIER = "2026-11-23T08:00:00.000000Z"
TITLE = Unsealed(subject=ANN, text="carts are empty")
OPENED = IncidentOpened(
    incident=ID, application="shop", environment="production", title=TITLE, detected_at=NOW, attribution="inferred"
)
OPEN = OpenIncident(application="shop", environment="production", title="carts are empty")
RESOLVE = ResolveIncident(incident=ID)
INCIDENTS = Specification(INCIDENT, decide, IncidentFacts(ANN, LATER, ID))
IncidentGiven = Given[IncidentCommand, Incident, IncidentFacts, IncidentEvent]


def opened(*facts: IncidentEvent, cause: str | None = None) -> IncidentGiven:
    return INCIDENTS.given(OPENED if cause is None else blaming(cause), *facts)


def blaming(cause: str | None) -> IncidentOpened:
    return OPENED.model_copy(update={"cause": cause, "attribution": "explicit"})


def involved(id: str, started_at: str | None = EARLIER) -> Involved:
    return Involved(id, "shop@2.0.0", "shop", "production", "Succeeded", begun=True, started_at=started_at)


def blame(incident: IncidentGiven, id: str | None) -> Then[IncidentCommand, Incident, IncidentFacts, IncidentEvent]:
    """Say that a deployment caused it, or that none did."""
    command = AttributeIncident(incident=ID, deployment=id or "none")
    return incident.when(command, deployment=None if id is None else involved(id))


@pytest.mark.parametrize("detected_at", [EARLIER, NOW, "2026-11-23T09:31:00.000000Z"])
def test_an_incident_may_have_been_detected_long_ago_or_by_a_clock_that_is_a_little_ahead(detected_at: str) -> None:
    INCIDENTS.given().when(OPEN.model_copy(update={"detected_at": detected_at}), now=NOW).then(
        OPENED.model_copy(update={"detected_at": detected_at})
    )


def test_it_was_detected_now_unless_another_time_is_said() -> None:
    INCIDENTS.given().when(OPEN, now=NOW).then(OPENED)


def test_an_incident_cannot_be_detected_in_the_future() -> None:
    late = OPEN.model_copy(update={"detected_at": "2026-11-23T09:31:00.000001Z"})

    INCIDENTS.given().when(late, now=NOW).then_refused("which is in the future; it is 2026-11-23T09:30:00")


def test_it_is_opened_with_the_deployment_that_is_blamed() -> None:
    blamed = OPEN.model_copy(update={"deployment": DEPLOYMENT})

    INCIDENTS.given().when(blamed, now=NOW, deployment=involved(DEPLOYMENT)).then(blaming(DEPLOYMENT))
    INCIDENTS.given().when(OPEN.model_copy(update={"deployment": "none"}), now=NOW).then(blaming(None))


def test_a_deployment_is_blamed_and_another_one_later() -> None:
    blame(opened(), DEPLOYMENT).then(IncidentAttributed(cause=DEPLOYMENT))
    blame(opened(cause=DEPLOYMENT), OTHER).then(IncidentAttributed(cause=OTHER))
    blame(opened(cause=DEPLOYMENT), None).then(IncidentAttributed())


def test_saying_again_what_was_said_is_already_so() -> None:
    blame(opened(cause=DEPLOYMENT), DEPLOYMENT).then_nothing()
    blame(opened(IncidentAttributed()), None).then_nothing()
    blame(opened(), None).then(IncidentAttributed())  # not said is another thing than: no deployment


def test_what_began_later_or_not_at_all_or_elsewhere_is_not_involved() -> None:
    attribute = AttributeIncident(incident=ID, deployment=OTHER)
    remedy = ResolveIncident(incident=ID, resolved_at=NOW, deployment=OTHER)
    late, waiting = involved(OTHER, LATER), replace(involved(OTHER, None), phase="Queued", begun=False)
    elsewhere = replace(involved(OTHER), environment="staging")

    opened().when(attribute, deployment=late).then_refused(
        f"deployment {OTHER} began at {LATER}, after the incident was detected at {NOW}, and cannot have caused it"
    )
    opened().when(remedy, deployment=late).then_refused(
        f"deployment {OTHER} began at {LATER}, after the incident was over at {NOW}, and cannot have ended it"
    )
    for command in (attribute, remedy):
        opened().when(command, deployment=waiting).then_refused(f"deployment {OTHER} is Queued and has not begun")
        opened().when(command, deployment=elsewhere).then_refused("and the incident is of shop in production")


def test_a_remedy_cannot_be_the_cause() -> None:
    blame(opened(IncidentResolved(resolved_at=LATER, remedy=OTHER)), OTHER).then_refused(f"ended by deployment {OTHER}")
    opened(cause=DEPLOYMENT).when(ResolveIncident(incident=ID, deployment=DEPLOYMENT)).then_refused(
        f"caused by deployment {DEPLOYMENT}, which cannot have ended it"
    )


def test_an_incident_is_resolved_now_unless_another_time_is_given() -> None:
    noted = ResolveIncident(incident=ID, resolved_at="2026-11-23T10:30:30+01:00", deployment=OTHER, note="hotfix")

    opened().when(RESOLVE).then(IncidentResolved(resolved_at=LATER))
    opened().when(noted).then(
        IncidentResolved(
            resolved_at="2026-11-23T09:30:30.000000Z", remedy=OTHER, note=Unsealed(subject=ANN, text="hotfix")
        )
    )
    opened().when(RESOLVE, now=EARLIER).then(IncidentResolved(resolved_at=NOW))  # a clock that was set back


def test_an_incident_cannot_be_over_before_it_was_detected_nor_in_the_future() -> None:
    opened().when(ResolveIncident(incident=ID, resolved_at=EARLIER)).then_refused("cannot have been resolved before")
    opened().when(ResolveIncident(incident=ID, resolved_at="2027-01-01T00:00:00Z")).then_refused("in the future")


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
    opened(IncidentResolved(resolved_at=LATER, remedy=OTHER)).when(again).then_nothing()


@pytest.mark.parametrize(
    "other",
    [ResolveIncident(incident=ID, deployment=DEPLOYMENT), ResolveIncident(incident=ID, resolved_at=NOW)],
)
def test_resolving_it_in_another_way_is_refused(other: ResolveIncident) -> None:
    opened(IncidentResolved(resolved_at=LATER, remedy=OTHER)).when(other).then_refused(
        f"was resolved at {LATER} by deployment {OTHER}; that stays: open another"
    )


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
    known = replace(INCIDENTS.given(*facts).state, application="shop", environment="production", detected_at=NOW)
    incident = INCIDENTS.given_state(known)

    blamed = blame(incident, DEPLOYMENT).after if incident.state.remedy != DEPLOYMENT else incident
    blame(blamed, DEPLOYMENT).then_nothing()
    if blamed.state.resolved_at is None:
        blamed.when(RESOLVE).after.when(RESOLVE).then_nothing()


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
    ("text", "meant"),
    [
        ("2026-11-23T09:30Z", NOW),
        ("2026-11-23T10:30:00.0000009+01:00", NOW),
        ("2026-11-23T09:30:00.000000Z", NOW),
    ],
)
def test_times_are_kept_in_one_form(text: str, meant: str) -> None:
    assert utc(text) == meant


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-23T09:30:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00"]
)
def test_a_malformed_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no time|before 1970"):
        utc(text)
