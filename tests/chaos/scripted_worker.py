"""A worker process whose language model is scripted: answers take their time, and now and then it is away.

python -m tests.chaos.scripted_worker MEMBER
"""

from __future__ import annotations

import random
import signal
import sys
import threading
from contextlib import closing

from streams.settings import load_settings
from streams.telemetry import Telemetry
from streams.worker import process
from tests.streams.scripted_model import ScriptedHost, ScriptedModel

DELAY_S = (0.0, 0.15)
AWAY_S = (0.0, 0.3)
UP_S = (0.2, 1.5)


def come_and_go(host: ScriptedHost, stop: threading.Event) -> None:
    """As an engine that dies and is started again."""
    dice, model = random.Random(7), host.model
    while not stop.wait(dice.uniform(*UP_S)):
        host.model = None
        stop.wait(dice.uniform(*AWAY_S))
        host.model = model


def main() -> None:
    settings = load_settings()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with (
        closing(ScriptedHost(ScriptedModel(DELAY_S))) as host,
        Telemetry(process.NAME, settings) as telemetry,
    ):
        threading.Thread(target=come_and_go, args=(host, stop), daemon=True).start()
        process.run(settings, stop, sys.argv[1], telemetry, host)


if __name__ == "__main__":
    main()
