"""Nothing that is declared in the domain can be forgotten in its list: the program does not start then."""

import importlib
import sys
from pathlib import Path

import pytest

from release_management.kernel.gathering import NotListedError
from release_management.runtime import gateway_host
from release_management.runtime.data_directory import DataDirectory
from release_management.services.completeness import check_declarations

FORGOTTEN = {
    "FlagRaised": (
        "from release_management.kernel.types import Fact\nclass FlagRaised(Fact):\n    NAME = 'flag.raised'\n",
        "the union of its aggregate's events",
    ),
    "RaiseFlag": (
        "from release_management.kernel.types import Command\nclass RaiseFlag(Command):\n    NAME = 'flag.raise'\n",
        "`HANDLERS`",
    ),
    "name='flag'": (
        "from release_management.kernel.aggregate import Aggregate, itself\n"
        "FLAG = Aggregate('flag', None, int, lambda state, event: state, itself)\n",
        "`_ALL`",
    ),
    "Soak": (
        "from typing import Literal\n"
        "from release_management.domain.plan.step import Step\n"
        "class Soak(Step):\n    verb: Literal['soak'] = 'soak'\n",
        "`AnyStep`",
    ),
    "SoakSlot": (
        "from typing import Literal\n"
        "from release_management.domain.plan.step import StepAction\n"
        "class SoakSlot(StepAction):\n    verb: Literal['soak'] = 'soak'\n",
        "`Action`",
    ),
    "Shadow": (
        "from release_management.domain.plan.strategy import Strategy\nclass Shadow(Strategy):\n    NAME = 'shadow'\n",
        "`_DECLARED`",
    ),
}


def test_everything_that_is_declared_is_listed() -> None:
    check_declarations()


@pytest.mark.parametrize("name", FORGOTTEN)
def test_what_is_declared_and_in_no_list_keeps_the_program_from_starting(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, place = FORGOTTEN[name]
    package = tmp_path / "forgetful"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "flag.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    try:
        with pytest.raises(NotListedError) as refused:
            check_declarations("forgetful")
    finally:
        for module in ("forgetful", "forgetful.flag"):
            sys.modules.pop(module, None)

    assert name in str(refused.value)
    assert place in str(refused.value)


def test_the_gateway_does_not_start_where_something_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise NotListedError("FlagRaised: declared, and in no list")

    monkeypatch.setattr(gateway_host, "check_declarations", refuse)

    with pytest.raises(NotListedError, match="FlagRaised"):
        gateway_host.GatewayHost(DataDirectory(tmp_path))
