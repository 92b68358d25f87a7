"""`make demo`: two components go from plan to production, under load, and every claim is checked.

With `--store postgres` everything is stored in a PostgreSQL server of the demo's own, every role is a process of its
own, and each of them is killed once.
"""

import argparse
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from demo import replay
from demo.crash import crash
from demo.telling import NotObserved, check, say
from demo.traffic import Traffic, share
from release_management import (
    Deployment,
    NotReachableError,
    Refused,
    ReleaseManager,
)
from release_management.adapters.read_model import ReadStore
from release_management.facade.views import rendered, running_table

COMPONENTS = ("web", "api")
RATE = 400
PER_WEIGHT = 2_000
WEIGHTS = (5, 25, 50, 100)
TOLERANCE = 1.5


class Installation:
    """A `relman up` in a folder of its own, and the people who use it.

    `store` is the URL of a PostgreSQL database, or None for files in the folder.
    """

    def __init__(self, folder: Path, store: str | None) -> None:
        self.store = store
        self.data = folder / ".relman"
        self.journal = folder / "journal.txt"
        self.ports = {(e, c): _free_port() for e in ("staging", "production") for c in COMPONENTS}
        self._folder = folder
        self.process = self._up()
        self.alice = ReleaseManager("shop", data=str(self.data), actor="alice")
        self.bob = ReleaseManager("shop", data=str(self.data), actor="bob")

    def _up(self) -> psutil.Process:
        store = ["--store", self.store] if self.store is not None else []
        done = self.relman("up", "--detach", "--json", *store)
        check(done.returncode == 0, f"relman up did not start: {done.stderr.strip()}")
        return psutil.Process(json.loads(done.stdout)["pid"])

    def relman(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run the command line in the installation's folder."""
        command = [sys.executable, "-m", "release_management.cli", *words]
        return subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=False)

    def roles(self) -> list[dict[str, Any]]:
        """Return the health of the role processes that are well."""
        said: Any = json.loads(self.relman("health", "--json").stdout)
        found: list[dict[str, Any]] = said["error"].get("roles", []) if isinstance(said, dict) else said
        return [each for each in found if each["healthy"]]

    def kill_and_restart(self) -> None:
        """kill -9 relman itself, with which its parts die, but not what it deployed; then run `relman up` again."""
        self.process.kill()
        self.process.wait()
        self.process = self._up()

    def close(self) -> None:
        """Stop cleanly."""
        self.alice.close()
        self.bob.close()
        self.relman("down")

    def urls(self, environment: str) -> list[str]:
        """Return the URLs of the environment's components."""
        return [f"http://127.0.0.1:{self.ports[environment, component]}/" for component in COMPONENTS]

    def configure(self) -> None:
        """Configure environments, pipeline and strategies."""
        environments = {
            name: {"name": label, "targets": {"main": {"components": {c: self._settings(name, c) for c in COMPONENTS}}}}
            for name, label in (("staging", "Staging"), ("production", "Production"))
        }
        self.alice.configure_environments(environments)
        self.alice.setup_release_pipeline("main")
        brief: dict[str, Any] = {"scale_down_delay": 0, "abort_scale_down_delay": 0}
        self.alice.configure_deployment_strategy("recreate", {}, environment="staging")
        steps: list[dict[str, Any]] = []
        for weight in WEIGHTS[:-1]:
            steps += [{"set_weight": weight}, {"pause": {}}]
        self.alice.configure_deployment_strategy("canary", {"steps": steps, **brief}, environment="production")
        self.alice.configure_deployment_strategy("blue-green", brief, environment="production")

    def _settings(self, environment: str, component: str) -> dict[str, Any]:
        command = ["{python}", "-m", "release_management.sample", "--port", "{port}", "--version", "{version}"]
        journal = ["--component", "{component}", "--journal", str(self.journal)]
        return {"command": command + journal, "port": self.ports[environment, component], "health": "/health"}

    def to_staging(self, version: str) -> None:
        """Let Alice create the release and bring it to staging."""
        release = self.alice.create_release(version, list(COMPONENTS), changelog=[f"What is new in {version}"])
        self.arrived(self.alice.deploy(release, "staging"))

    def to_production(self, version: str, strategy: str) -> Deployment:
        """Let Alice deploy to production and Bob approve; return the deployment when it has ended or waits."""
        deployment = self.alice.deploy(version, "production", strategy=strategy)
        self.bob.approve(deployment)
        return self.alice.wait(deployment, 60)

    def arrived(self, deployment: Deployment) -> Deployment:
        """Wait until a deployment has succeeded."""
        ended = self.alice.wait(deployment, 60)
        check(ended.succeeded, f"{ended.release} → {ended.environment} ended {ended.phase}: {ended.reason}")
        return ended

    def starts(self, version: str) -> Counter[str]:
        """Return how many processes of a version started, by component, as they have noted themselves."""
        words = [line.split() for line in self.journal.read_text().splitlines()]
        return Counter(word[1] for word in words if word[0] == "start" and word[2] == version)


def main(store: str) -> int:
    """Tell the story; return 0 only if all of it was observed."""
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="relman-demo-"))
    try:
        with database(store) as url, contextlib.closing(Installation(folder, url)) as installation:
            tell(installation, folder)
        check(not (left := left_behind(folder)), f"a clean stop left processes behind: {left}")
    except (NotObserved, Refused, NotReachableError, TimeoutError, OSError, subprocess.SubprocessError) as error:
        say(f"✗ NOT OBSERVED: {error}")
        say(f"  what was logged is in {folder}")
        return 1
    except Exception as error:  # a fault of the demo's own: nothing after it was observed either
        (folder / "traceback.txt").write_text(traceback.format_exc())
        say(f"✗ NOT OBSERVED: {type(error).__name__}: {error}")
        say(f"  what was logged is in {folder}; where it happened, in traceback.txt there")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    say("Yours: relman init && relman up --detach && relman deploy shop@1.0.0 staging")
    say(f"({time.monotonic() - begun:.0f} s)")
    return 0


@contextlib.contextmanager
def database(store: str) -> Iterator[str | None]:
    """Yield the store: the URL of a new database on a server of our own, or None for files."""
    if store == "sqlite":
        yield None
        return
    from tests.servers.postgres import PostgresServer

    with PostgresServer() as server:
        yield server.new_database()


def tell(installation: Installation, folder: Path) -> None:
    """The story."""
    installation.configure()
    installation.to_staging("0.9.0")
    check(installation.to_production("0.9.0", "blue-green").succeeded, "0.9.0 did not reach production")
    with Traffic(RATE, installation.urls("production")) as traffic:
        traffic.window(RATE // 2)
        promote(installation, traffic)
        canary(installation, traffic)
        abort(installation, traffic)
        survive_kill(installation, traffic)
    crash(installation)
    show(installation)
    prove(installation, folder)


def promote(installation: Installation, traffic: Traffic) -> None:
    """Bring 1.0.0 through staging to production, while production serves."""
    before = traffic.total()
    installation.to_staging("1.0.0")
    check(installation.to_production("1.0.0", "blue-green").succeeded, "1.0.0 did not reach production")
    after = traffic.window(PER_WEIGHT)
    check(share(after, "1.0.0") == 100.0, f"after the switch other versions still served: {dict(after)}")
    served = traffic.total()
    served.subtract(before)
    check(served["failed"] == 0, f"{served['failed']} requests failed while 1.0.0 was deployed")
    say(f"✔ 1.0.0 staging → production   blue-green    {sum(served.values()):,} requests, 0 failed")


def canary(installation: Installation, traffic: Traffic) -> None:
    """Bring 1.1.0 by canary, after Alice tried to approve it herself."""
    alice, bob = installation.alice, installation.bob
    installation.to_staging("1.1.0")
    deployment = alice.deploy("1.1.0", "production", strategy="canary")
    check(deployment.phase == "AwaitingApproval", f"1.1.0 is {deployment.phase} and should await approval")
    try:
        alice.approve(deployment)
        raise NotObserved("alice, the author, could approve her own release")
    except Refused:
        pass
    check(bob.approve(deployment).phase == "Granted", "bob's approval was not granted")
    say("✔ approval   bob granted; alice, the author, was refused")
    observed = []
    for weight in WEIGHTS:
        deployment = alice.wait(deployment, 60)
        wanted = "Succeeded" if weight == 100 else "Paused"
        check(deployment.phase == wanted, f"1.1.0 is {deployment.phase} and should be {wanted} at {weight} %")
        traffic.window(RATE // 4)
        window = traffic.window(PER_WEIGHT)
        check(window["failed"] == 0, f"{window['failed']} requests failed at {weight} %")
        observed.append(share(window, "1.1.0"))
        check(abs(observed[-1] - weight) <= TOLERANCE, f"wanted {weight} % on 1.1.0 and saw {observed[-1]:.1f} %")
        if weight < 100:
            deployment = alice.promote(deployment)
    want, seen = " ".join(map(str, WEIGHTS)), " ".join(f"{value:.1f}" for value in observed)
    say(f"  1.1.0 canary   want {want}   seen {seen}")


def abort(installation: Installation, traffic: Traffic) -> None:
    """Bring 1.2.0 up to 25 %, and abort it."""
    alice = installation.alice
    installation.to_staging("1.2.0")
    deployment = installation.to_production("1.2.0", "canary")
    alice.promote(deployment)
    deployment = alice.wait(deployment, 60)
    check(deployment.weight == 25, f"1.2.0 stands at {deployment.weight} % and should at 25 %")
    check(share(traffic.window(RATE), "1.2.0") > 0, "1.2.0 served nothing at 25 %")
    asked = time.monotonic()
    deployment = alice.wait(alice.abort(deployment, reason="the demo says so"), 60)
    check(deployment.phase == "RolledBack", f"1.2.0 is {deployment.phase} and should be RolledBack")
    window = traffic.window(PER_WEIGHT)
    took = max(0.0, traffic.last_seen("1.2.0") - asked)
    check(took < 5, f"1.2.0 served for {took:.1f} s after the abort")
    tail = traffic.window(RATE)
    check(share(tail, "1.1.0") == 100.0, f"after the abort others than 1.1.0 served: {dict(tail)}")
    check(window["failed"] == 0, f"{window['failed']} requests failed during the abort")
    say(f"✗ 1.2.0 aborted at 25 % → all traffic on 1.1.0 in {took:.1f} s")


def survive_kill(installation: Installation, traffic: Traffic) -> None:
    """Bring 1.3.0 by canary; kill relman in the middle, and let it go on."""
    alice = installation.alice
    before = traffic.total()
    installation.to_staging("1.3.0")
    staged = installation.starts("1.3.0")
    deployment = alice.deploy("1.3.0", "production", strategy="canary")
    installation.bob.approve(deployment)
    deployment = alice.wait(deployment, 60)
    alice.promote(deployment)
    seen = alice.deployment(deployment)
    if installation.store is None:
        installation.kill_and_restart()
        step = sum(1 for one in (seen.plan.steps if seen.plan else ()) if one.get("status") == "done") + 1
        killed = f"at step {step} of {seen.total}"
    else:
        killed = f"of each of {kill_each(installation, alice, deployment)} role processes"
    while (deployment := alice.wait(deployment, 60)).phase == "Paused":
        alice.promote(deployment)
    check(deployment.succeeded, f"after the kill 1.3.0 ended {deployment.phase}: {deployment.reason}")
    tail = traffic.window(RATE)
    check(share(tail, "1.3.0") == 100.0, f"after the kill others than 1.3.0 served: {dict(tail)}")
    begun = installation.starts("1.3.0") - staged
    check(begun == Counter(COMPONENTS), f"the processes' journal shows {dict(begun)}, and should each once")
    lost = traffic.total()["failed"] - before["failed"]
    check(lost == 0, f"{lost} requests failed around the kill")
    say(f"⚡ kill -9 {killed} → resumed, each effect once")


def kill_each(installation: Installation, alice: ReleaseManager, deployment: Deployment) -> int:
    """kill -9 one role process after the other; promote a step of the canary in between, if one is left."""
    doomed = installation.roles()
    check(len(doomed) >= 8, f"{len(doomed)} role processes are well, and at least 8 should be")
    for each in doomed:
        psutil.Process(int(each["instance"].rpartition(":")[2])).kill()
        if alice.deployment(deployment).phase == "Paused":
            alice.promote(deployment)
        deadline = time.monotonic() + 60
        while len(installation.roles()) < len(doomed):
            check(time.monotonic() < deadline, f"{each['role']} was killed, and is not well again after 60 s")
    return len(doomed)


def show(installation: Installation) -> None:
    """Show the audit trail's end, and what runs where."""
    say("")
    say(str(installation.alice.history(limit=12)))
    say("")
    say(rendered(running_table(slot for e in installation.alice.environments() for slot in e.running)))
    say("")


def prove(installation: Installation, folder: Path) -> None:
    """Check that an export, replayed in a second process, gives the rows of the installation."""
    export = folder / "export.jsonl"
    done = installation.relman("audit", "export", "--output", str(export))
    check(done.returncode == 0, f"the export failed: {done.stderr.strip()}")
    count = export.read_bytes().count(b"\n")
    store = ReadStore(installation.store or installation.data / "read.db")
    here = json.loads(json.dumps(replay.rows(store, count)))
    store.close()
    replayed = subprocess.run(
        [sys.executable, "-m", "demo.replay", str(export)], check=True, capture_output=True, text=True
    )
    there = json.loads(replayed.stdout)
    for name, rows in here.items():
        check(bool(rows) and rows == there[name], f"the replay gives other rows in {name}")
    check(count == len(here["trail"]), f"{count} records were exported and {len(here['trail'])} stand in the trail")
    say(f"✔ {count:,} records replayed in a second process: same rows")


def left_behind(folder: Path) -> list[str]:
    """Return the processes that have the folder in their command line, three seconds after the stop."""
    deadline = time.monotonic() + 3
    while True:
        lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
        left = [line[:120] for line in lines if str(folder) in line]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="demo", description="Tell the story, and observe it.")
    arguments.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite", help="where everything is kept")
    sys.exit(main(arguments.parse_args().store))
