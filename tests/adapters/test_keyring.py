"""Names and keys that can be forgotten."""

import base64
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from release_management.adapters.keyring import KeyringError, SQLiteKeyring
from release_management.domain.words import ActorId
from release_management.services.ports import Keyring

ROOT = Path(__file__).parents[2]
ERASE = """
import sys
from release_management.adapters.keyring import SQLiteKeyring
SQLiteKeyring(sys.argv[1]).erase(sys.argv[2])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "private.db"


@pytest.fixture
def keyring(path: Path) -> Iterator[SQLiteKeyring]:
    keyring = SQLiteKeyring(path)
    yield keyring
    keyring.close()


def test_it_is_a_keyring(keyring: SQLiteKeyring) -> None:
    port: Keyring = keyring
    assert port is keyring


# Names


def test_an_actor_has_one_opaque_id(keyring: SQLiteKeyring) -> None:
    actor = keyring.actor_id("ada@example.org")

    assert re.fullmatch(r"usr_[a-z2-7]{26}", actor)
    assert TypeAdapter(ActorId).validate_python(actor) == actor
    assert keyring.actor_id("ada@example.org") == actor
    assert keyring.actor_name(actor) == "ada@example.org"


def test_a_person_and_a_service_of_one_name_are_two_actors(keyring: SQLiteKeyring) -> None:
    service = keyring.actor_id("ci", "service")

    assert re.fullmatch(r"svc_[a-z2-7]{26}", service)
    assert keyring.actor_id("ci") != service


def test_a_system_actor_is_its_own_id(keyring: SQLiteKeyring) -> None:
    assert keyring.actor_id("system:orchestrator", "system") == "system:orchestrator"
    assert keyring.actor_name("system:orchestrator") == "system:orchestrator"


def test_kinds_and_system_names_that_there_are_not_are_refused(keyring: SQLiteKeyring) -> None:
    with pytest.raises(ValueError, match="'robot' is no kind of a named actor; 'r2' is a person or a service"):
        keyring.actor_id("r2", "robot")
    with pytest.raises(ValueError, match="'system:Root 1' is no system actor"):
        keyring.actor_id("system:Root 1")


def test_an_id_that_was_never_made_has_no_name(keyring: SQLiteKeyring) -> None:
    assert keyring.actor_name("usr_unknown1") is None


def test_threads_that_see_an_actor_first_at_the_same_time_get_one_id(keyring: SQLiteKeyring) -> None:
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.append(keyring.actor_id("ada"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids) == 8
    assert len(set(ids)) == 1


# Sealed texts


def test_every_text_is_opened_as_it_was_sealed(tmp_path_factory: pytest.TempPathFactory) -> None:
    keyring = SQLiteKeyring(tmp_path_factory.mktemp("keyring") / "private.db")

    @given(text=st.text())
    def opens(text: str) -> None:
        sealed = keyring.seal("usr_ada00000", text)
        assert re.fullmatch(r"s1\.[A-Za-z0-9_-]+", sealed)
        assert keyring.open("usr_ada00000", sealed) == text

    opens()
    keyring.close()


def test_a_sealed_text_shows_nothing_and_is_never_the_same(keyring: SQLiteKeyring) -> None:
    sealed = [keyring.seal("usr_ada00000", "a secret") for _ in range(2)]

    assert sealed[0] != sealed[1]
    assert b"secret" not in base64.urlsafe_b64decode(sealed[0].removeprefix("s1.") + "==")


def test_a_text_opens_for_its_own_subject_only(keyring: SQLiteKeyring, path: Path) -> None:
    sealed = keyring.seal("usr_ada00000", "a secret")
    keyring.seal("usr_eve00000", "another")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE keys SET key = (SELECT key FROM keys WHERE subject = 'usr_ada00000')")
    connection.close()

    assert keyring.open("usr_ada00000", sealed) == "a secret"
    assert keyring.open("usr_eve00000", sealed) is None


@pytest.mark.parametrize("text", ["", "plain", "s1.", "s1.AAAA", "s1.ü", "s2." + "A" * 60])
def test_a_text_that_was_never_sealed_is_refused(keyring: SQLiteKeyring, text: str) -> None:
    with pytest.raises(ValueError, match="is no sealed text"):
        keyring.open("usr_ada00000", text)


# Erasing


def test_erasing_destroys_the_key_and_forgets_the_name(keyring: SQLiteKeyring, path: Path) -> None:
    actor = keyring.actor_id("ada@example.org")
    sealed = keyring.seal(actor, "a secret")
    kept = keyring.seal("usr_eve00000", "kept")

    keyring.erase(actor)

    assert keyring.open(actor, sealed) is None
    assert keyring.actor_name(actor) is None
    assert keyring.actor_id("ada@example.org") != actor
    assert keyring.open("usr_eve00000", kept) == "kept"


def test_what_was_erased_is_nowhere_in_the_files(keyring: SQLiteKeyring, path: Path) -> None:
    actor = keyring.actor_id("ada@example.org")
    keyring.seal(actor, "a secret")
    with sqlite3.connect(path) as connection:
        ((key,),) = connection.execute("SELECT key FROM keys").fetchall()
    connection.close()
    assert key in path.read_bytes()

    keyring.erase(actor)

    left = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert key not in left
    assert b"ada@example.org" not in left


def test_sealing_after_erasing_makes_a_new_key_which_old_texts_do_not_open_with(keyring: SQLiteKeyring) -> None:
    old = keyring.seal("usr_ada00000", "old")
    keyring.erase("usr_ada00000")

    new = keyring.seal("usr_ada00000", "new")

    assert keyring.open("usr_ada00000", new) == "new"
    assert keyring.open("usr_ada00000", old) is None


def test_what_another_process_erased_is_not_opened_from_a_cache(keyring: SQLiteKeyring, path: Path) -> None:
    actor = keyring.actor_id("ada")
    sealed = keyring.seal(actor, "a secret")

    subprocess.run([sys.executable, "-c", ERASE, str(path), actor], cwd=ROOT, check=True)

    assert keyring.open(actor, sealed) is None
    assert keyring.actor_id("ada") != actor


# The file


def test_keys_names_and_the_secret_last(path: Path) -> None:
    first = SQLiteKeyring(path)
    actor, sealed, fingerprint = first.actor_id("ada"), first.seal("usr_ada00000", "text"), first.fingerprint(b"1")
    first.close()

    again = SQLiteKeyring(path)

    assert again.actor_id("ada") == actor
    assert again.open("usr_ada00000", sealed) == "text"
    assert again.fingerprint(b"1") == fingerprint
    again.close()


def test_threads_that_make_the_file_at_the_same_moment_share_one_secret(tmp_path: Path) -> None:
    for number in range(10):
        together = threading.Barrier(4)
        fingerprints: list[bytes] = []

        def make(path: Path, together: threading.Barrier, fingerprints: list[bytes]) -> None:
            together.wait()
            keyring = SQLiteKeyring(path)
            fingerprints.append(keyring.fingerprint(b"content"))
            keyring.close()

        makers = [
            threading.Thread(target=make, args=(tmp_path / f"{number}.db", together, fingerprints)) for _ in range(4)
        ]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()

        assert len(fingerprints) == 4
        assert len(set(fingerprints)) == 1


def test_a_fingerprint_is_keyed(keyring: SQLiteKeyring, tmp_path: Path) -> None:
    other = SQLiteKeyring(tmp_path / "other.db")

    assert len(keyring.fingerprint(b"content")) == 32
    assert keyring.fingerprint(b"content") != keyring.fingerprint(b"other")
    assert keyring.fingerprint(b"content") != other.fingerprint(b"content")
    other.close()


def test_only_the_owner_may_read_the_file(path: Path) -> None:
    path.touch(mode=0o644)
    SQLiteKeyring(path).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_programs_file_is_left_alone(path: Path) -> None:
    path.write_text("notes " * 1000)
    before = path.stat()

    with pytest.raises(KeyringError, match=r"private\.db is not a keyring of ours"):
        SQLiteKeyring(path)

    assert path.read_text() == "notes " * 1000
    assert path.stat().st_mode == before.st_mode


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match=r"nowhere/private\.db cannot be used now"):
        SQLiteKeyring(tmp_path / "nowhere" / "private.db")
