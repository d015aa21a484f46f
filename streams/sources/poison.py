"""Messages that no reader may accept, and no reader may stumble over."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from streams.topics import TRANSACTIONS, Topic

HUGE_STRING_CHARACTERS = 1_000_000
CUT = "\ue000"  # stands for a cut character until the text is bytes
Body = dict[str, Any]


def poison_kinds(topic: Topic) -> tuple[str, ...]:
    """The kinds of poison there are for a topic's messages."""
    return (*ANY_TOPIC, *RECEIPTS) if topic is TRANSACTIONS else tuple(ANY_TOPIC)


def corrupt(kind: str, topic: Topic, value: bytes, serial: int) -> bytes:
    """A corrupted copy of one message; a receipt's gets a transaction id of its own, made with `serial`."""
    body: Body = json.loads(value)
    name = _id_field(topic, body)
    if topic is TRANSACTIONS:
        body[name] = f"{body[name]}-poison-{serial}"
    if kind in RECEIPTS:
        RECEIPTS[kind](body)
        return _encode(body)
    return ANY_TOPIC[kind](body, name)


def _id_field(topic: Topic, body: Body) -> str:
    """A field that no message of the topic may lack."""
    if topic is TRANSACTIONS:
        return "transaction_id"
    return next(name for name in topic.key_fields if body.get(name) is not None)


def _encode(body: Body) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _broken_json(body: Body, name: str) -> bytes:
    whole = _encode(body)
    return whole[: len(whole) // 2]


def _truncated_utf8(body: Body, name: str) -> bytes:
    return _encode(body | {name: f"{body[name]}{CUT}"}).replace(CUT.encode(), "€".encode()[:2])


def _wrong_type(body: Body, name: str) -> bytes:
    return _encode(body | {name: {"id": [1, 2]}})


def _unknown_version(body: Body, name: str) -> bytes:
    return _encode(body | {"version": "9.0"})


def _huge_string(body: Body, name: str) -> bytes:
    return _encode(body | {name: "x" * HUGE_STRING_CHARACTERS})


def _missing_field(body: Body, name: str) -> bytes:
    return _encode({field: value for field, value in body.items() if field != name})


ANY_TOPIC: dict[str, Callable[[Body, str], bytes]] = {
    "broken_json": _broken_json,
    "truncated_utf8": _truncated_utf8,
    "wrong_type": _wrong_type,
    "unknown_version": _unknown_version,
    "huge_string": _huge_string,
    "missing_field": _missing_field,
}

RECEIPTS: dict[str, Callable[[Body], None]] = {
    "absurd_quantity": lambda body: body["lines"][0].update(quantity=1e12),
    "absurd_price": lambda body: body["lines"][0].update(net="9000000000000000.00"),
    "not_a_number": lambda body: body["lines"][0].update(quantity=math.nan),
    "lines_not_a_list": lambda body: body.update(lines="none"),
    "wrong_currency": lambda body: body.update(currency="XTS"),
    "year_1900": lambda body: body.update(occurred_at="1900-01-01T00:00:00Z"),
    "year_9999": lambda body: body.update(occurred_at="9999-12-31T23:59:59Z"),
}
