"""The log files of child processes."""

from pathlib import Path

from release_management.adapters.system.log_files import bound


def test_a_log_that_has_become_long_is_put_aside_and_written_on(tmp_path: Path) -> None:
    file = tmp_path / "road.log"
    with file.open("ab", buffering=0) as writer:
        writer.write(b"first\n" * 10)
        assert not bound(file, limit=1000)
        writer.write(b"x" * 1000)
        assert bound(file, limit=1000)
        writer.write(b"after\n")

    assert file.read_bytes() == b"after\n"
    assert (tmp_path / "road.log.1").read_bytes().startswith(b"first\n")


def test_only_one_is_kept_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "road.log"
    for number in range(3):
        file.write_bytes(str(number).encode() * 20)
        assert bound(file, limit=10)

    assert {each.name: each.read_bytes()[:1] for each in tmp_path.iterdir()} == {"road.log": b"", "road.log.1": b"2"}


def test_a_log_that_is_not_there_is_nobodys_trouble(tmp_path: Path) -> None:
    assert not bound(tmp_path / "road.log")
