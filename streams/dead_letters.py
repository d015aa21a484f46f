"""Messages that could not be used: kept whole with their origin and the reason, and read back.

A letter is known by its origin, `topic/partition/offset`. Two processes may write a letter about one origin;
it is still one message to mend. A letter with `replayed_at` closes its origin, wherever it stands.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Message

from streams.errors import UsageError
from streams.kafka import Record, read_to_end, topic_name
from streams.settings import Settings
from streams.topics import DEAD_LETTERS, MESSAGE_MAX_BYTES, Topic
from twin_store.messages import DeadLetter, OriginHeader
from twin_store.messages.base import format_instant
from twin_store.messages.codec import BadMessage, decode, headers_for

REASON_MAX = 1_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """A Kafka record as it was read: what a dead letter is made of."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()

    @classmethod
    def of(cls, message: Message) -> Origin:
        """The origin of a consumed message."""
        headers = message.headers() or []
        pairs = headers.items() if isinstance(headers, dict) else headers
        return cls(
            topic=message.topic() or "",
            partition=message.partition() or 0,
            offset=message.offset() or 0,
            key=message.key(),
            value=message.value(),
            headers=[(name, value.encode() if isinstance(value, str) else value) for name, value in pairs],
        )


@dataclass(frozen=True)
class Selection:
    """Which letters are meant; a field that is None selects all. `topic` may be given without the prefix.

    `reason` and `stage` are found anywhere in the letter's, `first_offset` and `last_offset` are inclusive.
    """

    topic: str | None = None
    partition: int | None = None
    first_offset: int | None = None
    last_offset: int | None = None
    stage: str | None = None
    reason: str | None = None
    origins: frozenset[str] | None = None

    def takes(self, letter: DeadLetter, prefix: str) -> bool:
        """Whether the letter is meant; `prefix` is the deployment's topic prefix."""
        return (
            (self.topic is None or letter.origin_topic in (self.topic, prefix + self.topic))
            and (self.partition is None or letter.origin_partition == self.partition)
            and (self.first_offset is None or letter.origin_offset >= self.first_offset)
            and (self.last_offset is None or letter.origin_offset <= self.last_offset)
            and (self.stage is None or self.stage in letter.stage)
            and (self.reason is None or self.reason in letter.reason)
            and (self.origins is None or origin_of(letter) in self.origins)
        )


def origin_of(letter: DeadLetter) -> str:
    """`topic/partition/offset` of the message the letter is about."""
    return f"{letter.origin_topic}/{letter.origin_partition}/{letter.origin_offset}"


def check_origin(text: str) -> str:
    """The same text if it has the form of an origin. Raises `UsageError`."""
    topic, *position = text.split("/")
    if not topic or len(position) != 2 or not all(number.isdigit() for number in position):
        raise UsageError(f"{text!r} is not topic/partition/offset; `twins dlq list` shows the origins")
    return text


def dead_letter(
    origin: Origin, stage: str, error: Exception, failed_at: datetime | None = None
) -> DeadLetter:
    """A letter about `origin`, which `stage` (such as `updater.decode`) could not use because of `error`."""
    size = sum(
        len(part or b"") for part in (origin.key, origin.value, *(value for _, value in origin.headers))
    )
    omitted = size > MESSAGE_MAX_BYTES and origin.value is not None
    bad = error if isinstance(error, BadMessage) else None
    return DeadLetter(
        origin_topic=origin.topic,
        origin_partition=origin.partition,
        origin_offset=origin.offset,
        failed_at=failed_at or datetime.now(UTC),
        stage=stage,
        reason=(bad.reason if bad else f"{type(error).__name__}: {error}")[:REASON_MAX],
        place=bad.place if bad else None,
        key=_to_text(origin.key),
        payload=None if omitted else _to_text(origin.value),
        headers=[]
        if omitted
        else [OriginHeader(name=name, value=_to_text(value)) for name, value in origin.headers],
        omitted_bytes=len(origin.value or b"") if omitted else None,
    )


def dead_letter_record(
    message: Message | Origin, stage: str, error: Exception, failed_at: datetime | None = None
) -> Record:
    """Key, value and headers of the letter, to be produced to `DEAD_LETTERS` (or `LATE`) in a transaction."""
    origin = message if isinstance(message, Origin) else Origin.of(message)
    letter = dead_letter(origin, stage, error, failed_at)
    return origin.key, letter.to_wire(), headers_for(letter, f"/twins/{stage}", letter.failed_at)


def key_of(letter: DeadLetter) -> bytes | None:
    """The original key."""
    return _to_bytes(letter.key)


def payload_of(letter: DeadLetter) -> bytes | None:
    """The original bytes; None for a tombstone and where `omitted_bytes` is set."""
    return _to_bytes(letter.payload)


def headers_of(letter: DeadLetter) -> list[tuple[str, bytes | None]]:
    """The original headers, in order."""
    return [(header.name, _to_bytes(header.value)) for header in letter.headers]


def read_letters(
    settings: Settings, selection: Selection, topic: Topic = DEAD_LETTERS
) -> Iterator[DeadLetter]:
    """The open letters of a selection, one an origin, in the order of their partitions.

    The topic is read twice, first for what was replayed, so that memory holds one letter at a time.
    """
    done = {origin_of(letter) for letter in _all_letters(settings, topic) if letter.replayed_at}
    for letter in _all_letters(settings, topic):
        origin = origin_of(letter)
        if origin not in done and selection.takes(letter, settings.topic_prefix):
            done.add(origin)
            yield letter


def describe(letter: DeadLetter, with_body: bool = False) -> dict[str, Any]:
    """The letter for people and for JSON. The body is JSON where it parses, else text, else base64."""
    payload = payload_of(letter)
    row: dict[str, Any] = {
        "origin": origin_of(letter),
        "failed_at": format_instant(letter.failed_at),
        "stage": letter.stage,
        "place": letter.place,
        "reason": letter.reason,
        "key": _readable(key_of(letter)),
        "payload_bytes": letter.omitted_bytes or len(payload or b""),
    }
    if with_body:
        row["headers"] = {name: _readable(value) for name, value in headers_of(letter)}
        row["body"] = _readable(payload)
        try:
            row["body"] = json.loads(payload or b"null")
        except (ValueError, RecursionError):
            row["body_is_json"] = False
    return row


def _all_letters(settings: Settings, topic: Topic) -> Iterator[DeadLetter]:
    for message in read_to_end(settings, topic):
        try:
            yield decode(DeadLetter, message.value())
        except BadMessage as error:
            place = f"{topic_name(settings, topic)}/{message.partition()}/{message.offset()}"
            _log.warning("%s is not a dead letter: %s", place, error)


def _readable(data: bytes | None) -> str | None:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data).decode()


def _to_text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _to_bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
