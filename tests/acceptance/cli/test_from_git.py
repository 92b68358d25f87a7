"""Changes of a release, as git has them."""

import os
import subprocess
from pathlib import Path

import pytest

from release_management.cli.kit.git_log import changes_of
from release_management.kernel.types import Refused
from tests.acceptance.cli.conftest import Types


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with three commits and two tags."""
    place = tmp_path / "code"
    place.mkdir()

    def git(*arguments: str) -> None:
        who = {f"GIT_{role}_{part}": text for role in ("AUTHOR", "COMMITTER") for part, text in WHO.items()}
        subprocess.run(["git", *arguments], cwd=place, check=True, capture_output=True, env=os.environ | who)

    git("init", "--initial-branch=main")
    for number, message in enumerate(("Begin", 'Say "hello" \x1b[31min red', "Find things faster"), 1):
        git("commit", "--allow-empty", "-m", message)
        git("tag", f"v1.{number}.0")
    return place


WHO = {"NAME": "Ann", "EMAIL": "ann@example.org", "DATE": "2026-11-20T14:03:00+01:00"}


def test_a_release_takes_the_commits_of_a_range_the_oldest_first(relman: Types, repository: Path) -> None:
    made = relman(
        "release", "create", "shop@1.3.0", "--component", "web",
        "--from-git", "v1.1.0..v1.3.0", "--repository", str(repository), "--json",
    )  # fmt: skip

    changes = made.json["changes"]
    assert [change["message"] for change in changes] == ['Say "hello" \x1b[31min red', "Find things faster"]
    assert {change["author"] for change in changes} == {"Ann"}
    assert {change["committed_at"] for change in changes} == {"2026-11-20T14:03:00+01:00"}
    assert "changes: 2" in relman("release", "show", "shop@1.3.0").out


def test_commits_are_added_later_and_twice_is_once(relman: Types, repository: Path) -> None:
    relman("release", "create", "shop@1.3.0", "--component", "web")
    for _ in range(2):
        added = relman(
            "release", "add-changes", "shop@1.3.0", "--from-git", "v1.1.0..v1.3.0", "--repository", str(repository)
        )
        assert "✔ shop@1.3.0 has 2 changes" in added.out

    assert (
        relman("audit", "log", "--type", "release.changes_added", "--json").json[0]["summary"].startswith("2 changes")
    )


@pytest.mark.parametrize(
    ("commits", "reason"),
    [
        ("v9..v10", r"bad revision .v9\.\.v10"),
        ("v1.3.0..v1.1.0", "has no commit; name a range such as v1.0.0..v1.1.0"),
        ("--output=/tmp/elsewhere", "--output=/tmp/elsewhere"),
    ],
)
def test_a_range_that_git_does_not_have_is_refused_with_its_reason(repository: Path, commits: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        changes_of(commits, repository)
    assert not Path("/tmp/elsewhere").exists()


def test_a_folder_that_is_no_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not a git repository"):
        changes_of("v1..v2", tmp_path)
