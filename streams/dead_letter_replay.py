"""Publishes dead letters to their origin again, as they were or mended, each once.

A replay and the mark that closes its letter are one Kafka transaction, and a second replayer fences the first
before it reads what is open: run it twice, kill it half-way, and every letter is still published once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, Producer

from streams import kafka
from streams.dead_letters import (
    Selection,
    check_origin,
    headers_of,
    key_of,
    origin_of,
    payload_of,
    read_letters,
)
from streams.errors import TwinsError, UsageError
from streams.kafka import Record
from streams.settings import Settings
from streams.topics import DEAD_LETTERS, Topic
from twin_store.messages import DeadLetter
from twin_store.messages.codec import BadMessage, decode, headers_for

REPLAY_HEADER = "twins_replay_of"
LETTERS_PER_TRANSACTION = 100
TRANSACTION_TIMEOUT_S = 60.0
_PATH = re.compile(r"[^.\[\]]+(\.[^.\[\]]+|\[\d+\])*")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")

Mend = Callable[[DeadLetter], Any]
"""From a letter to the body that is published instead, any JSON value."""


class ReplayError(TwinsError):
    """The replay stopped; what it had published is marked, so it can be run again."""


class CannotMendError(ValueError):
    """This letter cannot be replayed; the message says why."""


@dataclass
class ReplayReport:
    """What a replay did. `skipped` maps origins to the reason why they stay open."""

    replayed: int = 0
    skipped: dict[str, str] = field(default_factory=dict)


def replay(
    settings: Settings,
    selection: Selection,
    mend: Mend | None = None,
    limit: int | None = None,
    letters_topic: Topic = DEAD_LETTERS,
) -> ReplayReport:
    """Publish the selected open letters of a topic to their origin's topic again and mark them as replayed.

    Mended bodies must fit their contract and are keyed by it; letters that cannot be mended are skipped.
    Raises `ReplayError` when Kafka fails or another replay has taken over.
    """
    report = ReplayReport()
    writer = kafka.producer(settings, transactional_id="dlq-replay")
    try:
        writer.init_transactions(TRANSACTION_TIMEOUT_S)
        letters = islice(read_letters(settings, selection, letters_topic), limit)
        while batch := list(islice(letters, LETTERS_PER_TRANSACTION)):
            _replay_batch(settings, writer, batch, mend, report, kafka.topic_name(settings, letters_topic))
    except KafkaException as error:
        raise ReplayError(f"the replay stopped: {error.args[0].str()}; run it again to go on") from error
    return report


def _replay_batch(
    settings: Settings,
    writer: Producer,
    batch: list[DeadLetter],
    mend: Mend | None,
    report: ReplayReport,
    marks: str,
) -> None:
    """One transaction; `marks` is the name of the topic that the letters are of, where they are closed."""
    records = []
    for letter in batch:
        try:
            records.append((letter, replay_record(settings, letter, mend)))
        except CannotMendError as error:
            report.skipped[origin_of(letter)] = str(error)
    if not records:
        return
    now = datetime.now(UTC)
    writer.begin_transaction()
    for letter, (key, value, headers) in records:
        writer.produce(letter.origin_topic, value, key=key, headers=list(headers))
        mark = letter.model_copy(update={"payload": None, "headers": [], "replayed_at": now})
        writer.produce(
            marks, mark.to_wire(), key=key_of(letter), headers=headers_for(mark, "/twins/dlq-replay", now)
        )
    writer.commit_transaction(TRANSACTION_TIMEOUT_S)
    report.replayed += len(records)


def replay_record(settings: Settings, letter: DeadLetter, mend: Mend | None = None) -> Record:
    """Key, value and headers to publish: the original bytes, or the mended body under the key it asks for.

    Raises `CannotMendError` when the letter does not hold its payload, when its topic is not of this
    deployment, or when the mended body still does not fit.
    """
    topic = kafka.topic_called(settings, letter.origin_topic)
    if topic is None:
        raise CannotMendError(f"{letter.origin_topic} is not a topic of this deployment")
    if letter.omitted_bytes is not None:
        raise CannotMendError(
            f"its {letter.omitted_bytes} bytes were too large to keep; read them at their origin"
        )
    headers = [header for header in headers_of(letter) if header[0] != REPLAY_HEADER]
    headers.append((REPLAY_HEADER, origin_of(letter).encode()))
    if mend is None:
        return key_of(letter), payload_of(letter), headers
    body = mend(letter)
    return _key_for(topic, body, letter), _checked(topic, body), headers


def _checked(topic: Topic, body: Any) -> bytes:
    payload = json.dumps(body, separators=(",", ":")).encode()
    if topic.message is not None:
        try:
            decode(topic.message, payload)
        except BadMessage as error:
            raise CannotMendError(f"still wrong after the mend: {error}") from None
    return payload


def _key_for(topic: Topic, body: Any, letter: DeadLetter) -> bytes | None:
    """The key follows the body: a mended customer id must reach that customer's partition."""
    if isinstance(body, dict):
        for name in topic.key_fields:
            if isinstance(body.get(name), str):
                return str(body[name]).encode()
    return key_of(letter)


def mend_by_assignments(assignments: Sequence[str]) -> Mend:
    """A mend from `path=text` and `path:=json`, such as `currency=USD` or `lines[3].quantity:=2`.

    Raises `UsageError` when one is malformed.
    """
    parsed = [_parse_assignment(assignment) for assignment in assignments]

    def mend(letter: DeadLetter) -> Any:
        try:
            body = json.loads(payload_of(letter) or b"")
        except (ValueError, RecursionError):
            raise CannotMendError("its body is not JSON; give the whole body with --file") from None
        for path, value in parsed:
            _assign(body, path, value)
        return body

    return mend


def mend_by_bodies(bodies: Mapping[str, Any]) -> Mend:
    """A mend that replaces each letter's body by the one given for its origin."""
    return lambda letter: bodies[origin_of(letter)]


def read_bodies(path: Path) -> dict[str, Any]:
    """Bodies by origin from an NDJSON file of `{"origin": "topic/partition/offset", "body": ...}`.

    Other fields are ignored, so lines of `twins dlq show --json` will do. Raises `UsageError` with the line.
    """
    bodies = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            bodies[check_origin(row["origin"])] = row["body"]
        except (UsageError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f'{path}, line {number}: not {{"origin": "topic/partition/offset", "body": ...}} ({error!r})'
            ) from None
    return bodies


def _parse_assignment(assignment: str) -> tuple[list[str | int], Any]:
    path, equals, text = assignment.partition("=")
    is_json = path.endswith(":")
    path = path.removesuffix(":")
    if not equals or not _PATH.fullmatch(path):
        raise UsageError(f"--set {assignment}: write path=text or path:=json, such as lines[3].quantity:=2")
    steps = [match[1] if match[1] is not None else int(match[2]) for match in _STEP.finditer(path)]
    if not is_json:
        return steps, text
    try:
        return steps, json.loads(text)
    except ValueError:
        raise UsageError(f"--set {assignment}: {text!r} is not JSON; path=text sets a text") from None


def _assign(body: Any, path: list[str | int], value: Any) -> None:
    *parents, last = path
    place: Any = body
    try:
        for step in parents:
            place = place[step]
        fits = isinstance(place, list) if isinstance(last, int) else isinstance(place, dict)
        if not fits:
            raise TypeError
        place[last] = value
    except (KeyError, IndexError, TypeError):
        raise CannotMendError(f"its body has no place {path!r}") from None
