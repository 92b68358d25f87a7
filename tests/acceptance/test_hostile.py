"""A short form of `make chaos ARGS=hostile`: one client does its worst, and an honest one beside it does not notice.

What the judge says of wrong doings is in `test_hostile_judge.py`.
"""

from pathlib import Path

import pytest

from chaos.hostile.acts import ACTS
from chaos.hostile.attacker import Order
from chaos.hostile.judge import Limits
from chaos.hostile.mail import KINDS
from chaos.hostile.run import Run

MESSAGES = 800
ON_A_BUSY_MACHINE = Limits(answer=10.0, deployment=120.0, silence=60.0)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_an_honest_client_does_not_notice_one_that_does_its_worst(tmp_path: Path) -> None:
    run = Run(tmp_path / "attacked", None, calm=1.0, limits=ON_A_BUSY_MACHINE)
    result = run.brief(Order("", seed=9, last=MESSAGES))

    assert not result.faults, "\n".join(result.faults)
    assert result.sent.messages == MESSAGES
    assert set(result.sent.by_kind) == set(KINDS)
    assert set(result.sent.acts) == set(ACTS)
    assert [phase.name for phase in result.phases] == ["calm", "under fire", "after a restart"]
