"""Releases with many changes, given at once or later."""

from typing import Any

import pytest

from release_management.domain.release import MAX_CHANGES
from release_management.kernel.types import Refused
from release_management.services.batches import BATCH_BYTES, creating_release
from tests.services.gateway_harness import GatewayHarness, on_both_stores


def changes(count: int, first: int = 0, message: str = "Find things faster") -> list[dict[str, Any]]:
    return [
        {"commit": f"{number:040x}", "committed_at": "2026-11-20T14:03:00Z", "author": "Ann", "message": message}
        for number in range(first, first + count)
    ]


def commits(harness: GatewayHarness) -> list[str]:
    found = []
    for record in harness.log.read_stream("release:shop@1.0.0"):
        if record.name in ("release.created", "release.changes_added"):
            data = harness.data_of(record.record)
            found += [change["commit"] for change in data["changes"]]
    return found


@on_both_stores
def test_ten_thousand_changes_come_in_batches_that_fit_into_messages_and_may_come_twice(
    harness: GatewayHarness,
) -> None:
    wanted = changes(MAX_CHANGES)
    data = {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}], "changes": wanted}
    sent = creating_release(data)
    assert len(sent) > 2

    for _ in range(2):
        for command, part in sent:
            assert len(str(part)) < 2 * BATCH_BYTES
            harness.do(command, part)

    assert commits(harness) == [change["commit"] for change in wanted]
    assert len(harness.records("release.published")) == 1
    one_more = harness.ask("release.add_changes", {"release": "shop@1.0.0", "changes": changes(1, first=MAX_CHANGES)})
    assert one_more.reason == (
        "release shop@1.0.0 would have 10,001 changes and may have 10,000; sum some up in its changelog"
    )


def test_a_release_is_a_draft_until_it_has_all_its_changes(harness: GatewayHarness) -> None:
    data = {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}], "changes": changes(5_000)}
    *before, (last, _) = creating_release(data)

    assert last == "release.publish"
    for command, part in before:
        harness.do(command, part)
    assert harness.records("release.published") == []
    assert [command for command, _ in creating_release({**data, "draft": True})] == [command for command, _ in before]


def test_more_changes_than_a_release_may_have_are_refused_before_anything_is_sent() -> None:
    data = {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}], "changes": changes(10_001)}

    with pytest.raises(Refused, match="would have 10,001 changes and may have 10,000"):
        creating_release(data)


def test_changes_that_are_added_have_an_approval_asked_for_again(harness: GatewayHarness) -> None:
    harness.environment("live", tier="production", approval={"required": 1, "allow_self": True})
    harness.release("1.0.0", changes=changes(1))
    deployment = harness.deploy("shop@1.0.0", "live")
    first = harness.records("approval.requested")[0]["data"]["approval"]

    harness.do("release.add_changes", {"release": "shop@1.0.0", "changes": changes(1, first=1)})
    harness.do("approval.grant", {"approval": first}, actor="bob")

    asked = [record["data"]["approval"] for record in harness.records("approval.requested")]
    assert len(asked) == 2
    assert harness.facts(deployment, "started") == []
