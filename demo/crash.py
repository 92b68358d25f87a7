"""A part of the story: a component that crashes after a success is shown as down, and as well once it stays up."""

import json
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import psutil

from demo.telling import NotObserved, check, say

if TYPE_CHECKING:
    from demo.story import Installation

SEEN_SECONDS = 5.0
BACK_SECONDS = 60.0
MOST_KILLS = 4
"""A crash is shown for at least 5 seconds, the next ones for 10 and 20, so one of these `env show` sees it."""
LOOK_SECONDS = 0.1


def crash(installation: "Installation") -> None:
    """Kill the process that serves web after the success, and again when it is back, as in a crash loop."""
    before = len(changes(installation))
    took = kill_web(installation)
    kills = 1
    while (shown := env_show(installation)).returncode == 0 and kills < MOST_KILLS:
        kill_web(installation)
        kills += 1
    check(shown.returncode == 1 and "web is down" in shown.stdout, f"env show does not say it: {shown.stdout}")
    kill_web(installation)
    kills += 1
    await_condition(installation, "well", BACK_SECONDS)
    check(env_show(installation).returncode == 0, "env show does not say that all is well again")
    told = changes(installation)[before:]
    check(told[:2] == ["down", "well"] and len(told) <= 2 * kills, f"the log tells {told} of {kills} kills")
    say(f"⚡ kill -9 of web after its success → shown as down in {took:.1f} s; {kills} kills, then shown as well again")


def kill_web(installation: "Installation") -> float:
    """kill -9 the process that serves web, as soon as one does; return the seconds until it is shown as down."""
    deadline = time.monotonic() + BACK_SECONDS
    while (pid := serving(installation)) is None:
        check(time.monotonic() < deadline, f"web did not answer within {BACK_SECONDS:g} s")
        time.sleep(LOOK_SECONDS)
    try:
        psutil.Process(pid).kill()
    except psutil.Error as error:
        raise NotObserved(f"the process {pid} that answered for web cannot be killed: {error}") from error
    killed = time.monotonic()
    await_condition(installation, "down", SEEN_SECONDS)
    return time.monotonic() - killed


def await_condition(installation: "Installation", wanted: str, seconds: float) -> None:
    """Wait until web is shown in this condition."""
    deadline = time.monotonic() + seconds
    while (shown := condition(installation)) != wanted:
        check(time.monotonic() < deadline, f"web is shown as {shown} and not as {wanted} after {seconds:g} s")
        time.sleep(LOOK_SECONDS)


def condition(installation: "Installation") -> str | None:
    """Return the shown condition of production's web, or None."""
    found = installation.alice.environment("production").conditions
    return next((each.condition for each in found if each.component == "web"), None)


def env_show(installation: "Installation") -> "subprocess.CompletedProcess[str]":
    """Return the output of `env show production`."""
    return installation.relman("env", "show", "production")


def changes(installation: "Installation") -> list[str]:
    """Return the conditions of production's web in the log, oldest first."""
    words = ["--type", "place.condition_changed", "--environment", "production", "--limit", "1000", "--json"]
    done = installation.relman("audit", "log", *words)
    check(done.returncode == 0, f"the log cannot be read: {done.stderr.strip()}")
    rows = json.loads(done.stdout)
    told = [row["summary"].split() for row in sorted(rows, key=lambda row: int(row["position"]))]
    return [words[3].rstrip(":") for words in told if words[0] == "web"]


def serving(installation: "Installation") -> int | None:
    """Return the pid that answers for production's web, or None."""
    try:
        answer = httpx.get(installation.urls("production")[0], timeout=1, trust_env=False).json()
        return int(answer["pid"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
