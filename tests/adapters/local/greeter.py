"""A component that says its version and its `GREETING`, and is well only where it is asked on the path in `HEALTH`."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Greeter(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"version": f"{sys.argv[2]} {os.environ.get('GREETING', '')}".strip()}).encode()
        self.send_response(200 if self.path in ("/", os.environ["HEALTH"]) else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Greeter).serve_forever()
