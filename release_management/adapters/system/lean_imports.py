"""Libraries are loaded without what they would load beside them, and what a process of ours does not use."""

import sys


def load_structlog() -> None:
    """Load structlog without rich, with which it formats tracebacks by default: ours are plain.

    Loading rich takes an eighth of the time that a process needs to start. Where it is loaded already, nothing is
    gained, and nothing is done. For a process of our own; never in a caller's.
    """
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment] # so Python says that it is not installed
    try:
        import structlog  # noqa: F401 # loading it is the purpose
    finally:
        del sys.modules["rich"]
