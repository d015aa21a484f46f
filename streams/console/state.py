"""What the console shows: looked up when asked for, at most once a second, and kept between requests."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from streams.errors import TwinsError
from streams.live_profiles import find_profile
from streams.live_score import LiveScore
from streams.live_view import Rates
from streams.overview import Metrics, Observer, Overview
from streams.settings import Settings
from twin_store.messages import Profile

if TYPE_CHECKING:
    from streams.asking import Answer, Asked
    from streams.live_products import LiveProducts

KEPT_S = 1.0


class ConsoleState:
    """Connections and the last overview. Requests come from several threads: one lock each kind of work."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._observer = Observer(settings)
        self._looking, self._asking = threading.Lock(), threading.Lock()
        self._seen: Overview | None = None
        self._rates = Rates({})
        self._score: LiveScore | None = None
        self._products: LiveProducts | None = None

    def status(self) -> dict[str, Any]:
        """The overview with rates and the score so far."""
        with self._looking:
            seen = self._look()
            score = self._follow_score()
            found = seen.as_json() | {"rates": dict(self._rates.per_s)}
            if score is not None:
                found |= score.as_json()
            return found

    def is_reachable(self) -> bool:
        """Whether Kafka answers."""
        with self._looking:
            return self._look().reachable

    def metrics(self) -> Metrics:
        """The metrics of all processes, added up."""
        with self._looking:
            return self._observer.metrics()

    def profile(self, customer_id: str) -> Profile | None:
        """A customer's profile as it stands. Raises `KafkaReadError`."""
        return find_profile(self._settings, customer_id)

    def ask(self, asked: Asked) -> Answer:
        """Answer a question. Raises `TwinsError`, and `ModuleNotFoundError` without the packages of a decider."""
        from streams.asking import ask
        from streams.live_products import LiveProducts

        with self._asking:
            if asked.at is None and self._products is None:
                self._products = LiveProducts(self._settings)
            return ask(self._settings, asked, self._products)

    def close(self) -> None:
        """Close the connections."""
        self._observer.close()
        if self._score is not None:
            self._score.close()
        if self._products is not None:
            self._products.close()

    def _look(self) -> Overview:
        if self._seen is None or time.time() - self._seen.at > KEPT_S:
            seen = self._observer.look()
            self._rates = Rates.between(self._seen, seen)
            self._seen = seen
        return self._seen

    def _follow_score(self) -> LiveScore | None:
        try:
            if self._score is None:
                self._score = LiveScore(self._settings)
            self._score.poll()
        except TwinsError:
            return None  # the overview says that Kafka does not answer
        return self._score
