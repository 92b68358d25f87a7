"""SHA-256 of values: what a plan, a configuration or a release's contents are told apart by."""

import hashlib
import json


def digest_of(value: object) -> str:
    """SHA-256, in hexadecimal, of the value's canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
