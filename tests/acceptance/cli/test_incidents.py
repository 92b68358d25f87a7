"""Incidents and metrics on the command line, where nothing was deployed yet."""

from pathlib import Path

import pytest

from release_management import ReleaseManager
from tests.acceptance.cli.conftest import Types

ID = "01a2096b-9f69-771d-80c3-d7cadc8f1a2e"


@pytest.fixture
def production(relman: Types, tmp_path: Path) -> Types:
    """`relman` in a folder with an environment."""
    with ReleaseManager("shop", data=tmp_path / ".relman", actor="alice") as manager:
        manager.configure_environments({"production": {}})
    return relman


def test_an_incident_is_opened_shown_attributed_and_resolved(production: Types) -> None:
    advice = ("--title", "Carts are\tempty", "--severity", "major", "--detected", "20m")
    opened = production("incident", "open", "shop", "production", *advice, "--json")
    assert opened.code == 1
    assert "title" in opened.err, "a title is one line"

    opened = production("incident", "open", "shop", "production", *advice[2:], "--title", "Carts are empty", "--json")
    id = opened.json["id"]
    assert (opened.json["severity"], opened.json["attribution"]) == ("major", "inferred")
    listed = production("incident", "list", "--open").out
    assert id in listed
    assert "Carts are empty" in listed
    assert production("incident", "attribute", id, "--deployment", "none").code == 0
    resolved = production("incident", "resolve", id, "--note", "the cloud is back")
    assert resolved.code == 0
    assert resolved.out.endswith("  next: relman metrics dora --app shop\n")
    shown = production("incident", "show", id).out
    assert "cause: no deployment" in shown
    assert "note: the cloud is back" in shown
    assert production("incident", "list", "--open").out == "there is no incident\n"


@pytest.mark.parametrize(
    ("arguments", "code", "advice"),
    [
        (("incident", "open", "shop", "moon", "--title", "x"), 1, "environment 'moon' does not exist"),
        (("incident", "open", "shop", "production", "--title", "x", "--deployment", ID), 1, "does not exist"),
        (("incident", "open", "shop", "production", "--title", "x", "--detected", "soon"), 1, "detected_at is a time"),
        (("incident", "open", "shop", "production", "--title", "x", "--severity", "bad"), 2, "'bad' is not one of"),
        (("incident", "resolve", ID), 1, "relman incident list shows those that do"),
        (("incident", "show", ID), 1, f"incident {ID} does not exist"),
        (("metrics", "dora", "--env", "moon"), 1, "environment 'moon' does not exist; known: production"),
        (("metrics", "dora", "--since", "500d"), 1, "more than 400 days"),
        (("metrics", "dora", "--since", "never"), 1, "since is a time such as"),
        (("metrics", "dora", "--time-zone", "Mars"), 1, "'Mars' is no time zone"),
        (("metrics", "dora", "--drill", "velocity"), 2, "'velocity' is not one of 'change_lead_time'"),
    ],
)
def test_an_impossible_incident_is_refused(
    production: Types, arguments: tuple[str, ...], code: int, advice: str
) -> None:
    answer = production(*arguments)

    assert (answer.code, advice in answer.err) == (code, True), answer


def test_metrics_are_a_table_and_one_json_document(production: Types) -> None:
    shown = production("metrics", "dora", "--since", "7d")
    found = production("metrics", "dora", "--app", "shop", "--env", "production", "--by", "week", "--json").json

    assert "deployment_frequency             0.00 a day" in shown.out
    assert shown.out.count("nothing to measure") == 5
    assert [metric["metric"] for metric in found["metrics"]] == [
        "change_lead_time",
        "deployment_frequency",
        "failed_deployment_recovery_time",
        "change_fail_rate",
        "deployment_rework_rate",
        "deployment_success_rate",
    ]
    assert (found["application"], found["environment"]) == ("shop", "production")
    assert production("metrics", "dora", "--drill", "change_fail_rate").out == "nothing finished in that time\n"
    assert production("metrics", "dora", "--drill", "change_fail_rate", "--json").json == []
