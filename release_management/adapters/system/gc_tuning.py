"""Python's garbage collector, in processes of ours."""

import gc


def collect_not_yet() -> None:
    """Have the collector leave a process of our own alone while it loads its code, and is set up.

    Nearly all of what loading creates stays: looking through it again and again is an eighth of the time that a process
    takes to start, and this saves half of it.
    """
    gc.set_threshold(100_000, 20, 20)


def collect_rarely() -> None:
    """Have the collector leave alone what is loaded now, and look at the rest less often.

    A gateway under load spends a third of its time in it otherwise: every batch leaves thousands of small values
    behind, none of them in a cycle. For a process of our own, once it is set up; never in a caller's.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
