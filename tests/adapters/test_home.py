"""An installation's folder."""

from pathlib import Path

import pytest

from release_management.adapters.event_store import LostLogError
from release_management.adapters.home import Home
from release_management.domain.registry import Registry


def test_a_new_folder_gets_a_log(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.open_log(Registry()).close()
    home.open_keyring().close()
    home.open_log(Registry()).close()


@pytest.mark.parametrize("how", ["removed", "emptied"])
def test_a_lost_log_is_not_replaced_in_silence(tmp_path: Path, how: str) -> None:
    home = Home(tmp_path)
    home.open_log(Registry()).close()
    home.open_keyring().close()
    for path in tmp_path.glob("log.db*"):
        path.unlink()
    if how == "emptied":
        (tmp_path / "log.db").touch()

    with pytest.raises(LostLogError, match="put the log back"):
        home.open_log(Registry())
