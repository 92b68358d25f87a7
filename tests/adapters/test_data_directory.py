"""An installation's folder."""

from pathlib import Path

import pytest

from release_management.adapters.event_store import (
    LostLogError,
    StoreUnavailableError,
)
from release_management.domain.registry import Registry
from release_management.runtime.data_directory import DataDirectory, OtherStoreError
from tests.servers.postgres import Databases


def test_a_new_folder_gets_a_log(tmp_path: Path) -> None:
    home = DataDirectory(tmp_path)
    home.open_log(Registry()).close()
    home.open_keyring().close()
    home.open_log(Registry()).close()


@pytest.mark.parametrize("how", ["removed", "emptied"])
def test_a_lost_log_is_not_replaced_in_silence(tmp_path: Path, how: str) -> None:
    home = DataDirectory(tmp_path)
    home.open_log(Registry()).close()
    home.open_keyring().close()
    for path in tmp_path.glob("log.db*"):
        path.unlink()
    if how == "emptied":
        (tmp_path / "log.db").touch()

    with pytest.raises(LostLogError, match="put the log back"):
        home.open_log(Registry())


def test_a_folder_remembers_the_store_that_it_was_begun_with(tmp_path: Path, postgres_server: Databases) -> None:
    store = postgres_server.new_database()
    DataDirectory.at(tmp_path, store).open_log(Registry()).close()

    assert DataDirectory.at(tmp_path).store == store
    assert (tmp_path / "store.url").stat().st_mode & 0o777 == 0o600
    with pytest.raises(OtherStoreError, match="was begun with the store"):
        DataDirectory.at(tmp_path, "postgresql://relman@127.0.0.1:1/other")


def test_a_store_that_does_not_open_is_not_remembered(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError):
        DataDirectory.at(tmp_path, "postgresql://relman@127.0.0.1:1/typo").open_log(Registry())

    assert DataDirectory.at(tmp_path).store is None


def test_a_folder_that_was_begun_on_files_stays_on_files(tmp_path: Path) -> None:
    DataDirectory(tmp_path).open_log(Registry()).close()

    with pytest.raises(OtherStoreError, match=r"keeps its events in log\.db"):
        DataDirectory.at(tmp_path, "postgresql://relman@127.0.0.1:1/other")


@pytest.mark.parametrize(
    ("noted", "named", "same"),
    [
        ("postgresql://u:p@h1:5432,h2:5433/db", "postgresql://other@h1:5432,h2:5433/db", True),
        ("postgresql://u:p@h1,h2/db", "postgresql://u:p@h1,h3/db", False),
        ("postgresql://h/db", "postgresql://h:5432/db", True),
        ("postgresql:///db?host=/run/a", "postgresql:///db?host=/run/b", False),
        ("postgresql://h/db", "postgresql://h/other", False),
    ],
)
def test_a_folder_recognises_the_store_that_it_was_created_with(
    noted: str, named: str, same: bool, tmp_path: Path
) -> None:
    (tmp_path / "store.url").write_text(noted)

    if same:
        assert DataDirectory.at(tmp_path, named).store == named
    else:
        with pytest.raises(OtherStoreError, match="was begun with the store"):
            DataDirectory.at(tmp_path, named)


def test_a_store_that_is_no_url_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "store.url").write_text("postgresql://h/db")

    with pytest.raises(OtherStoreError, match="write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"):
        DataDirectory.at(tmp_path, "postgresql://h/db?nonsense=1")
