"""A short form of `make chaos`: kill -9 of roles, servers and everything makes no difference."""

from pathlib import Path

import pytest

from chaos.act import Act, Result


def flawless(result: Result, kills: int, folder: Path) -> None:
    assert result.faults == [], f"what was left is in {folder}"
    assert 0 < sum(result.kills.values()) <= kills
    assert result.ended.total() > 1


@pytest.mark.timeout(300)
def test_a_canary_survives_a_kill_after_every_record_on_sqlite(tmp_path: Path) -> None:
    act = Act("after every record", tmp_path / "act", 7, postgres=False, cluster=False)
    flawless(act.canary(8, lambda _: None), 8, tmp_path)


@pytest.mark.timeout(300)
def test_deployments_survive_kills_at_random_on_postgresql(tmp_path: Path) -> None:
    act = Act("at random", tmp_path / "act", 7, postgres=True, cluster=False)
    flawless(act.stream(6, lambda _: None), 6, tmp_path)
