"""Where the leader writes jobs down: with a transactional id, so that whoever led before cannot any more."""

from __future__ import annotations

from datetime import UTC, datetime

from confluent_kafka import KafkaException

from streams.errors import TwinsError
from streams.kafka import producer, topic_name
from streams.settings import Settings
from streams.topics import JOBS
from twin_store.messages import TrainingJob
from twin_store.messages.codec import headers_for

SOURCE = "/twins/scheduler"
TIMEOUT_S = 30.0


class FencedError(TwinsError):
    """Another scheduler has taken over, or Kafka is away: what was to be written is not."""


class Pen:
    """Takes the pen from whoever has it."""

    def __init__(self, settings: Settings) -> None:
        """Raises `FencedError` if Kafka does not answer."""
        self._settings = settings
        self._producer = producer(settings, transactional_id="scheduler")
        try:
            self._producer.init_transactions(TIMEOUT_S)
        except KafkaException as error:
            raise FencedError(f"{error.args[0].str()}; is Kafka up? (`twins broker status`)") from error

    def write(self, *jobs: TrainingJob) -> None:
        """All of these, or none. Raises `FencedError`."""
        try:
            self._producer.begin_transaction()
            for job in jobs:
                self._producer.produce(
                    topic_name(self._settings, JOBS),
                    job.to_wire(),
                    job.job_id.encode(),
                    headers=headers_for(job, SOURCE, datetime.now(UTC)),
                )
            self._producer.commit_transaction(TIMEOUT_S)
        except KafkaException as error:
            raise FencedError(f"jobs were not written: {error.args[0].str()}") from error
