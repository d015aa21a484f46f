"""What adapters on trial say besides, on a topic of its own that nobody acts on."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from confluent_kafka import KafkaException

from streams.errors import TwinsError
from streams.kafka import Publisher
from streams.settings import Settings
from streams.topics import SHADOWS
from twin_store.messages import Prediction
from twin_store.messages.codec import shared_headers

SOURCE = "/twins/shadow"
_log = logging.getLogger(__name__)


class Shadows:
    """Publishes them, by a writer of its own: the worker's transactions hold answers that somebody waits for.

    A worker that dies may put a query to a shadow again, and what cannot be delivered is lost: who reads takes the
    first of each query, and compares only what is there. Not for several threads.
    """

    def __init__(self, settings: Settings) -> None:
        self._publisher = Publisher(settings)

    def publish(self, customer_id: str, query_id: str, prediction: bytes) -> None:
        """Hand over a `Prediction` as it goes on the wire; it is on its way. A failure is logged."""
        headers = [*shared_headers(Prediction, SOURCE, datetime.now(UTC)), ("ce_id", query_id.encode())]
        try:
            self._publisher.publish(SHADOWS, customer_id.encode(), prediction, headers)
        except (TwinsError, KafkaException) as error:
            _log.warning("a shadow's answer is lost: %s", error)

    def close(self) -> None:
        """Wait until all are there."""
        try:
            self._publisher.flush()
        except TwinsError as error:
            _log.warning("answers of shadows are lost: %s", error)
