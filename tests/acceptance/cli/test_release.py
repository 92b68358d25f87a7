"""Releases on the command line, without anything running."""

import pytest

from release_management import Refused, ReleaseManager
from tests.acceptance.cli.conftest import Types

CREATE = ("release", "create", "shop@1.1.0", "--component", "web=web-1.1.tar.gz", "--component", "api",
          "--changelog", "Faster search", "--commit", "4f9a1c2,2026-11-20T14:03:00Z")  # fmt: skip


def test_notes_are_markdown(relman: Types) -> None:
    assert relman(*CREATE, "--as", "ann").code == 0
    assert relman("release", "notes", "shop@1.1.0").out.splitlines()[4:] == [
        "## Changes",
        "",
        "- Faster search",
        "",
        "## Components",
        "",
        "- web 1.1.0 (`web-1.1.tar.gz`)",
        "- api 1.1.0",
        "",
        "## Commits",
        "",
        "- `4f9a1c2` (2026-11-20T14:03:00Z)",
    ]
    assert relman("release", "notes", "shop@1.1.0").out.startswith("# shop 1.1.0\n\nReleased 20")


def test_the_same_again_is_the_same_and_another_content_is_refused(relman: Types) -> None:
    assert relman(*CREATE).out.startswith("✔ shop@1.1.0 is published\n  next: relman deploy shop@1.1.0 ENV")
    assert relman(*CREATE).code == 0
    answer = relman(*CREATE, "--changelog", "More")
    assert answer.code == 1
    assert answer.err == (
        "relman: release shop@1.1.0 exists with other content; a version is never reused: create a new version\n"
    )


def test_a_draft_is_published_attested_blocked_and_unblocked(relman: Types) -> None:
    assert "as a draft\n  next: relman release publish shop@1.1.0" in relman(*CREATE, "--draft").out
    assert "draft" in relman("release", "list").out
    assert relman("release", "publish", "shop@1.1.0", "--json").json["published"]
    assert relman("release", "attest", "shop@1.1.0", "--gate", "scan", "--result", "passed", "--as", "ann").code == 0
    shown = relman("release", "show", "shop@1.1.0").out
    assert "gate scan: passed by ann, a manual attestation" in shown
    assert "commit 4f9a1c2 of 2026-11-20T14:03:00Z" in shown
    assert relman("release", "block", "shop@1.1.0", "--reason", "loses carts").code == 0
    assert "blocked" in relman("release", "list", "--application", "shop").out
    assert relman("release", "unblock", "shop@1.1.0", "--json").json["blocked"] is None


def test_the_log_finds_what_an_actor_did(relman: Types) -> None:
    assert relman(*CREATE, "--as", "ann").code == 0
    assert relman("release", "block", "shop@1.1.0", "--reason", "bad", "--as", "bob").code == 0
    entries = relman("audit", "log", "--actor", "bob", "--json").json
    assert [(entry["actor"], entry["type"]) for entry in entries] == [("bob", "release.blocked")]
    assert relman("audit", "log", "--type", "release.created", "--json").json[0]["actor"] == "ann"


def test_the_log_shows_what_was_said_and_what_a_refusal_was_about(relman: Types) -> None:
    assert relman("init").code == 0
    assert relman("apply", "relman.yaml").code == 0
    assert relman("release", "block", "shop@1.0.0", "--reason", "loses carts", "--as", "bob").code == 0
    assert relman("deploy", "shop@9.9.9", "staging", "--dry-run").code == 1  # asks, and so records nothing
    with ReleaseManager("shop") as shop, pytest.raises(Refused):
        shop.plan_deployment("9.9.9", "staging")

    (refused,) = relman("audit", "log", "--environment", "Staging", "--type", "command", "--json").json
    assert (refused["release"], refused["application"], refused["refused"]) == ("shop@9.9.9", "shop", True)
    shown = relman("audit", "log", "--release", "shop@1.0.0").out
    assert "blocked: loses carts" in shown
    refusals = relman("audit", "log", "--release", "shop@9.9.9").out
    assert "shop@9.9.9 → staging" in refusals
    assert "release shop@9.9.9 does not exist" in refusals
    assert "loses carts" in relman("release", "show", "shop@1.0.0").out
    assert "on behalf of anybody of the name 'carol'" in relman("audit", "log", "--for", "carol").err
    nothing = relman("audit", "log", "--actor", "bob", "--type", "incident")
    assert (nothing.code, nothing.out) == (0, "nothing of that kind has happened\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("audit", "log", "--release", "shop@1.1.1"),
            "does not exist; did you mean 'shop@1.1.0'?",
        ),
        (("audit", "log", "--release", "shpo@1.1.0"), "application 'shpo' does not exist; did you mean 'shop'?"),
        (("audit", "log", "--environment", "moon"), "environment 'moon' does not exist; known: "),
        (("audit", "log", "--type", "release.craeted"), "did you mean 'release.created'?"),
        (
            ("audit", "log", "--deployment", "nothing"),
            "deployment nothing does not exist; relman",
        ),
        (("audit", "log", "--actor", "zoe"), "nobody of the name 'zoe' has done anything"),
        (("audit", "log", "--actor", "zoe", "--type", "release"), "nobody of the name 'zoe' has done anything"),
        (("audit", "log", "--for", "zoe"), "nothing was done on behalf of anybody of the name 'zoe'"),
        (("deployment", "list", "--application", "shpo"), "application 'shpo' does not exist; did you mean 'shop'?"),
        (("deployment", "list", "--environment", "moon"), "environment 'moon' does not exist; known: "),
        (("release", "list", "--application", "shpo"), "application 'shpo' does not exist; did you mean 'shop'?"),
        (("incident", "list", "--application", "shpo"), "application 'shpo' does not exist; did you mean 'shop'?"),
        (("incident", "list", "--environment", "moon"), "environment 'moon' does not exist; known: "),
        (("incident", "open", "shpo", "production", "--title", "x"), "did you mean 'shop'?"),
        (("metrics", "dora", "--application", "shpo"), "application 'shpo' does not exist; did you mean 'shop'?"),
    ],
)
def test_a_filter_by_what_does_not_exist_is_refused(relman: Types, words: tuple[str, ...], sentence: str) -> None:
    assert relman(*CREATE).code == 0

    answer = relman(*words)

    assert (answer.code, answer.out) == (1, "")
    assert sentence in answer.err


def test_an_empty_list_of_an_existing_thing_is_no_error(relman: Types) -> None:
    assert relman(*CREATE).code == 0
    for words in (
        ("audit", "log", "--release", "shop@1.1.0", "--type", "release.blocked"),
        ("incident", "list", "--application", "shop"),
        ("deployment", "list", "--application", "shop"),
        ("metrics", "dora", "--application", "shop"),
    ):
        assert relman(*words).code == 0


def test_a_filter_takes_names_as_people_write_them(relman: Types) -> None:
    assert relman("init").code == 0
    assert relman("apply", "relman.yaml").code == 0
    assert relman("deployment", "list", "--environment", "Staging", "--application", "Shop").code == 0
    assert relman("audit", "log", "--environment", "Staging", "--type", "incident").code == 0
