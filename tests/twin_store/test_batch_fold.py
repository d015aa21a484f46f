"""Live = batch: the lake gives the twins that folding batch by batch gave, hash for hash."""

from __future__ import annotations

import random
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.twin_store.lake.feed import PUBLISHED, Feed, click, new_writer, receipt
from twin_store.about import about_of
from twin_store.batch_fold import fold, fold_all, fold_links, read, read_links, twin_as_of
from twin_store.click_columns import ClickDecoder
from twin_store.columns import ReceiptDecoder
from twin_store.dna.forgetting import nameless
from twin_store.dna.twin import Twin, fold_about, fold_clicks, fold_receipts, merge, rewind
from twin_store.lake import Lake, Table
from twin_store.lake.layout import TRANSACTIONS
from twin_store.messages import Customer
from twin_store.messages.codec import decode, epoch_seconds
from twin_store.records import Record

DAYS = 60


def at(day: int, hour: int = 10) -> str:
    return f"2024-{1 + day // 28:02d}-{1 + day % 28:02d}T{hour:02d}:00:00Z"


def publish_shop(feed: Feed, seed: int, customers: int = 6, late_days: int = 25) -> None:
    """Two months of sales, returns, voids, clicks and demographics, some of them twice and out of order."""
    choose = random.Random(seed)
    sent: list[tuple[int, str, str, dict[str, Any]]] = []
    for number in range(240):
        customer = f"c{choose.randrange(customers)}"
        day = choose.randrange(DAYS)
        body = receipt(number, customer, at(day), store_id=choose.choice(["s1", "s2"]))
        sent.append((day, "transactions", customer, body))
        if number % 9 == 0:
            back = receipt(number, customer, at(day, 12), kind="return", original_transaction_id=f"t{number}")
            back |= {"transaction_id": f"r{number}", "lines": body["lines"][:1]}
            sent.append((day + choose.randint(-1, 1), "transactions", customer, back))
        if number % 23 == 0:
            void = {"transaction_id": f"v{number}", "kind": "void", "lines": []}
            body = receipt(number, customer, at(day, 13), original_transaction_id=f"t{number}") | void
            sent.append((day, "transactions", customer, body))
        seen = click(number, at(day, 9), customer_id=customer, sku="milk", action="add_to_cart")
        sent.append((day, "clicks", customer, seen))
    for number in range(customers):
        about = {"customer_id": f"c{number}", "updated_at": at(number), "demographics": {"age": f"{number}"}}
        sent.append((number, "customers", f"c{number}", about))
    sent += [(day + choose.randint(0, late_days), *rest) for day, *rest in choose.sample(sent, 60)]  # type: ignore[misc]
    for _, table, key, value in sorted(sent, key=lambda item: item[0]):
        feed.publish(table, key, value)


def live(feed: Feed, customer: str, seed: int) -> Twin:
    """The customer's twin, folded from the wire in batches of random sizes."""
    choose = random.Random(seed)
    receipts, clicks = ReceiptDecoder("USD"), ClickDecoder()
    twin = Twin()
    for (topic, _), records in sorted(feed.records.items()):
        mine = [Record(key, value, PUBLISHED) for key, value in records if key == customer.encode()]
        while mine:
            size = choose.randint(1, 9)
            batch, mine = mine[:size], mine[size:]
            if topic == "topic.transactions":
                columns = receipts.decode(batch)
                twin = fold_receipts(twin, columns.events, columns.lines)[0]
            elif topic == "topic.clicks":
                twin = fold_clicks(twin, clicks.decode(batch).rows)[0]
            elif topic == "topic.customers":
                for record in batch:
                    twin = fold_about(twin, *about_of(decode(Customer, record.value)))
    return twin


@pytest.mark.parametrize("seed", range(3))
def test_the_batch_fold_gives_the_live_twins(tmp_path: Path, seed: int) -> None:
    feed = Feed()
    publish_shop(feed, seed)
    feed.drain(new_writer(str(tmp_path)))
    lake = Lake(str(tmp_path))
    folded: dict[str, Twin] = {}
    for bucket in range(lake.format.buckets):
        folded |= fold_all(read(lake, bucket=bucket), {}, {})
    assert sorted(folded) == [f"c{n}" for n in range(6)]
    for customer, twin in folded.items():
        ours = live(feed, customer, seed)
        assert (customer, twin.content_hash()) == (customer, ours.content_hash())
        assert twin.events_folded == ours.events_folded > 10


def test_only_what_is_included_is_folded(tmp_path: Path) -> None:
    feed = Feed()
    for number in range(10):
        feed.publish("transactions", "ada", receipt(number, "ada", at(number)))
    feed.drain(new_writer(str(tmp_path)))

    def before_four(frame: pl.LazyFrame, table: Table) -> pl.LazyFrame:
        return frame.filter(pl.col("offset") < 4) if table is TRANSACTIONS else frame

    stored = read(Lake(str(tmp_path)), customers=["ada"], included=before_four)
    assert fold(stored, "ada").events_folded == 4


def test_an_anonymous_visitor_becomes_a_customer(tmp_path: Path) -> None:
    feed = Feed()
    feed.publish("transactions", "ada", receipt(1, "ada", at(1)))
    for number in range(5):
        feed.publish("clicks", "visitor", click(number, at(number), anonymous_id="visitor", sku="milk"))
    signed_in = {"customer_id": "ada", "updated_at": at(6), "anonymous_ids": ["visitor"]}
    feed.publish("customers", "ada", signed_in)
    feed.publish("customers", "eve", signed_in | {"customer_id": "eve", "updated_at": at(7)})
    feed.drain(new_writer(str(tmp_path)))
    lake = Lake(str(tmp_path))
    links = read_links(lake)
    assert list(links) == ["visitor"]
    assert links["visitor"] in {"ada", "eve"}
    folded = dict(fold_all(read(lake), {"visitor": "ada"}, fold_links(lake, {"visitor": "ada"})))
    assert sorted(folded) == ["ada", "eve"]
    assert (
        folded["ada"].content_hash()
        == merge(live(feed, "ada", 1), nameless(live(feed, "visitor", 1))).content_hash()
    )


def test_an_erased_customer_is_what_came_after(tmp_path: Path) -> None:
    feed = Feed()
    for day in range(8):
        feed.publish("transactions", "ada", receipt(day, "ada", at(day)))
        feed.publish("transactions", "eve", receipt(100 + day, "eve", at(day)))
    feed.publish("erasures", "ada", {"customer_id": "ada", "requested_at": at(5, 11)})
    feed.publish("erasures", "eve", {"customer_id": "eve", "requested_at": at(9)})
    feed.drain(new_writer(str(tmp_path)))
    folded = dict(fold_all(read(Lake(str(tmp_path))), {}, {}))
    assert {customer: twin.events_folded for customer, twin in folded.items()} == {"ada": 2}


def test_as_of_a_moment_is_the_live_twin_rewound(tmp_path: Path) -> None:
    feed = Feed()
    publish_shop(feed, 11, late_days=5)  # nothing is refused as late, at no moment
    feed.drain(new_writer(str(tmp_path)))
    lake = Lake(str(tmp_path))
    now = live(feed, "c1", 11)
    for day in (45, 52, 58):
        as_of = epoch_seconds(datetime.fromisoformat(at(day)))
        twin, symbols = twin_as_of(lake, "c1", as_of)
        assert twin.last_second <= as_of
        rewound = rewind(now, as_of)
        assert twin.events_folded == rewound.events_folded > 20
        assert twin.about == rewound.about != b""
        for ours, theirs in zip(
            (twin.cells, twin.visits, twin.receipts),
            (rewound.cells, rewound.visits, rewound.receipts),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)
        assert set(twin.cells[:, 0].tolist()) <= set(symbols)
