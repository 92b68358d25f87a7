"""Signals of a run that was started in the background."""

import signal


def hear_interrupts() -> None:
    """Let every process that this one starts hear Ctrl-C, as at a terminal.

    Under `nohup … &` it is ignored, and a new program inherits that; a handler of ours is not inherited: the new
    program gets the default in its place.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
