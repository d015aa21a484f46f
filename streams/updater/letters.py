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


def send_bad(outbox: Outbox, message: Message, error: Exception) -> None:
    """Set a record aside that does not fit its contract."""
    outbox.send(DEAD_LETTERS, *dead_letter_record(message, STAGE, error))


def send_late(outbox: Outbox, message: Message) -> None:
    """Set a record aside that came too late."""
    outbox.send(LATE, *dead_letter_record(message, STAGE, LateEventError()))
