"""Who sent a message: on our side of the bus, a client with a name has subjects of his own, which he cannot write.

He publishes on `relman.ask.query.x`, as everybody does. His account leads that to `relman.from.<name>.ask.query.x`, and
what is sent to `relman.to.<name>.<subject>` comes out there as `<subject>`, whatever that is, and nowhere else.
"""

ASK = "relman.ask."
ANYBODY = "*"
_OURS = "relman."
_FROM = "relman.from."
_TO = "relman.to."


def sent_by(subject: str) -> tuple[str, str]:
    """The name of the client who sent it, and the subject as he wrote it; no name for the user that clients share."""
    if not subject.startswith(_FROM):
        return "", subject
    name, _, rest = subject.removeprefix(_FROM).partition(".")
    return name, f"{_OURS}{rest}"


def as_sent_by(name: str, subject: str) -> str:
    """Where a message comes to us that the client of this name sends to `subject`."""
    return f"{_FROM}{name}.{subject.removeprefix(_OURS)}" if name else subject


def from_everybody(subject: str) -> tuple[str, ...]:
    """All that must be listened to in order to hear every client who sends to `subject`."""
    return subject, as_sent_by(ANYBODY, subject)


def only_to(name: str, subject: str) -> str:
    """Where to send what the client of this name, and nobody else, hears on `subject`."""
    return f"{_TO}{name}.{subject}" if name else subject
