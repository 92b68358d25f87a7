"""A test that did not run may not look like one that passed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PASSES = {"test_passes.py": "def test_passes(): pass\n"}
DID_NOT_RUN = {
    "test_skip_by_mark.py": "import pytest\n@pytest.mark.skip(reason='later')\ndef test_odd(): pass\n",
    "test_skip_inside.py": "import pytest\ndef test_odd(): pytest.skip('later')\n",
    "test_skip_module.py": "import pytest\npytest.importorskip('no_such_module')\ndef test_odd(): pass\n",
    "test_xfail.py": "import pytest\n@pytest.mark.xfail\ndef test_odd(): assert False\n",
    "test_xpass.py": "import pytest\n@pytest.mark.xfail(strict=False)\ndef test_odd(): pass\n",
}


def run_suite(folder: Path, files: dict[str, str], **switch: str) -> subprocess.CompletedProcess[str]:
    """Run these files as a suite of their own, with the hooks of our conftest."""
    for name, text in files.items():
        (folder / name).write_text(text)
    inherited = {key: value for key, value in os.environ.items() if key not in ("CI", "RELMAN_NO_SKIP")}
    paths = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--rootdir", str(folder)],
        cwd=folder,
        env=inherited | paths | switch,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("switch", ["CI", "RELMAN_NO_SKIP"])
def test_tests_that_did_not_run_fail_the_run_and_are_named(tmp_path: Path, switch: str) -> None:
    run = run_suite(tmp_path, PASSES | DID_NOT_RUN, **{switch: "1"})

    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    _, _, named = run.stdout.partition("count as failures here")
    assert [name for name in DID_NOT_RUN if name not in named] == []
    assert "test_passes.py" not in named


def test_without_the_switch_they_are_left_alone(tmp_path: Path) -> None:
    assert run_suite(tmp_path, PASSES | DID_NOT_RUN).returncode == pytest.ExitCode.OK


def test_a_run_in_which_everything_ran_passes(tmp_path: Path) -> None:
    assert run_suite(tmp_path, PASSES, RELMAN_NO_SKIP="1").returncode == pytest.ExitCode.OK
