"""The console process: an HTTP server until it is told to stop."""

from __future__ import annotations

import contextlib
import socket
import threading

import uvicorn

from streams.console.app import build
from streams.console.state import ConsoleState
from streams.errors import TwinsError
from streams.settings import Settings
from streams.telemetry import Telemetry

NAME = "console"
POLL_S = 0.2
BEAT_EVERY_S = 1
STOP_TIMEOUT_S = 5


def run(settings: Settings, stop: threading.Event, telemetry: Telemetry | None = None) -> None:
    """Serve until `stop` is set. Raises `TwinsError` if the port is taken."""
    telemetry = telemetry or Telemetry(NAME, settings)
    listener = _listen(settings)

    async def beat() -> None:
        """Called by the loop that answers: a server that hangs falls silent."""
        telemetry.beat()

    with contextlib.closing(ConsoleState(settings)) as state, listener:
        config = uvicorn.Config(
            build(settings, state, telemetry),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
            callback_notify=beat,
            timeout_notify=BEAT_EVERY_S,
        )
        server = uvicorn.Server(config)
        # In a thread of its own uvicorn leaves the signals to us.
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name=NAME, daemon=True)
        thread.start()
        while thread.is_alive() and not stop.wait(POLL_S):
            telemetry.ready(server.started)
        telemetry.ready(False)
        server.should_exit = True
        thread.join()
    if not stop.is_set():
        raise TwinsError("the console's server ended by itself; see its log")


def _listen(settings: Settings) -> socket.socket:
    """The socket of the settings' host and port; port 0 is any free one."""
    try:
        return socket.create_server((settings.bind_host, settings.console_port))
    except OSError as error:
        raise TwinsError(
            f"the console cannot listen on {settings.bind_host}:{settings.console_port}: {error.strerror}; "
            "set TWINS_CONSOLE_PORT to a free port"
        ) from error
