"""Names and keys that can be forgotten."""

import base64
import re
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from release_management.adapters.keyring import (
    KeyringError,
    KeyringUnavailableError,
    SQLiteKeyring,
)
from release_management.adapters.keyring.cached import LOOK_SECONDS, CachedKeyring
from release_management.adapters.keyring.postgres import PostgresKeyring
from release_management.kernel.types import ActorId
from release_management.services.ports import Keyring, LogUnavailableError
from tests.servers.postgres import Databases, PostgresServer

ROOT = Path(__file__).parents[2]
ERASE = """
import sys
from tests.adapters.test_keyring import KEYRINGS
KEYRINGS[sys.argv[1]](sys.argv[2]).erase(sys.argv[3])
"""
KEYRINGS: dict[str, Callable[[str], CachedKeyring]] = {"sqlite": SQLiteKeyring, "postgres": PostgresKeyring}


@dataclass
class Kept:
    """The storage of names and keys, which may be opened many times."""

    backend: str
    where: str

    def open(self) -> CachedKeyring:
        return KEYRINGS[self.backend](self.where)

    def ask(self, statement: str) -> list[Any]:
        """Look at the tables, or change them, behind the keyring's back."""
        if self.backend == "postgres":
            with psycopg.connect(self.where, options="-c search_path=relman_private") as session:
                cursor = session.execute(statement.encode())
                return cursor.fetchall() if cursor.description else []
        connection = sqlite3.connect(self.where)
        with connection:
            rows = connection.execute(statement).fetchall()
        connection.close()
        return rows


@pytest.fixture(params=KEYRINGS)
def kept_anew(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Kept]]:
    """Another, empty place at every call."""
    backend = cast(str, request.param)
    places: list[Kept] = []

    def make() -> Kept:
        if backend == "postgres":
            where = cast(Databases, request.getfixturevalue("postgres_server")).new_database()
        else:
            where = str(tmp_path / f"private-{len(places)}.db")
        places.append(Kept(backend, where))
        return places[-1]

    yield make
    if backend == "postgres":
        for kept in places:
            cast(Databases, request.getfixturevalue("postgres_server")).give_back(kept.where)


@pytest.fixture
def kept(kept_anew: Callable[[], Kept]) -> Kept:
    return kept_anew()


@pytest.fixture
def keyring(kept: Kept) -> Iterator[CachedKeyring]:
    keyring = kept.open()
    yield keyring
    keyring.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "private.db"


def test_every_keyring_implements_the_port(keyring: CachedKeyring) -> None:
    port: Keyring = keyring
    assert port is keyring


# Names


def test_an_actor_has_one_opaque_id(keyring: CachedKeyring) -> None:
    actor = keyring.actor_id("ada@example.org")

    assert re.fullmatch(r"usr_[a-z2-7]{26}", actor)
    assert TypeAdapter(ActorId).validate_python(actor) == actor
    assert keyring.actor_id("ada@example.org") == actor
    assert keyring.actor_name(actor) == "ada@example.org"


def test_a_person_and_a_service_of_one_name_are_two_actors(keyring: CachedKeyring) -> None:
    service = keyring.actor_id("ci", "service")

    assert re.fullmatch(r"svc_[a-z2-7]{26}", service)
    assert keyring.actor_id("ci") != service


def test_a_system_actor_is_its_own_id(keyring: CachedKeyring) -> None:
    assert keyring.actor_id("system:orchestrator", "system") == "system:orchestrator"
    assert keyring.actor_name("system:orchestrator") == "system:orchestrator"


def test_kinds_and_system_names_that_there_are_not_are_refused(keyring: CachedKeyring) -> None:
    with pytest.raises(ValueError, match="'robot' is no kind of a named actor; 'r2' is a person or a service"):
        keyring.actor_id("r2", "robot")
    with pytest.raises(ValueError, match="'system:Root 1' is no system actor"):
        keyring.actor_id("system:Root 1")


def test_an_id_that_was_never_made_has_no_name(keyring: CachedKeyring) -> None:
    assert keyring.actor_name("usr_unknown1") is None


def test_threads_that_see_an_actor_first_at_the_same_time_get_one_id(keyring: CachedKeyring) -> None:
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.append(keyring.actor_id("ada"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids) == 8
    assert len(set(ids)) == 1


@pytest.mark.parametrize("what", ["an id", "a key"])
def test_ids_and_keys_are_kept_together_or_not_at_all(kept: Kept, keyring: CachedKeyring, what: str) -> None:
    other = kept.open()
    fresh: dict[str, bytes] = {}
    sealed = keyring.seal("usr_ada00000", "a secret", fresh)
    ids = {("ada", "person"): keyring.new_actor("person"), ("ci", "service"): keyring.new_actor("service")}
    there = {("ci", "service"): "svc_another0"} if what == "an id" else {}
    assert other.keep(there, {"usr_ada00000": 32 * b"k"} if what == "a key" else {})

    assert not keyring.keep(ids, fresh)

    assert keyring.find_actor("ada", "person") is None
    assert keyring.find_actor("ci", "service") == there.get(("ci", "service"))
    assert keyring.open("usr_ada00000", sealed) is None
    other.close()


def test_kept_ids_and_keys_are_visible_to_every_process(kept: Kept, keyring: CachedKeyring) -> None:
    fresh: dict[str, bytes] = {}
    id = keyring.new_actor("person")
    sealed = [keyring.seal(id, text, fresh) for text in ("one", "two")]
    assert len(fresh) == 1
    assert keyring.open(id, sealed[0]) is None, "its key is nowhere yet"

    assert keyring.keep({("ada", "person"): id}, fresh)

    other = kept.open()
    for each in (keyring, other):
        assert each.find_actor("ada", "person") == each.actor_id("ada") == id
        assert [each.open(id, text) for text in sealed] == ["one", "two"]
    other.close()


# Sealed texts


@pytest.mark.hypothesis
def test_every_text_is_opened_as_it_was_sealed(keyring: CachedKeyring) -> None:
    @given(text=st.text())
    def opens(text: str) -> None:
        sealed = keyring.seal("usr_ada00000", text)
        assert re.fullmatch(r"s1\.[A-Za-z0-9_-]+", sealed)
        assert keyring.open("usr_ada00000", sealed) == text

    opens()


def test_a_sealed_text_shows_nothing_and_is_never_the_same(keyring: CachedKeyring) -> None:
    sealed = [keyring.seal("usr_ada00000", "a secret") for _ in range(2)]

    assert sealed[0] != sealed[1]
    assert b"secret" not in base64.urlsafe_b64decode(sealed[0].removeprefix("s1.") + "==")


def test_a_text_opens_for_its_own_subject_only(keyring: CachedKeyring, kept: Kept) -> None:
    sealed = keyring.seal("usr_ada00000", "a secret")
    keyring.seal("usr_eve00000", "another")
    kept.ask("UPDATE keys SET key = (SELECT key FROM keys WHERE subject = 'usr_ada00000')")

    assert keyring.open("usr_ada00000", sealed) == "a secret"
    again = kept.open()
    assert again.open("usr_eve00000", sealed) is None
    again.close()


@pytest.mark.parametrize("text", ["", "plain", "s1.", "s1.AAAA", "s1.ü", "s2." + "A" * 60])
def test_a_text_that_was_never_sealed_is_refused(keyring: CachedKeyring, text: str) -> None:
    with pytest.raises(ValueError, match="is no sealed text"):
        keyring.open("usr_ada00000", text)


# Erasing


def test_erasing_destroys_the_key_and_forgets_the_name(keyring: CachedKeyring) -> None:
    actor = keyring.actor_id("ada@example.org")
    sealed = keyring.seal(actor, "a secret")
    kept = keyring.seal("usr_eve00000", "kept")

    keyring.erase(actor)

    assert keyring.open(actor, sealed) is None
    assert keyring.actor_name(actor) is None
    assert keyring.actor_id("ada@example.org") != actor
    assert keyring.open("usr_eve00000", kept) == "kept"


def test_erased_data_is_nowhere_in_the_files(path: Path) -> None:
    keyring = SQLiteKeyring(path)
    actor = keyring.actor_id("ada@example.org")
    keyring.seal(actor, "a secret")
    ((key,),) = Kept("sqlite", str(path)).ask("SELECT key FROM keys")
    assert key in path.read_bytes()

    keyring.erase(actor)

    left = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert key not in left
    assert b"ada@example.org" not in left
    keyring.close()


def test_the_tables_are_other_files_after_erasing(postgres_server: Databases) -> None:
    kept = Kept("postgres", postgres_server.new_database())
    files = "SELECT pg_relation_filepath('relman_private.keys'), pg_relation_filepath('relman_private.actors')"
    keyring = kept.open()
    ((keys, actors),) = kept.ask(files)

    keyring.erase(keyring.actor_id("ada@example.org"))

    ((new_keys, new_actors),) = kept.ask(files)
    assert new_keys != keys
    assert new_actors != actors
    keyring.close()
    postgres_server.give_back(kept.where)


def test_erasing_counts_also_while_somebody_reads_the_tables(
    postgres_server: Databases, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Kept("postgres", postgres_server.new_database())
    keyring = kept.open()
    actor = keyring.actor_id("ada@example.org")
    sealed = keyring.seal(actor, "a secret")

    with psycopg.connect(kept.where) as reading:
        reading.execute("SELECT FROM relman_private.keys")
        keyring.erase(actor)

    assert keyring.open(actor, sealed) is None
    assert keyring.actor_name(actor) is None
    assert "the old bytes stay" in "".join(capsys.readouterr())
    keyring.close()
    postgres_server.give_back(kept.where)


def test_sealing_after_erasing_makes_a_new_key_which_old_texts_do_not_open_with(keyring: CachedKeyring) -> None:
    old = keyring.seal("usr_ada00000", "old")
    keyring.erase("usr_ada00000")

    new = keyring.seal("usr_ada00000", "new")

    assert keyring.open("usr_ada00000", new) == "new"
    assert keyring.open("usr_ada00000", old) is None


def test_data_erased_by_another_process_is_not_used_from_a_cache(keyring: CachedKeyring, kept: Kept) -> None:
    actor = keyring.actor_id("ada")
    sealed = keyring.seal(actor, "a secret")
    assert keyring.actor_name(actor) == "ada"

    subprocess.run([sys.executable, "-c", ERASE, kept.backend, kept.where, actor], cwd=ROOT, check=True)
    time.sleep(LOOK_SECONDS)

    assert keyring.open(actor, sealed) is None
    assert keyring.actor_name(actor) is None
    assert keyring.actor_id("ada") != actor


def test_reading_meanwhile_does_not_let_an_erased_name_be_used_longer(keyring: CachedKeyring, kept: Kept) -> None:
    actor = keyring.actor_id("ada")
    sealed = keyring.seal(actor, "a secret")
    elsewhere = kept.open()
    keyring.actor_id("ada")

    elsewhere.erase(actor)
    begun = time.monotonic()
    while time.monotonic() < begun + LOOK_SECONDS:
        keyring.open(actor, sealed)
        time.sleep(0.02)

    assert keyring.actor_id("ada") != actor
    elsewhere.close()


# Where it is kept


def test_keys_names_and_the_secret_last(kept: Kept) -> None:
    first = kept.open()
    actor, sealed, fingerprint = first.actor_id("ada"), first.seal("usr_ada00000", "text"), first.fingerprint(b"1")
    first.close()

    again = kept.open()

    assert again.actor_id("ada") == actor
    assert again.open("usr_ada00000", sealed) == "text"
    assert again.fingerprint(b"1") == fingerprint
    again.close()


def test_threads_that_make_it_at_the_same_moment_share_one_secret(kept_anew: Callable[[], Kept]) -> None:
    for _ in range(5):
        kept = kept_anew()
        together = threading.Barrier(4)
        fingerprints: list[bytes] = []

        def make(kept: Kept, together: threading.Barrier, fingerprints: list[bytes]) -> None:
            together.wait()
            keyring = kept.open()
            fingerprints.append(keyring.fingerprint(b"content"))
            keyring.close()

        makers = [threading.Thread(target=make, args=(kept, together, fingerprints)) for _ in range(4)]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()

        assert len(fingerprints) == 4
        assert len(set(fingerprints)) == 1


def test_a_fingerprint_is_keyed(keyring: CachedKeyring, kept_anew: Callable[[], Kept]) -> None:
    other = kept_anew().open()

    assert len(keyring.fingerprint(b"content")) == 32
    assert keyring.fingerprint(b"content") != keyring.fingerprint(b"other")
    assert keyring.fingerprint(b"content") != other.fingerprint(b"content")
    other.close()


# The file


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


# The schema


def test_a_schema_of_another_program_is_left_alone(postgres_server: Databases) -> None:
    kept = Kept("postgres", postgres_server.new_database())
    kept.ask("CREATE SCHEMA relman_private CREATE TABLE relman_private.secret (word text)")

    with pytest.raises(KeyringError, match=r"the schema relman_private at .* is not a keyring of ours"):
        kept.open()

    assert kept.ask("SELECT word FROM secret") == []
    postgres_server.give_back(kept.where)


def test_a_server_that_is_away_is_said_to_be_and_found_again_when_it_is_back() -> None:
    with PostgresServer() as server:
        keyring = PostgresKeyring(server.new_database())
        actor = keyring.actor_id("ada")
        server.kill()

        with pytest.raises(KeyringUnavailableError, match="cannot be used now") as refusal:
            keyring.seal(actor, "a secret")
        assert isinstance(refusal.value, LogUnavailableError), "the services know what to do with that"

        server.start()
        assert keyring.open(actor, keyring.seal(actor, "a secret")) == "a secret"
        keyring.close()


def test_a_malformed_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(KeyringError, match="write postgresql://USER") as refusal:
        PostgresKeyring("postgresql://relman:pass word@host:port:5/x?y")
    assert "pass word" not in str(refusal.value)
