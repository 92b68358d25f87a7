"""Where the bus of a folder is, as its server has written it down."""

import json
from pathlib import Path

USERS_FILE = "users.json"


def read_url(folder: Path) -> str | None:
    """The URL for clients that the server of this folder wrote last; None where there was none."""
    try:
        return (folder / "nats.url").read_text().strip() or None
    except FileNotFoundError:
        return None


def credentials(folder: Path, user: str) -> str | None:
    """The URL of one of the users of this folder's server, such as `gateway`; None where there is none."""
    return read_urls(folder).get(user)


def read_urls(folder: Path) -> dict[str, str]:
    """The URL of every user that the server of this folder had last."""
    try:
        urls: dict[str, str] = json.loads((folder / "nats" / USERS_FILE).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return urls
