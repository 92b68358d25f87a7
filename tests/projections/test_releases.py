from release_management.domain.approval import (
    ApprovalCompleted,
    ApprovalDenied,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalVoided,
)
from release_management.domain.release import (
    ReleaseAttested,
    ReleaseBlocked,
    ReleaseCanaryConfigured,
    ReleaseDeploymentPlanned,
    ReleaseSucceeded,
    ReleaseUnblocked,
    ReleaseWithdrawn,
)
from tests.projections.conftest import Ask
from tests.projections.event_script import (
    ANN,
    BEN,
    EventScript,
    at,
    sealed,
)


def test_a_release_is_shown_with_its_personal_texts_sealed(script: EventScript, ask: Ask) -> None:
    ref = script.release()

    (row,) = ask("release", ref=ref)

    assert (row["application"], row["version"], row["author"]) == ("shop", "1.0.0", ANN)
    assert (row["created"], row["published"], row["blocked"]) == (at(1), at(2), None)
    assert row["changelog"] == [{"subject": ANN, "sealed": "sealed:faster"}]
    assert row["changes"][0]["author"] == {"subject": ANN, "sealed": "sealed:Ann"}
    assert [component["name"] for component in row["components"]] == ["web"]


def test_a_release_gathers_attestations_plans_successes_and_its_own_canary(script: EventScript, ask: Ask) -> None:
    ref = script.release()
    script.tell(
        f"release:{ref}",
        ReleaseAttested(gate="tests", result="passed", by=BEN, note=sealed("ran it", BEN)),
        ReleaseCanaryConfigured(initial_traffic=2),
        ReleaseDeploymentPlanned(environment="staging", deployment="d-1"),
        ReleaseSucceeded(environment="staging", deployment="d-1"),
        ReleaseSucceeded(environment="production", deployment="d-2"),
        ReleaseWithdrawn(environment="production", deployment="d-3"),
    )

    (row,) = ask("release", ref=ref)

    assert row["attestations"]["tests"] == {
        "gate": "tests",
        "result": "passed",
        "by": BEN,
        "note": {"subject": BEN, "sealed": "sealed:ran it"},
        "at": at(3),
    }
    assert row["initial_traffic"] == 2
    assert row["planned"] == {"staging": "d-1"}
    assert row["succeeded_in"] == {"staging": "d-1"}


def test_a_block_can_be_lifted(script: EventScript, ask: Ask) -> None:
    ref = script.release()
    script.tell(f"release:{ref}", ReleaseBlocked(reason=sealed("leaks")))
    (blocked,) = ask("release", ref=ref)
    script.tell(f"release:{ref}", ReleaseUnblocked())
    (lifted,) = ask("release", ref=ref)

    assert (blocked["blocked"], blocked["block_reason"]["sealed"]) == (at(3), "sealed:leaks")
    assert (lifted["blocked"], lifted["block_reason"]) == (None, None)


def test_releases_come_newest_first(script: EventScript, ask: Ask) -> None:
    script.release("1.0.0")
    script.release("2.0.0", "till")
    script.release("1.1.0")

    assert [row["ref"] for row in ask("releases")] == ["shop@1.1.0", "till@2.0.0", "shop@1.0.0"]
    assert [row["ref"] for row in ask("releases", application="shop", limit=1)] == ["shop@1.1.0"]


def test_an_approval_waits_until_enough_have_granted(script: EventScript, ask: Ask) -> None:
    script.ask_approval("d-1", required=2)
    script.tell("approval:a-1", ApprovalGranted(by=BEN, note=sealed("fine", BEN)))
    (waiting,) = ask("approvals", waiting=True)
    script.tell("approval:a-1", ApprovalGranted(by="usr_eve00001"), ApprovalCompleted(deployment="d-1"))
    (granted,) = ask("approvals", deployment="d-1")

    assert (waiting["phase"], waiting["rule"]["required"], waiting["by"]) == ("Waiting", 2, ANN)
    assert [signature["by"] for signature in granted["signatures"]] == [BEN, "usr_eve00001"]
    assert granted["signatures"][0]["note"] == {"subject": BEN, "sealed": "sealed:fine"}
    assert (granted["phase"], granted["decided"]) == ("Granted", at(4))
    assert ask("approvals", waiting=True) == []


def test_approvals_end_denied_expired_or_void(script: EventScript, ask: Ask) -> None:
    for name in ("a-1", "a-2", "a-3"):
        script.ask_approval("d-1", name)
    script.tell("approval:a-1", ApprovalDenied(by=BEN, deployment="d-1", note=sealed("no", BEN)))
    script.tell("approval:a-2", ApprovalExpired(deployment="d-1"))
    script.tell("approval:a-3", ApprovalVoided(reason="the plan has changed"))

    void, expired, denied = ask("approvals")
    assert (void["phase"], void["reason"]) == ("Voided", "the plan has changed")
    assert expired["phase"] == "Expired"
    assert (denied["phase"], denied["denial"]["by"]) == ("Denied", BEN)
