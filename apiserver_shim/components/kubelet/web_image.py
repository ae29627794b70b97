"""The image ``raftkv.dev/web``: a small HTTP server that says which pod it is.

Owns: / (the pod's name and a count), /healthz, and on SIGTERM an end in order. Must never do:
listen anywhere but on the pod's own address, $POD_IP.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = 8080
_COUNT = itertools.count(1)


class _Web(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/healthz":
            return self._answer("ok\n")
        text = os.environ.get("MESSAGE", "hello")
        return self._answer(f"{text} from {os.environ.get('HOSTNAME', '?')} ({next(_COUNT)})\n")

    def _answer(self, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        if self.path != "/healthz":
            print(f"{self.address_string()} {format % args}", flush=True)


class WebServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _Web)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that hangs up is no news
            super().handle_error(request, client_address)


def main() -> None:
    address = (os.environ.get("POD_IP", "127.0.0.1"), int(os.environ.get("PORT", PORT)))
    server = WebServer(address)
    # shutdown() waits for the loop, which the signal has interrupted: another thread asks for it.
    signal.signal(
        signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start()
    )
    print(f"serving on http://{address[0]}:{address[1]}", flush=True)
    server.serve_forever(poll_interval=0.1)
    print("stopped", flush=True)
    sys.exit(0)


if __name__ == "__main__":
    main()
