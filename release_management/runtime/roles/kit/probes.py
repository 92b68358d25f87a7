"""A role's HTTP endpoints for probes and Prometheus: `/live`, `/health`, `/metrics`."""

import json
import re
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.runtime.roles.kit.health import Health
from release_management.services.redaction import redacted_data

DEFAULT_ADDRESS = "127.0.0.1:0"
_log = structlog.get_logger(__name__)


_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]*):(?P<port>[0-9]{1,5})")


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Log errors other than a probe's lost connection, which are faults of ours."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _log.error("a probe was not answered", exc_info=error)


class _Server6(_Server):
    address_family = socket.AF_INET6


class AddressTakenError(RelmanError):
    """The server cannot listen on the address for probes; the text says why."""

    code = ErrorCode.CONFLICT


class HealthServer:
    """Serves the endpoints on a thread of its own, whatever the role is busy with.

    `/live` is 200 while the process lives, `/health` 200 if the role is healthy, else 503, both with the role's health
    as JSON; `/metrics` is Prometheus' text format.
    """

    def __init__(self, health: Health, address: str = DEFAULT_ADDRESS) -> None:
        """`address` is HOST:PORT; port 0 takes a free one. Raises `AddressTakenError`."""
        found = _ADDRESS.fullmatch(address)
        if found is None:
            reason = f"{address!r} is no address for probes; write HOST:PORT, such as 127.0.0.1:0"
            raise AddressTakenError(reason, code=ErrorCode.INVALID)
        host = found["host"].strip("[]")

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:  # the base class calls it by this name
                match urlsplit(self.path).path:
                    case "/metrics":
                        self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
                    case "/live":
                        self._answer(200, "application/json", _encoded(health))
                    case "/health":
                        self._answer(200 if health.is_well else 503, "application/json", _encoded(health))
                    case _:
                        self._answer(404, "text/plain", b"there are /live, /health and /metrics\n")

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing: probes come every second."""

        try:
            self._server = (_Server6 if ":" in host else _Server)((host, int(found["port"])), Handler)
        except (OSError, OverflowError, UnicodeError) as error:
            raise AddressTakenError(
                f"{address} cannot be listened on for probes ({error}); name a free HOST:PORT, or port 0"
            ) from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """The address, HOST:PORT."""
        host, port = self._server.server_address[:2]
        name = host if isinstance(host, str) else host.decode()
        return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _encoded(health: Health) -> bytes:
    return json.dumps(redacted_data(health.document()), ensure_ascii=False).encode() + b"\n"
