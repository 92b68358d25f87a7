"""Identify a message's sender: on our side of the bus a named client has subjects of its own, which it cannot write.

It publishes on `relman.ask.query.x`, as every client does. Its account maps that to `relman.from.<name>.ask.query.x`,
and a message to `relman.to.<name>.<subject>` arrives there as `<subject>`, whatever that is, and nowhere else.
"""

ASK = "relman.ask."
ANYBODY = "*"
_OURS = "relman."
_FROM = "relman.from."
_TO = "relman.to."


def sent_by(subject: str) -> tuple[str, str]:
    """Return the sending client's name, and the subject as it wrote it; no name for the user that clients share."""
    if not subject.startswith(_FROM):
        return "", subject
    name, _, rest = subject.removeprefix(_FROM).partition(".")
    return name, f"{_OURS}{rest}"


def as_sent_by(name: str, subject: str) -> str:
    """Return the subject on our side of a message that the client of this name sends to `subject`."""
    return f"{_FROM}{name}.{subject.removeprefix(_OURS)}" if name else subject


def from_everybody(subject: str) -> tuple[str, ...]:
    """Return the subjects to subscribe to in order to hear every client that sends to `subject`."""
    return subject, as_sent_by(ANYBODY, subject)


def only_to(name: str, subject: str) -> str:
    """Return the subject on our side on which only the client of this name receives a message for `subject`."""
    return f"{_TO}{name}.{subject}" if name else subject
