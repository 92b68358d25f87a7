"""Lists that are longer than any message, typed at a running installation: all of it comes, in one document."""

import asyncio
import uuid
from typing import Any

from nats.aio.client import Client

from tests.acceptance.bus import event, talk
from tests.acceptance.cli.conftest import Types
from tests.acceptance.installation import Installation, until

AT_ONCE = 50
LETTER = b"this is no command: " + b"x" * 200_000


def send(site: Installation, command: str, contents: list[dict[str, Any]]) -> None:
    """Have so many commands accepted, many of them at a time."""

    async def conversation(client: Client) -> None:
        room = asyncio.Semaphore(AT_ONCE)

        async def ask(content: dict[str, Any]) -> None:
            payload = event(command, content, str(uuid.uuid4()))
            async with room:
                reply = await client.request(f"relman.ask.command.{command}", payload, timeout=30)
            assert b'"status":"accepted"' in reply.data.replace(b" ", b""), reply.data

        await asyncio.gather(*map(ask, contents))

    talk(site, conversation, 60)


def test_forty_releases_with_eighty_long_changes_are_listed(running: Installation, relman: Types) -> None:
    changes = [f"{number:02d} " + "what has changed " * 50 for number in range(80)]
    versions = [f"1.{number}.0" for number in range(40)]
    release = {"application": "long", "components": [{"name": "web"}], "changelog": changes}
    send(running, "release.create", [{**release, "version": version} for version in versions])

    def listed() -> list[str]:
        answer = relman("release", "list", "--application", "long", "--json", "--data", running.url)
        assert answer.code == 0, answer.err
        return [row["version"] for row in answer.json]

    until(lambda: len(listed()) >= len(versions))  # the read models follow what another client was told
    assert sorted(listed()) == sorted(versions)
    assert relman("release", "list", "--application", "long", "--data", running.url).code == 0


def test_fifteen_hundred_environments_are_listed(running: Installation, relman: Types) -> None:
    names = [f"region-{number:04d}" for number in range(1_500)]
    send(running, "release.create", [{"application": "wide", "version": "1.0.0", "components": [{"name": "web"}]}])
    send(running, "environment.configure", [{"name": name} for name in names])

    def listed() -> list[str]:
        answer = relman("env", "list", "--json", "--data", running.url)
        assert answer.code == 0, answer.err
        return [row["name"] for row in answer.json]

    until(lambda: set(listed()) >= set(names))
    unknown = relman("deploy", "wide@1.0.0", "region-07l2", "--data", running.url)

    assert unknown.code == 1
    assert "environment 'region-07l2' does not exist; did you mean 'region-0" in unknown.err
    assert len(unknown.err) < 500


def test_eight_large_dead_letters_are_listed(running: Installation, relman: Types) -> None:
    async def publish(client: Client) -> None:
        for _ in range(8):
            await client.jetstream().publish("relman.commands.release.create", LETTER)

    talk(running, publish)

    def letters() -> list[dict[str, Any]]:
        answer = relman("dead-letters", "list", "--json", "--data", running.url)
        assert answer.code == 0, answer.err
        return list(answer.json)

    until(lambda: len(letters()) == 8, 20)
    assert {row["size"] for row in letters()} == {len(LETTER)}
