"""The URLs that a server has written down, and damaged files of them."""

from pathlib import Path

import pytest

from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.wire.urls import (
    credentials,
    read_url,
    read_urls,
)

NONE = (b"", b"0", b"null", b"[]", b'"nats.url"', b"{", b"[" * 100_000, b"\xff\xfe", b"\x00" * 100, b'{"client": 1}')
"""Files that are no `users.json`."""


@pytest.mark.parametrize("content", NONE, ids=range(len(NONE)))
def test_a_malformed_file_of_urls_names_no_user(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "users.json").write_bytes(content)
    (tmp_path / "nats.url").write_bytes(content)

    assert read_urls(tmp_path) == {}
    assert credentials(tmp_path, "client") is None
    assert read_url(tmp_path) is None


def test_of_a_list_that_is_damaged_in_part_the_other_part_counts(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "users.json").write_text(
        '{"client": "nats://client:a@h:1", "x": "nats://h:99999999", "y": []}'
    )

    assert read_urls(tmp_path) == {"client": "nats://client:a@h:1"}


def test_a_server_starts_on_damaged_notes_and_writes_them_anew(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "users.json").write_text("0")
    (tmp_path / "nats.url").write_text("nats://somewhere:99999999\n")
    with NatsServer(tmp_path) as server:
        assert read_url(tmp_path) == server.url
        assert read_urls(tmp_path) == server.urls
