"""A part of the story: what crashes after the success is seen to, and seen to be well again."""

import json
import time
from typing import TYPE_CHECKING

import httpx
import psutil

from demo.telling import check, say

if TYPE_CHECKING:
    from demo.story import Installation

SEEN_SECONDS = 5.0
MOST_KILLS = 4


def crash(installation: "Installation") -> None:
    """The process that serves web is killed after the success, and again when it is back, as in a crash loop."""
    before = len(changes(installation))
    took = killed_and_seen(installation)
    kills = 1
    while (done := installation.relman("env", "show", "production")).returncode == 0 and kills < MOST_KILLS:
        kills += serving(installation) is not None
        killed_and_seen(installation)
    check(done.returncode == 1 and "web is down" in done.stdout, f"env show does not say it: {done.stdout}")
    if serving(installation) is not None:
        killed_and_seen(installation)
        kills += 1
    deadline = time.monotonic() + 60
    while condition(installation) != "well":
        check(time.monotonic() < deadline, "web was not well again within 60 s")
        time.sleep(0.2)
    check(installation.relman("env", "show", "production").returncode == 0, "env show does not say that all is well")
    told = changes(installation)[before:]
    check(told[:2] == ["down", "well"] and len(told) <= 2 * kills, f"the log tells {told} of {kills} kills")
    say(f"⚡ kill -9 of web after the success → env show says down in {took:.1f} s; {kills} kills, then well again")


def killed_and_seen(installation: "Installation") -> float:
    """kill -9 of the process that serves web, if one does; after how many seconds it is said to be down."""
    pid = serving(installation)
    if pid is not None:
        psutil.Process(pid).kill()
    killed = time.monotonic()
    while condition(installation) != "down":
        late = time.monotonic() - killed >= SEEN_SECONDS
        check(not late, f"{SEEN_SECONDS:g} s after its process was killed web is {condition(installation)}")
    return time.monotonic() - killed


def condition(installation: "Installation") -> str:
    """How production's web is said to be."""
    found = installation.alice.environment("production").conditions
    return next(each.condition for each in found if each.component == "web")


def changes(installation: "Installation") -> list[str]:
    """The conditions of production's web that the log tells of, oldest first."""
    words = ["--type", "place.condition_changed", "--environment", "production", "--limit", "1000", "--json"]
    rows = json.loads(installation.relman("audit", "log", *words).stdout)
    told = [row["summary"].split() for row in sorted(rows, key=lambda row: int(row["position"]))]
    return [words[3].rstrip(":") for words in told if words[0] == "web"]


def serving(installation: "Installation") -> int | None:
    """The process that answers for production's web; None where none does."""
    try:
        answer = httpx.get(installation.urls("production")[0], timeout=1, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return None
    return int(answer["pid"])
