"""The HTTP endpoint of a process: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever restarts it."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from streams.errors import TwinsError

PORTS_TRIED = 100
CLIENT_TIMEOUT_S = 10
Check = Callable[[], tuple[bool, str]]
"""Whether all is well, and a word on it."""


class Endpoint:
    """Serves one registry and two checks from a thread of its own until `close`."""

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, healthy: Check, ready: Check
    ) -> None:
        """Listens on `port`, or the next free one: several processes of a machine share one setting. 0: any.

        Raises `TwinsError` if none of `PORTS_TRIED` ports is free, or the host is not this machine's.
        """
        handler = _handler(registry, {"/healthz": healthy, "/readyz": ready})
        self._server = _listen(host, port, handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="telemetry", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _listen(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    last = min(port + PORTS_TRIED, 65_536) if port else 1
    for candidate in range(port, last):
        try:
            return ThreadingHTTPServer((host, candidate), handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise TwinsError(
                    f"cannot listen on {host}:{candidate}: {error.strerror}; see TWINS_BIND_HOST"
                ) from error
    raise TwinsError(
        f"ports {port} to {last - 1} of {host} are all taken; set TWINS_METRICS_PORT to free ones"
    )


def _handler(registry: CollectorRegistry, checks: dict[str, Check]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = CLIENT_TIMEOUT_S

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif path in checks:
                well, word = checks[path]()
                body = json.dumps({"ok": well, "detail": word}).encode()
                self._answer(200 if well else 503, "application/json", body)
            else:
                self._answer(404, "text/plain", b"/metrics, /healthz, /readyz\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Scrapes are no news."""

    return Handler
