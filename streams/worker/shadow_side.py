"""Queries that are put to a version on trial too. Nobody waits for what it says, and nothing is lost with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from streams.adapters.routing import Routing
from streams.adapters.shadows import Shadows
from streams.worker.answers import Author, answered
from streams.worker.deciding import Asked
from streams.worker.metrics import WorkerMetrics
from streams.worker.pool import Flight, Pool
from trainer.deciders.base import Decision, Refusal
from trainer.deciders.language.decider import LanguageDecider
from trainer.deciders.language.host import ModelHost
from trainer.deciders.language.model import LanguageModel, ModelUnavailable

PRIORITY = 0  # behind every query that somebody waits for
IN_FLIGHT_MAX = 64  # prompts; what finds no room is not put to the version
LATE_S = 60.0
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)


class ShadowSide:
    """All calls come from the lane's thread."""

    def __init__(
        self,
        host: ModelHost,
        decider_of: Callable[[LanguageModel], LanguageDecider],
        routing: Routing,
        shadows: Shadows,
        metrics: WorkerMetrics,
    ) -> None:
        """`decider_of` makes a decider whose router is `routing.challenger`."""
        self._host = host
        self._decider_of = decider_of
        self._routing = routing
        self._shadows = shadows
        self._metrics = metrics
        self._pool = Pool(host, IN_FLIGHT_MAX, linger_s=0.0)
        self._model: LanguageModel | None = None
        self._decider: LanguageDecider | None = None

    def consider(self, asked: Asked, segment: str) -> None:
        """Put a query to the segment's version on trial, if it is one of those and there is room."""
        if not self._routing.is_shadowed(segment, asked.query.query_id):
            return
        decider = self._current()
        if decider is None or self._pool.room <= 0:
            self._metrics.shadows.labels("skipped").inc()
            return
        try:
            prepared = decider.prepare(asked.question())
            if isinstance(prepared, Refusal) or prepared.served is None:
                return  # as the champion refused it, or the trial is just over
            flight = Flight(asked, len(prepared.prompts), time.monotonic() + LATE_S)
            self._pool.launch(flight, decider.ask(prepared, PRIORITY))
        except ModelUnavailable:
            self._metrics.shadows.labels("skipped").inc()
        except Exception:
            self._failed("a query could not be put to a version on trial")

    def land(self) -> None:
        """Publish what was said since."""
        for landing in self._pool.landings(time.monotonic()):
            if not isinstance(landing.outcome, Decision):
                self._metrics.shadows.labels("failed").inc()
                continue
            try:
                self._publish(landing.asked, landing.outcome)
            except Exception:
                self._failed("an answer of a version on trial could not be published")

    def _publish(self, asked: Asked, decision: Decision) -> None:
        assert decision.told is not None, "a language model's answer says what it rests on"
        by = Author(self._host.name, decision.told.version, asked.had_read)
        now = datetime.now(UTC)
        said = answered(asked.query, decision, by, now, asked.twin.content_hash(), asked.degraded)
        self._shadows.publish(said.customer_id, said.query_id, _encode(said))
        self._metrics.shadows.labels("answered").inc()

    def _current(self) -> LanguageDecider | None:
        model = self._host.model
        if model is not self._model:
            self._model = model
            self._decider = None if model is None else self._decider_of(model)
        return self._decider

    def _failed(self, what: str) -> None:
        _log.exception(what)
        self._metrics.shadows.labels("failed").inc()
