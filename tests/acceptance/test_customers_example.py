"""The customer's example runs word for word on an empty folder, twice, and so do the lines that would follow it."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release_management import Refused, ReleaseManager
from tests.acceptance.installation import Installation
from tests.docs.markdown import ROOT, blocks
from tests.servers.postgres import Databases

WORDS = "a8e63c6fcad7cd053afeb5c5a2687d4baf2a0a7b8c29c0cb501058be60917a5f"
"""SHA-256 of the example, as the customer wrote it."""
PAGES = ("README.md", "docs/how-to/walk-a-release.md")
SHOWN = """
for answer in (release, deployment, canary_config, rollback_config, compliance):
    print(answer)
    print(repr(answer))
"""


def example(page: str) -> str:
    """The first Python block of the page that has no data of its own."""
    return next(it.text for it in blocks(ROOT / page) if it.language == "python" and "ReleaseManager()" in it.text)


def run(folder: Path, text: str) -> str:
    """Run the text as a new Python program in the folder; return its output."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RELMAN")}
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT), "LOGNAME": "alice", "USER": "alice"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(params=["sqlite", "postgres"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An empty folder; that of PostgreSQL knows which database it is for."""
    if request.param == "postgres":
        databases: Databases = request.getfixturevalue("postgres_server")
        ReleaseManager(data=tmp_path / ".relman", store=databases.new_database()).close()
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_not_one_word_of_it_is_changed(page: str) -> None:
    assert hashlib.sha256(example(page).encode()).hexdigest() == WORDS


def test_the_example_runs_on_an_empty_folder_and_again_and_prints_sensible_things(folder: Path) -> None:
    text = example("README.md")

    first = run(folder, text + SHOWN)
    second = run(folder, text + SHOWN)

    assert "\n  components: api 2.1.0, web 2.1.0, mobile 2.1.0\n  new: New dashboard feature\n" in first
    assert "<Release default@2.1.0 (published) by alice>" in first
    assert "<Deployment default@2.1.0 → production   canary   Planned>" in first
    assert "deny: components api, web and mobile have no target in production; add this to relman.yaml" in first
    assert "canary of default@2.1.0: 5 % → 15 % → 25 % → 35 %" in first
    assert "roll back when error_rate > 0.05 for 60 s" in first
    assert "gate security_scan (security-scan): required, passes with no critical, by manual attestation" in first
    assert "gate performance_benchmark (performance-benchmark): required, by manual attestation" in first
    assert "deny: gate security-scan of default@2.1.0 is not evaluated; attest it once it has passed: " in second
    of = [line for line in first.splitlines() if line.startswith("deployment ")]
    assert of == [line for line in second.splitlines() if line.startswith("deployment ")], "it is the same one"


def test_the_second_time_records_nothing(folder: Path) -> None:
    text = example("README.md")
    count = "\nprint(release_manager._backend.query('position', {})[0]['position'])"

    assert run(folder, text + count) == run(folder, text + count)


def test_the_lines_that_would_follow_work_too(installation: Installation) -> None:
    release_manager = installation.manager("default")
    names: dict[str, Any] = {"_given": release_manager}
    exec(example("README.md").replace("ReleaseManager()", "_given"), names)
    release, deployment = names["release"], names["deployment"]
    site = installation.target("api", "web", "mobile")
    release_manager.configure_environments({"Production": site | {"approval": {"required": 1}}})
    release_manager.setup_release_pipeline("Main Release Pipeline", stages=["Production"])

    with pytest.raises(Refused, match=r"gate security-scan of default@2.1.0 is not evaluated"):
        release_manager.deploy(deployment)
    release_manager.attest(release, "security_scan", "passed", note="nothing critical")
    release_manager.attest(release, "Performance Benchmark", "passed")
    assert release_manager.deploy(deployment).phase == "AwaitingApproval", "the stages that are gone hold it no more"
    release = release_manager.create_release("2.1.1", ["api", "web", "mobile"])
    for gate in ("security-scan", "performance-benchmark"):
        release_manager.attest(release, gate, "passed")
    deployment = release_manager.deploy(release, "production")
    assert deployment.phase == "AwaitingApproval"
    with pytest.raises(Refused, match="may not approve it; somebody else must"):
        release_manager.approve(deployment)
    release_manager.acting_as("bob").approve(deployment, note="go")
    assert release_manager.wait(deployment).succeeded

    production = release_manager.environment("production")
    assert {(slot.component, slot.version, slot.observed) for slot in production.running} == {
        (name, "2.1.1", 100) for name in ("api", "web", "mobile")
    }
    kinds = [entry.type for entry in release_manager.history(deployment).entries]
    assert "approval.granted" in kinds
    assert "deployment.succeeded" in kinds
    measured = {metric.metric: metric for metric in release_manager.metrics().metrics}
    assert measured["deployment_frequency"].numerator == 1


# Variants of it


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReleaseManager]:
    with ReleaseManager("Web Shop", data=tmp_path_factory.mktemp("alone") / ".relman", actor="alice") as manager:
        yield manager


@pytest.mark.parametrize(
    ("label", "id"),
    [
        ("Main Release Pipeline", "main-release-pipeline"),
        ("  main   release_pipeline ", "main-release-pipeline"),
        ("Büro München", "buero-muenchen"),
        ("Rollout 🚀", "rollout-c708d5c4"),
        ("P" * 200, f"{'p' * 54}-cfe25c9c"),
    ],
)
def test_any_label_is_a_pipelines_name(alone: ReleaseManager, label: str, id: str) -> None:
    alone.configure_environments({"Production EU": {"name": "Europe"}, "QA_2": {}})

    pipeline = alone.setup_release_pipeline(label, stages=["QA_2", "production eu"])

    assert (pipeline.name, pipeline.label) == (id, label.strip())
    assert [stage["environment"] for stage in pipeline.stages] == ["qa-2", "production-eu"]
    assert id in str(pipeline)


def test_an_id_may_be_given_with_the_label(alone: ReleaseManager) -> None:
    alone.configure_environments({"staging": {}})

    pipeline = alone.setup_release_pipeline("The way to our customers", id="main")

    assert str(pipeline).startswith("pipeline The way to our customers (main) of web-shop: ")


def test_environments_applications_components_and_gates_have_labels(alone: ReleaseManager) -> None:
    (made,) = alone.configure_environments({"Staging Süd": {}})
    alone.setup_release_pipeline("south", stages=["Staging Süd"])
    release = alone.create_release("1.0.0", ["Front End", "api"])
    policy = alone.configure_compliance_gates({"LICENCE_CHECK": {"pass_threshold": 90}}, environment="STAGING SÜD")

    assert (made.name, made.label) == ("staging-sued", "Staging Süd")
    assert release.ref == "web-shop@1.0.0"
    assert "web-shop@1.0.0 of Web Shop (published)" in str(release)
    assert "Front End (front-end) 1.0.0, api 1.0.0" in str(release)
    assert policy.scope == "web-shop/staging-sued"
    assert "gate LICENCE_CHECK (licence-check): required, passes with 90," in str(policy)
    assert alone.attest("Web Shop@1.0.0", "licence check", "passed").attestations["licence-check"]["result"] == "passed"
    assert alone.environment("staging süd").name == "staging-sued"
    planned = alone.plan_deployment("1.0.0", "Staging Süd")
    assert planned.environment == "staging-sued"
    assert alone.preview_deployment("1.0.0", "Staging Süd").environment == "staging-sued"
    assert [entry.environment for entry in alone.history(environment="STAGING-SÜD").entries]


def test_a_release_is_the_same_however_its_names_are_spelled(alone: ReleaseManager) -> None:
    first = alone.create_release("3.0.0", ["Front End"])

    assert alone.create_release("3.0.0", ["front_end"]) == first
