"""Records that the updater sets aside: bad ones to the dead letters, old ones to the late topic."""

from confluent_kafka import Message

from streams.batch import Outbox
from streams.dead_letters import dead_letter_record
from streams.topics import DEAD_LETTERS, LATE
from twin_store.dna.layout import LATE_DAYS

STAGE = "updater"


class LateEventError(ValueError):
    """An event older than what its twin can still take in exactly."""

    def __init__(self) -> None:
        super().__init__(
            f"{LATE_DAYS} days or more behind the newest event of its twin; backfill it from the lake"
        )


class Letters:
    """Counts and sends what is set aside."""

    def __init__(self) -> None:
        self.dead = 0
        self.late = 0

    def bad(self, outbox: Outbox, message: Message, error: Exception) -> None:
        """A record that does not fit its contract."""
        key, value, headers = dead_letter_record(message, STAGE, error)
        outbox.send(DEAD_LETTERS, key, value, headers)
        self.dead += 1

    def old(self, outbox: Outbox, message: Message) -> None:
        """A record that came too late."""
        key, value, headers = dead_letter_record(message, STAGE, LateEventError())
        outbox.send(LATE, key, value, headers)
        self.late += 1
