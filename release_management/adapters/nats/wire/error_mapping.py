"""Map nats-py errors to ours."""

import nats.errors
from nats.js.errors import APIError

from release_management.services.ports.bus import (
    BusAwayError,
    BusError,
    BusFullError,
    BusUnfitError,
    OutOfStepError,
)

AWAY = (TimeoutError, OSError, nats.errors.Error)
"""Errors of nats-py where a server is away or does not answer, or says no."""
OUT_OF_STEP = (10071, 10201)  # wrong last sequence; a message of the batch was stored before
STREAM_FULL = 10077
NOT_CLUSTERED = 10074
NO_STREAM = 10059
EXHAUSTED = (10002, 10023, 10028, 10047)  # the account's, the server's, its memory's, its storage's limit is reached


def understood(error: BaseException) -> BusError | BusUnfitError:
    """Return our error for an error of nats-py."""
    match error:
        case BusError() | BusUnfitError():
            return error
        case APIError(err_code=code) if code in OUT_OF_STEP:
            return OutOfStepError(error.description or "out of step")
        case APIError(err_code=code) if code == STREAM_FULL:
            reason = error.description or ""
            if "maximum" in reason:
                return BusFullError("busy: the queue is full; try again later")
            return BusFullError(f"busy: the bus could not store it ({reason}); is its disk full?")
        case APIError(err_code=code) if code == NO_STREAM:
            return BusAwayError("the bus does not have the stream; it is made again within seconds")
        case APIError(err_code=code) if code == NOT_CLUSTERED:
            return BusUnfitError(
                "this nats-server is no cluster, and cannot keep replicas of the streams: start the roles without "
                "--replicas, or with the servers of a cluster"
            )
        case APIError(err_code=code) if code in EXHAUSTED:
            return BusFullError(
                f"busy: the bus has no room left ({error.description}); give its JetStream more storage or memory"
            )
        case _:
            return BusAwayError(f"the bus does not answer ({type(error).__name__}: {error})")
