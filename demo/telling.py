"""How the story is told: what was not observed ends it."""


class NotObserved(Exception):
    """A part of the story did not happen as it should."""


def check(observed: bool, claim: str) -> None:
    """Go on only with what was observed."""
    if not observed:
        raise NotObserved(claim)


def say(line: str) -> None:
    """Tell it."""
    print(line, flush=True)
