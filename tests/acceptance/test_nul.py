"""A NUL, which PostgreSQL keeps in no text, is refused wherever a client may write one, and nothing fails of it."""

import json
from typing import Any

from nats.aio.client import Client

from tests.acceptance.bus import event, talk
from tests.acceptance.roles import Roles

RELEASE = {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}]}
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "outcome's id": ("relman.ask.outcome", {"sender": "ci", "id": "a\0b"}),
    "outcome's sender": ("relman.ask.outcome", {"sender": "c\0i", "id": "a"}),
    "query's parameter": ("relman.ask.query.releases", {"params": {"application": "sh\0op"}}),
    "query's filter": ("relman.ask.query.deployments", {"params": {"environment": "\0"}}),
    "command's text": ("relman.ask.command.release.create", {**RELEASE, "changelog": ["a\0b"]}),
    "variable": ("relman.ask.command.environment.configure", {"name": "staging", "variables": {"A": "x\0y"}}),
    "variable's name": ("relman.ask.command.environment.configure", {"name": "staging", "variables": {"A\0": "x"}}),
}


def test_each_is_answered_with_what_is_wrong_and_the_next_one_as_ever(roles: Roles) -> None:
    roles.bus.start()
    for serving in [roles.begin("gateway"), roles.begin("projector")]:
        serving.await_ready()

    async def ask(client: Client) -> dict[str, dict[str, Any]]:
        replies = {}
        for number, (where, (subject, content)) in enumerate(ASKED.items()):
            _, is_command, command = subject.partition("relman.ask.command.")
            payload = event(command, content, f"nul-{number}") if is_command else json.dumps(content).encode()
            replies[where] = json.loads((await client.request(subject, payload, timeout=10)).data)
        payload = event("release.create", RELEASE, "well")
        replies["well"] = json.loads((await client.request("relman.ask.command.release.create", payload, 10)).data)
        return replies

    replies = talk(roles, ask)

    assert replies.pop("well")["status"] == "accepted"
    for where, reply in replies.items():
        assert reply.get("status") in (None, "refused", "not_understood"), (where, reply)
        assert reply.get("retry") is not True, (where, reply)
        sentence = str(reply.get("reason") or reply.get("error"))
        assert "NUL" in sentence or "control" in sentence, (where, reply)
    for log in roles.root.glob("*.log"):
        assert "Traceback" not in log.read_text()
