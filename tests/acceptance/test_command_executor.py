"""Deployments of components without traffic by programs of the executor `command`, through a running installation."""

from pathlib import Path
from typing import Any

import pytest

from release_management import Refused
from tests.acceptance.installation import Installation

PROGRAM = """#!/bin/sh
place="{folder}/$RELMAN_COMPONENT-$RELMAN_SLOT"
case "$RELMAN_VERB" in
provision) echo "$RELMAN_VERSION x $RELMAN_REPLICAS" > "$place" ;;
await_healthy) if grep -q '^9' "$place"; then echo "cannot read the queue"; exit 1; fi ;;
retire) rm -f "$place" ;;
esac
"""
BRIEF = {"scale_down_delay": 0, "abort_scale_down_delay": 0}


class Workers:
    """An application whose instances are one file per slot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "workers"
        self.folder.mkdir()
        self.program = folder / "deploy.sh"
        self.program.write_text(PROGRAM.format(folder=self.folder))
        self.program.chmod(0o755)

    def target(self, *slots: str, leaving_out: str = "route", **target: Any) -> dict[str, Any]:
        verbs = {"provision", "await_healthy", "route", "retire"} - {leaving_out}
        mailer = {"commands": {verb: [str(self.program)] for verb in verbs}, "replicas": 2}
        said = {"executor": "command", "routes": "none", "slots": list(slots), "components": {"mailer": mailer}}
        return {"targets": {"main": {**said, **target}}}

    def running(self) -> set[str]:
        return {path.read_text().strip() for path in self.folder.iterdir()}


@pytest.fixture
def workers(tmp_path: Path) -> Workers:
    return Workers(tmp_path)


def test_a_worker_is_deployed_and_comes_back(running: Installation, workers: Workers) -> None:
    post = running.manager("post")
    post.configure_environments({"qa": workers.target("a", "b")})
    for version in ("1.0.0", "1.1.0", "9.0.0", "1.2.0"):
        post.create_release(version, ["mailer"])

    assert post.wait(post.deploy("1.0.0", "qa", strategy="rolling", options=BRIEF), 30).succeeded
    assert workers.running() == {"1.0.0 x 2"}
    assert post.wait(post.deploy("1.1.0", "qa", strategy="rolling", options=BRIEF), 30).succeeded
    assert workers.running() == {"1.1.0 x 2"}

    bad = post.wait(post.deploy("9.0.0", "qa", strategy="rolling", options=BRIEF), 30)
    assert bad.phase == "RolledBack"
    assert 'its last line was "cannot read the queue"' in str(bad.reason)
    assert workers.running() == {"1.1.0 x 2"}

    for strategy in ("canary", "blue-green"):
        with pytest.raises(Refused, match="shifts traffic and the target cannot; use recreate or rolling"):
            post.deploy("1.2.0", "qa", strategy=strategy)

    verbs = {fact["action"]["verb"] for one in post.deployments() for fact in running.data(one.id, "step_started")}
    assert verbs == {"provision", "await_healthy", "retire"}
    running.projections_equal_a_rebuild()


def test_one_slot_is_enough_to_recreate_a_worker(running: Installation, workers: Workers) -> None:
    post = running.manager("batch")
    post.configure_environments({"lab": workers.target("only")})
    for version in ("1.0.0", "1.1.0", "9.0.0"):
        post.create_release(version, ["mailer"])
    assert post.wait(post.deploy("1.0.0", "lab", strategy="recreate", options=BRIEF), 30).succeeded
    assert post.wait(post.deploy("1.1.0", "lab", strategy="recreate", options=BRIEF), 30).succeeded
    assert post.wait(post.deploy("9.0.0", "lab", strategy="recreate", options=BRIEF), 30).phase == "RolledBack"
    assert workers.running() == {"1.1.0 x 2"}


def test_a_verb_without_a_program_is_refused_when_configuring(running: Installation, workers: Workers) -> None:
    post = running.manager("post")
    for verb in ("provision", "await_healthy", "retire"):
        with pytest.raises(Refused, match=f'target main, component mailer: commands lacks "{verb}"'):
            post.configure_environments({"qa": workers.target("a", leaving_out=verb)})
    with pytest.raises(Refused, match='commands lacks "route", which a target that shifts traffic needs'):
        post.configure_environments({"qa": workers.target("a", routes="any")})
    post.configure_environments({"qa": workers.target("a", leaving_out="", routes="any")})
