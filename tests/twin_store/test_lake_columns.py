"""From the lake come the same integers as from the wire, whatever was sent."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.twin_store.lake.feed import PARTITIONS, PUBLISHED, Feed, click, new_writer, receipt
from twin_store.click_columns import ClickDecoder
from twin_store.columns import ReceiptDecoder
from twin_store.dna.layout import EVENT_END, EVENT_START, EVENT_TWIN
from twin_store.lake import Lake, bucket_of
from twin_store.lake_columns import click_columns, receipt_columns
from twin_store.records import Record

MONEY = (None, "0", "1", "0.5", "12.345", "12.355", "-3.005", "9999999.9999", "0.0049", "0.0051")


def _awkward_receipts(count: int) -> list[dict[str, Any]]:
    """Receipts with every kind of value that two decoders could read differently."""
    choose = random.Random(7)
    found = []
    for number in range(count):
        lines: list[dict[str, Any]] = []
        for _ in range(choose.randint(1, 3)):
            line: dict[str, Any] = {
                "sku": f"sku-{choose.randint(0, 5)}",
                "quantity": choose.choice([0, 1, 2.5, 0.0005, 0.0015, 3.14159]),
            }
            for name in ("unit_price", "discount", "coupon_discount", "net"):
                if (money := choose.choice(MONEY)) is not None:
                    line[name] = money
            line["promotion_ids"] = choose.choice([[], ["p1"], ["p1", "p2"]])
            line["coupon_ids"] = choose.choice([[], ["k1"]])
            lines.append(line)
        fields: dict[str, Any] = {"lines": lines, "store_id": choose.choice([None, "s1", "s2"])}
        fields["channel"] = choose.choice(["store", "web"])
        if number % 5 == 4:
            kind = choose.choice(["return", "void"])
            fields |= {"kind": kind, "original_transaction_id": f"t{number - 1}"}
            if kind == "void" and choose.random() < 0.5:
                fields["lines"] = []
        at = f"2024-05-{choose.randint(1, 28):02d}T10:00:{choose.randint(0, 59):02d}.9999Z"
        found.append(receipt(number, f"c{choose.randint(0, 4)}", at, **fields))
    return found


def test_receipts_are_the_columns_of_the_wire(tmp_path: Path) -> None:
    feed = Feed()
    for body in _awkward_receipts(200):
        feed.publish("transactions", body["customer_id"], body)
    feed.drain(new_writer(str(tmp_path)))
    stored = receipt_columns(Lake(str(tmp_path)).scan_transactions().collect(), "USD")

    decoder = ReceiptDecoder("USD")
    compared = 0
    for customer, (start, end) in stored.bounds.items():
        records = [
            Record(key, value, PUBLISHED)
            for key, value in feed.records["topic.transactions", bucket_of(customer, PARTITIONS)]
            if key == customer.encode()
        ]
        wire = decoder.decode(records)
        assert not wire.bad
        events = stored.events[start:end]
        skipped = [EVENT_TWIN, EVENT_START, EVENT_END]
        np.testing.assert_array_equal(
            np.delete(events, skipped, axis=1), np.delete(wire.events, skipped, axis=1)
        )
        for ours, theirs in zip(events, wire.events, strict=True):
            np.testing.assert_array_equal(
                stored.lines[ours[EVENT_START] : ours[EVENT_END]],
                wire.lines[theirs[EVENT_START] : theirs[EVENT_END]],
            )
        assert {key: stored.symbols[key] for key in wire.symbols.values()} == {
            key: text for text, key in wire.symbols.items()
        }
        compared += len(events)
    assert compared == 200


def test_clicks_are_the_columns_of_the_wire(tmp_path: Path) -> None:
    actions = ["search", "view", "add_to_cart", "remove_from_cart", "checkout_start", "purchase"]
    feed = Feed()
    for number in range(60):
        owner = {"customer_id": "ada"} if number % 3 else {"anonymous_id": "visitor"}
        body = click(
            number, session_id=f"s{number % 7}", action=actions[number % 6], quantity=0.0015, **owner
        )
        if number % 4:
            body["sku"] = f"sku-{number % 5}"
        feed.publish("clicks", next(iter(owner.values())), body)
    feed.drain(new_writer(str(tmp_path)))
    stored = click_columns(Lake(str(tmp_path)).scan_clicks().collect())
    assert set(stored.bounds) == {"ada", "visitor"}
    for owner_id, (start, end) in stored.bounds.items():
        records = [
            Record(key, value, PUBLISHED)
            for key, value in feed.records["topic.clicks", bucket_of(owner_id, PARTITIONS)]
            if key == owner_id.encode()
        ]
        np.testing.assert_array_equal(stored.rows[start:end], ClickDecoder().decode(records).rows)


@pytest.mark.parametrize("empty", ["no rows", "only a void"])
def test_nothing_gives_no_rows(tmp_path: Path, empty: str) -> None:
    if empty == "only a void":
        feed = Feed()
        void = receipt(1, "ada", kind="void", original_transaction_id="t0", lines=[])
        feed.publish("transactions", "ada", void)
        feed.drain(new_writer(str(tmp_path)))
    lake = Lake(str(tmp_path))
    stored = receipt_columns(lake.scan_transactions().collect(), "USD")
    assert len(stored.lines) == 0
    assert len(stored.events) == (0 if empty == "no rows" else 1)
    assert len(click_columns(lake.scan_clicks().collect()).rows) == 0
