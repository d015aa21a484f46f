"""Follows `twins.adapters` for one worker, in a thread of its own: answering never waits for a swap."""

from __future__ import annotations

import logging
import threading
import time

from confluent_kafka import Message

from streams.adapters.releases import Releases, name_of
from streams.adapters.reports import Reporter
from streams.adapters.routing import Routing
from streams.adapters.swaps import Swaps
from streams.settings import Settings
from streams.tables import PROCESS_PATIENCE_S, GlobalTable
from streams.topics import ADAPTERS
from trainer.deciders.language.adapter_host import AdapterHost
from trainer.deciders.language.model import ModelUnavailable
from trainer.deciders.language.served import ServedAdapter

LOOK_EVERY_S = 0.05
RETRY_AFTER_S = 1.0
_log = logging.getLogger(__name__)


class AdapterService:
    """Every release of the topic is tried once it is the newest of its segment, one after the other.

    First come pinned segments, then those that are asked for, then the others in order of their release. What cannot be
    done now, because the model or the storage is away, is tried again; what is refused is not, until a new release.
    """

    def __init__(self, settings: Settings, host: AdapterHost, worker: str) -> None:
        """Reads the topic to its end. `worker` names this process in its reports.

        Raises:
            TwinsError: the topics cannot be read.
        """
        self.routing = Routing()
        self._host = host
        self._model = host.model
        self._releases = Releases()
        self._pending: dict[str, float] = {}  # by segment: not before this moment
        self._reporter = Reporter(settings, worker)
        self._swaps = Swaps(host, self.routing, self._reporter)
        self._stop = threading.Event()
        self._table = GlobalTable(settings, ADAPTERS, self._take, PROCESS_PATIENCE_S)
        self._table.load()
        self._thread = threading.Thread(target=self._run, name="adapters", daemon=True)
        self._thread.start()

    def is_settled(self) -> bool:
        """Whether all that was read is done, but for what was refused."""
        return not self._pending and self._swaps.is_settled and self._model is self._host.model

    def close(self) -> None:
        """Stop following. What is in the model stays there."""
        self._stop.set()
        self._thread.join()
        self._table.close()

    def _take(self, messages: list[Message]) -> None:
        for segment in self._releases.take(messages):
            self._pending[segment] = 0.0
            release = self._releases.by_segment.get(segment)
            if release is not None and release.decider == self._host.decider:
                name = name_of(release.champion, segment)
                self.routing.expect(ServedAdapter(segment, name, release.decider_version))

    def _run(self) -> None:
        while not self._stop.is_set():
            did_something = False
            try:
                did_something = self._round()
            except ModelUnavailable as error:
                _log.info("adapters wait for the model: %s", error)
                self._stop.wait(RETRY_AFTER_S)
            except Exception:  # whatever it is, what is loaded answers, and the next round tries again
                _log.exception("adapters could not be looked after")
                self._stop.wait(RETRY_AFTER_S)
            if not did_something:
                self._reporter.flush()
                self._stop.wait(LOOK_EVERY_S)

    def _round(self) -> bool:
        """One segment at most, so that a newer release is seen before an older one is tried."""
        self._table.poll()
        model = self._host.model
        if model is not None and model is not self._model:
            self._model = model
            self._swaps.restarted()
            self._pending |= dict.fromkeys(self._releases.by_segment, 0.0)
        self._swaps.retire_idle()
        segment = self._next()
        if segment is None:
            return False
        self._settle(segment)
        return True

    def _settle(self, segment: str) -> None:
        release = self._releases.by_segment.get(segment)
        try:
            if release is None:
                self._swaps.withdraw(segment)
            elif release.decider == self._host.decider:
                self._swaps.settle(release)
        except Exception:
            self._pending[segment] = time.monotonic() + RETRY_AFTER_S
            raise
        del self._pending[segment]

    def _next(self) -> str | None:
        """The segment to look after next."""
        now = time.monotonic()
        ready = [segment for segment, since in self._pending.items() if since <= now]
        if not ready:
            return None
        asked = set(self.routing.take_wanted())
        return min(ready, key=lambda segment: (not self._is_pinned(segment), segment not in asked))

    def _is_pinned(self, segment: str) -> bool:
        release = self._releases.by_segment.get(segment)
        return release is not None and release.pinned
