"""A run in the background, which ignores Ctrl-C, tests as one at a terminal does."""

import signal
import subprocess
import sys

from tests.signals import hear_interrupts

SHOW = [sys.executable, "-I", "-S", "-c", "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"]


def test_what_a_run_in_the_background_starts_hears_interrupts() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        inherited = subprocess.run(SHOW, capture_output=True, text=True, check=True).stdout
        hear_interrupts()
        afterwards = subprocess.run(SHOW, capture_output=True, text=True, check=True).stdout
    finally:
        signal.signal(signal.SIGINT, before)

    assert (inherited, afterwards) == ("True\n", "False\n")


def test_a_run_at_a_terminal_keeps_its_handler() -> None:
    before = signal.getsignal(signal.SIGINT)
    hear_interrupts()

    assert before is not signal.SIG_IGN, "the run itself has done it"
    assert signal.getsignal(signal.SIGINT) is before
