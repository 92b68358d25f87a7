"""Tell the story; it ends if something was not observed."""


class NotObserved(Exception):
    """A part of the story did not happen as it should."""


def check(observed: bool, claim: str) -> None:
    """Raise `NotObserved` unless the claim was observed."""
    if not observed:
        raise NotObserved(claim)


def say(line: str) -> None:
    """Print a line of the story."""
    print(line, flush=True)
