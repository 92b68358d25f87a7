"""Read the address of a folder's bus, as its server has written it down."""

import json
from pathlib import Path
from urllib.parse import urlsplit

USERS_FILE = "users.json"


def read_url(folder: Path) -> str | None:
    """Return the URL for clients that the server of this folder wrote last; None if there is no valid one."""
    try:
        url = (folder / "nats.url").read_text().strip()
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
        return None
    return url if _is_url(url) else None


def credentials(folder: Path, user: str) -> str | None:
    """Return the URL of one of the users of this folder's server, such as `gateway`; None if there is none."""
    return read_urls(folder).get(user)


def read_urls(folder: Path) -> dict[str, str]:
    """Return the URL of every user that the server of this folder had last; invalid ones are left out."""
    try:
        noted = json.loads((folder / "nats" / USERS_FILE).read_bytes())
    except (FileNotFoundError, IsADirectoryError, ValueError, RecursionError):
        return {}
    if not isinstance(noted, dict):
        return {}
    return {user: url for user, url in noted.items() if isinstance(url, str) and _is_url(url)}


def _is_url(text: str) -> bool:
    try:
        return text.isprintable() and urlsplit(text.split(",")[0]).port is not None
    except ValueError:
        return False
