"""Dead letters keep everything and name their origin; replays, mended or not, publish each once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streams.dead_letter_replay import (
    REPLAY_HEADER,
    CannotMendError,
    ReplayError,
    mend_by_assignments,
    read_bodies,
    replay,
    replay_record,
)
from streams.dead_letters import (
    Origin,
    Selection,
    dead_letter,
    dead_letter_record,
    describe,
    headers_of,
    key_of,
    origin_of,
    payload_of,
    read_letters,
)
from streams.errors import UsageError
from streams.kafka import Publisher, read_to_end
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import DEAD_LETTERS, LATE, MESSAGE_MAX_BYTES, TRANSACTIONS
from twin_store.messages import DeadLetter, Transaction
from twin_store.messages.codec import BadMessage, decode

WRONG_CURRENCY = {
    "version": "1.0",
    "transaction_id": "t1",
    "customer_id": "c1",
    "occurred_at": "2017-03-01T10:00:00Z",
    "currency": "XXX",
    "lines": [{"sku": "s1", "quantity": 1, "net": "2.50"}],
}


def bad_origin(value: bytes | None, **fields: Any) -> Origin:
    return Origin(
        **{"topic": "retail.transactions", "partition": 1, "offset": 7, "key": b"c1", "value": value} | fields
    )


# Building and reading


@pytest.mark.parametrize(
    "payload",
    [b"{", b"", None, bytes(range(256)), b"x" * 1_000_000, os.urandom(1_000_000)],
    ids=["broken", "empty", "tombstone", "binary", "1 MB of text", "1 MB of noise"],
)
@pytest.mark.parametrize("key", [b"c1", b"\xff\x00", None])
def test_nothing_is_lost_on_the_way_through_a_letter(payload: bytes | None, key: bytes | None) -> None:
    headers = [("ce_type", b"a"), ("ce_type", b"\xff"), ("empty", b""), ("null", None)]
    origin = bad_origin(payload, key=key, headers=headers)
    record_key, value, _ = dead_letter_record(
        origin, "updater.decode", BadMessage("wrong", "lines[3].quantity")
    )
    letter = decode(DeadLetter, value)
    assert (record_key, key_of(letter), payload_of(letter), headers_of(letter)) == (
        key,
        key,
        payload,
        headers,
    )
    assert (origin_of(letter), letter.place, letter.reason) == (
        "retail.transactions/1/7", "lines[3].quantity", "wrong",
    )  # fmt: skip
    json.dumps(describe(letter, with_body=True))


def test_the_reason_of_any_exception_is_kept_and_cut() -> None:
    letter = dead_letter(bad_origin(b"{}"), "worker", KeyError("x" * 5_000))
    assert letter.reason.startswith("KeyError: ")
    assert len(letter.reason) == 1_000
    assert letter.place is None


def test_what_is_too_large_to_carry_stays_at_its_origin_and_says_so() -> None:
    letter = dead_letter(bad_origin(b"x" * (MESSAGE_MAX_BYTES + 1)), "updater.decode", BadMessage("too long"))
    assert letter.payload is None
    assert letter.omitted_bytes == MESSAGE_MAX_BYTES + 1
    with pytest.raises(CannotMendError, match="too large to keep; read them at their origin"):
        replay_record(Settings(), letter)


def test_selections_take_what_matches_all_their_fields() -> None:
    letter = dead_letter(
        bad_origin(b"{}", topic="shop7.retail.transactions"), "updater.decode", BadMessage("wrong currency")
    )
    taken = [
        Selection(),
        Selection(topic="retail.transactions", partition=1, first_offset=7, last_offset=7),
        Selection(topic="shop7.retail.transactions", stage="decode", reason="currency"),
        Selection(origins=frozenset({"shop7.retail.transactions/1/7"})),
    ]
    left = [
        Selection(topic="retail.clickstream"), Selection(partition=2), Selection(first_offset=8),
        Selection(last_offset=6), Selection(stage="lake"), Selection(reason="version"),
        Selection(origins=frozenset()),
    ]  # fmt: skip
    assert all(selection.takes(letter, "shop7.") for selection in taken)
    assert not any(selection.takes(letter, "shop7.") for selection in left)


# Mending


def test_assignments_set_texts_and_json_at_places() -> None:
    letter = dead_letter(bad_origin(json.dumps(WRONG_CURRENCY).encode()), "updater", BadMessage("currency"))
    mend = mend_by_assignments(
        ["currency=USD", "lines[0].quantity:=2", "lines[0].unit_price=1.25", "customer_id=c=9"]
    )
    key, value, headers = replay_record(Settings(), letter, mend)
    mended = decode(Transaction, value)
    assert (mended.currency, mended.lines[0].quantity, mended.lines[0].unit_price) == ("USD", 2, "1.25")
    assert key == b"c=9", "the key follows the mended body"
    assert (REPLAY_HEADER, b"retail.transactions/1/7") in headers


@pytest.mark.parametrize(
    ("body", "assignment", "why"),
    [
        (b"{", "currency=USD", "not JSON; give the whole body with --file"),
        (b"[" * 100_000, "currency=USD", "not JSON"),
        (b"[]", "currency=USD", "has no place"),
        (json.dumps(WRONG_CURRENCY).encode(), "lines[3].net=1", "has no place"),
        (json.dumps(WRONG_CURRENCY).encode(), "lines.net=1", "has no place"),
        (
            json.dumps(WRONG_CURRENCY).encode(),
            "lines[0].net:=2.5",
            "still wrong after the mend: lines\\[0\\].net",
        ),
    ],
)
def test_a_letter_that_cannot_be_mended_says_why(body: bytes, assignment: str, why: str) -> None:
    letter = dead_letter(bad_origin(body), "updater", BadMessage("bad"))
    with pytest.raises(CannotMendError, match=why):
        replay_record(Settings(), letter, mend_by_assignments([assignment]))


@pytest.mark.parametrize(
    "assignment", ["currency", "=USD", "lines[x].net=1", "lines[0]net=1", "quantity:=two"]
)
def test_malformed_assignments_are_refused(assignment: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        mend_by_assignments([assignment])


def test_files_of_bodies_name_their_bad_line(tmp_path: Path) -> None:
    file = tmp_path / "mended.ndjson"
    file.write_text('{"origin": "t/0/1", "body": {"a": 1}, "stage": "x"}\n\n{"origin": "t/0", "body": {}}\n')
    with pytest.raises(UsageError, match="line 3"):
        read_bodies(file)
    file.write_text(file.read_text().splitlines()[0])
    assert read_bodies(file) == {"t/0/1": {"a": 1}}


# On the broker


def publish_letters(settings: Settings, payloads: list[bytes | None]) -> list[str]:
    """Publish payloads to the transactions topic and a letter about each; returns the origins in order."""
    apply_topics(settings, topics=[TRANSACTIONS, DEAD_LETTERS, LATE])
    with Publisher(settings) as publisher:
        for payload in payloads:
            publisher.publish(TRANSACTIONS, b"c1", payload, [("ce_id", b"1")])
    messages = list(read_to_end(settings, TRANSACTIONS))
    with Publisher(settings) as publisher:
        for stage in ("updater.decode", "lake.decode"):
            for message in messages:
                publisher.publish(
                    DEAD_LETTERS, *dead_letter_record(message, stage, BadMessage("wrong", "currency"))
                )
    return [f"{message.topic()}/{message.partition()}/{message.offset()}" for message in messages]


@pytest.mark.broker
def test_a_replay_publishes_the_original_once_and_closes_its_letters(settings: Settings) -> None:
    payloads = [b"{", os.urandom(1_000_000), None]
    origins = publish_letters(settings, payloads)
    assert [origin_of(letter) for letter in read_letters(settings, Selection())] == origins, (
        "two letters about one message are one"
    )
    report = replay(settings, Selection(last_offset=1), limit=1)
    assert (report.replayed, report.skipped) == (1, {})
    assert replay(settings, Selection()).replayed == 2
    assert replay(settings, Selection()).replayed == 0, "what is replayed is closed"
    again = list(read_to_end(settings, TRANSACTIONS))[len(payloads) :]
    assert [(message.key(), message.value()) for message in again] == [
        (b"c1", payload) for payload in payloads
    ]
    assert [dict(message.headers() or [])[REPLAY_HEADER].decode() for message in again] == origins
    assert all(("ce_id", b"1") in (message.headers() or []) for message in again)


@pytest.mark.broker
def test_a_second_replayer_fences_the_first(settings: Settings) -> None:
    origins = publish_letters(settings, [json.dumps(WRONG_CURRENCY).encode()] * 3)
    reports = []

    def mend_while_another_takes_over(letter: DeadLetter) -> Any:
        if not reports:
            reports.append(replay(settings, Selection()))
        return WRONG_CURRENCY

    with pytest.raises(ReplayError, match="run it again"):
        replay(settings, Selection(), mend_while_another_takes_over)
    assert reports[0].replayed == len(origins)
    assert len(list(read_to_end(settings, TRANSACTIONS))) == 2 * len(origins), "each once, by the second"


@pytest.mark.broker
def test_the_command_lists_shows_and_replays(settings: Settings, tmp_path: Path) -> None:
    good = json.dumps(WRONG_CURRENCY).encode()
    origins = publish_letters(settings, [good, b"\xff", good])
    rows = [json.loads(line) for line in twins(settings, "dlq", "list", "--json").splitlines()]
    assert [row["origin"] for row in rows] == origins
    assert rows[0]["stage"] == "updater.decode"
    listed = twins(
        settings, "dlq", "list", "--topic", "retail.transactions", "--reason", "wrong", "--limit", "2"
    )
    assert listed.splitlines() == [
        f"{origins[0]}  updater.decode at currency: wrong",
        f"{origins[1]}  updater.decode at currency: wrong",
        "2 open letters",
    ]
    assert twins(settings, "dlq", "list", "--late") == "0 open letters\n"

    shown = json.loads(twins(settings, "dlq", "show", origins[0], "--json"))
    assert shown["body"] == WRONG_CURRENCY
    file = tmp_path / "mended.ndjson"
    file.write_text(json.dumps(shown | {"body": WRONG_CURRENCY | {"currency": "USD", "customer_id": "c2"}}))
    assert twins(settings, "dlq", "replay", "--file", str(file)) == "replayed 1, skipped 0\n"
    report = json.loads(twins(settings, "dlq", "replay", "--set", "currency=USD", "--json", code=1))
    assert report["replayed"] == 1
    assert list(report["skipped"]) == [origins[1]], "what cannot be mended stays open"

    # Partitions are read in no special order: what was replayed is known by its header.
    everything = read_to_end(settings, TRANSACTIONS)
    mended = [message for message in everything if "twins_replay_of" in dict(message.headers() or [])]
    found = {message.key(): decode(Transaction, message.value()).currency for message in mended}
    assert found == {b"c2": "USD", b"c1": "USD"}
    assert "no open letter about" in twins(settings, "dlq", "show", origins[0], code=1)


def twins(settings: Settings, *arguments: str, code: int = 0) -> str:
    """What the command prints; it must exit with `code`."""
    environment = os.environ | {
        "TWINS_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "TWINS_TOPIC_PREFIX": settings.topic_prefix,
    }
    command = [Path(sys.executable).with_name("twins"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout or done.stderr
