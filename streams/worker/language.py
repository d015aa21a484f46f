"""The worker's language model: which queries go to it, and what becomes of those that it does not answer.

A query that the model does not answer is answered from the numbers, and says why; a query is never dropped, and the
lane never waits for the model.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from streams.worker.answers import Author, answered, expired
from streams.worker.deciding import Asked, joined
from streams.worker.metrics import WorkerMetrics
from streams.worker.pool import LATE, Flight, Pool
from streams.worker.shadow_side import ShadowSide
from trainer.deciders.base import Decision, Refusal
from trainer.deciders.language.decider import LanguageDecider, Prepared
from trainer.deciders.language.host import ModelHost
from trainer.deciders.language.model import (
    AdapterMissing,
    LanguageModel,
    MalformedAnswer,
    ModelUnavailable,
    QuestionRejected,
)

MARGIN_S = (
    0.25  # before its deadline a query is taken back, so that the answer from the numbers is still in time
)
_log = logging.getLogger(__name__)
Degraded = tuple[Asked, str]
"""A query for the evidence decider, and why the language model does not answer it."""


class Lack(StrEnum):
    """Why the language model did not answer; the value is the metric's label."""

    AWAY = "away"
    BUSY = "busy"
    LATE = "late"
    ADAPTER = "adapter"
    UNFIT = "unfit"
    MALFORMED = "malformed"
    FAILED = "failed"


class LanguageSide:
    """Sends queries to the model and takes its answers in. All calls come from the lane's thread."""

    def __init__(
        self,
        host: ModelHost,
        decider_of: Callable[[LanguageModel], LanguageDecider],
        pool: Pool,
        metrics: WorkerMetrics,
        soft_deadline_s: float,
        shadow: ShadowSide | None = None,
    ) -> None:
        """`decider_of` makes the decider over a model: once for each that comes up."""
        self._host = host
        self._decider_of = decider_of
        self._pool = pool
        self._metrics = metrics
        self._soft_s = soft_deadline_s
        self._shadow = shadow
        self._model: LanguageModel | None = None
        self._decider: LanguageDecider | None = None
        self._malformed = 0

    @property
    def pool(self) -> Pool:
        """The queries at the model."""
        return self._pool

    def look(self) -> None:
        """See whether the model is up, and what versions on trial said; call it now and then, busy or not."""
        self._current()
        if self._shadow is not None:
            self._shadow.land()

    @property
    def is_away(self) -> bool:
        """Whether there is no model now."""
        return self._current() is None

    def send(self, asked: Sequence[Asked]) -> list[Degraded]:
        """Send these to the model; returns those that it cannot answer.

        Those of a segment and a customer take off together: they share the beginnings of their prompts.
        """
        decider, degraded = self._current(), list[Degraded]()
        ready = [(prepared, each) for each in asked if (prepared := self._prepared(decider, each, degraded))]
        ready.sort(key=lambda r: (-r[1].query.priority, r[0].segment, r[1].query.customer_id))
        for prepared, each in ready:
            self._launch(decider, prepared, each, degraded)
        self._metrics.in_flight.set(self._pool.in_flight)
        return degraded

    def landed(self) -> tuple[list[tuple[Asked, Any]], list[Degraded]]:
        """Who is back: those that are answered, with their predictions, and those that the model did not answer."""
        predictions, degraded = list[tuple[Asked, Any]](), list[Degraded]()
        for landing in self._pool.landings(time.monotonic()):
            asked = landing.asked
            if isinstance(landing.outcome, Decision):
                predictions.append((asked, self._prediction(asked, landing.outcome)))
                continue
            reason = self._lack(landing.outcome)
            if _is_over(asked):
                by = Author(self._host.name, self._host.version, asked.had_read)
                predictions.append((asked, expired(asked.query, by, datetime.now(UTC))))
            else:
                degraded.append((asked, reason))
        if self._decider is not None:
            self._metrics.malformed.inc(self._decider.malformed - self._malformed)
            self._malformed = self._decider.malformed
        self._metrics.in_flight.set(self._pool.in_flight)
        return predictions, degraded

    def too_busy(self, asked: Asked) -> Degraded:
        """A query that waited too long for room."""
        self._note(Lack.BUSY)
        waited_s = time.monotonic() - asked.waiting.since
        return asked, f"the language model was busy: no room for {waited_s:.1f} s"

    def _current(self) -> LanguageDecider | None:
        model = self._host.model
        if model is not self._model:
            self._model = model
            self._decider = None if model is None else self._decider_of(model)
            self._malformed = 0
            self._metrics.model_up.set(model is not None)
        return self._decider

    def _prepared(
        self, decider: LanguageDecider | None, asked: Asked, degraded: list[Degraded]
    ) -> Prepared | None:
        if decider is None:
            degraded.append((asked, self._lack(ModelUnavailable(self._host.why_away))))
            return None
        try:
            prepared = decider.prepare(asked.question())
        except Exception as error:
            degraded.append((asked, self._lack(error)))
            return None
        if isinstance(prepared, Refusal):
            degraded.append((asked, f"the language model cannot be asked: {prepared.reason}"))
            return None
        return prepared

    def _launch(
        self, decider: LanguageDecider | None, prepared: Prepared, asked: Asked, degraded: list[Degraded]
    ) -> None:
        assert decider is not None, "somebody prepared it"
        left_s = (asked.query.deadline - datetime.now(UTC)).total_seconds() - MARGIN_S
        until = time.monotonic() + min(self._soft_s, max(0.0, left_s))
        flight = Flight(asked, len(prepared.prompts), until)
        try:
            self._pool.launch(flight, decider.ask(prepared, asked.query.priority))
        except ModelUnavailable as error:
            degraded.append((asked, self._lack(error)))
            return
        self._metrics.asked.labels(prepared.segment, prepared.adapter or "base").inc(len(prepared.prompts))
        if self._shadow is not None:
            self._shadow.consider(asked, prepared.segment)

    def _prediction(self, asked: Asked, decision: Decision) -> Any:
        assert decision.told is not None, "a language model's answer says what it rests on"
        by = Author(self._host.name, decision.told.version, asked.had_read)
        degraded = joined(asked.degraded, decision.degraded)
        now = datetime.now(UTC)
        return answered(asked.query, decision, by, now, asked.twin.content_hash(), degraded)

    def _lack(self, error: BaseException) -> str:
        """What an answer says that another decider gives instead."""
        match error:
            case AdapterMissing():
                lack, said = Lack.ADAPTER, f"the adapter is missing: {error}"
            case ModelUnavailable():
                lack, said = Lack.AWAY, f"the language model is away: {error}"
            case QuestionRejected():
                lack, said = Lack.UNFIT, f"the question does not fit the language model: {error}"
            case MalformedAnswer():
                lack, said = Lack.MALFORMED, f"the language model kept to no form: {error}"
            case TimeoutError() if error is LATE:
                lack, said = Lack.LATE, "the language model did not answer in time"
            case _:
                _log.error("the language decider failed", exc_info=error)
                lack, said = Lack.FAILED, f"the language decider failed: {type(error).__name__}: {error}"
        self._note(lack)
        return said[:500]

    def _note(self, lack: Lack) -> None:
        self._metrics.batch_counts.add(self._metrics.lacks.labels(lack.value))


def _is_over(asked: Asked) -> bool:
    """Whether an answer would come after the deadline that a CRM gave; other deadlines are our own."""
    return asked.query.raised_by == "request" and datetime.now(UTC) > asked.query.deadline
