"""The log inside somebody else's program."""

import pytest
import structlog

from release_management.runtime.program_log import log_errors


def decide(text: str) -> None:
    raise RuntimeError(f"a bug at {len(text)} letters")


def test_a_fault_is_told_without_the_values_of_variables(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    log_errors()
    log = structlog.get_logger()
    try:
        decide("Zaphod " * 3)
    except RuntimeError:
        log.exception("it failed")
    log.warning("nobody needs to know")

    told = capsys.readouterr().err
    assert "it failed" in told
    assert "RuntimeError: a bug at 21 letters" in told
    assert "test_logs_inside_a_program.py" in told
    assert "Zaphod Zaphod" not in told
    assert "nobody needs to know" not in told
