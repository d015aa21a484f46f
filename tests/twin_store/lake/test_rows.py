"""What the lake holds is what was sent: nothing rounded, nothing lost, and nothing that is not a valid message."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

import polars as pl
import pytest

from tests.twin_store.lake.feed import Feed, click, new_writer, receipt
from twin_store.lake import Lake
from twin_store.lake.minor import minor_units, thousandths
from twin_store.messages import Click, Transaction
from twin_store.messages.codec import decode, to_minor, to_thousandths


def lake_of(feed: Feed, url: str) -> Lake:
    feed.drain(new_writer(url))
    return Lake(url)


def test_receipts_come_back_as_the_messages_that_were_sent(url: str) -> None:
    feed = Feed()
    sent = [
        receipt(1, "ada", store_id="s1", version="1.7"),
        receipt(2, "ada", kind="return", original_transaction_id="t1", channel="web"),
        receipt(3, "ada", kind="void", original_transaction_id="t1", lines=[]),
        receipt(4, "ada", at="2024-05-01T23:59:59.123456-02:00"),
    ]
    for message in sent:
        feed.publish("transactions", "ada", message)
    events = list(lake_of(feed, url).iter_customer_events("ada"))
    wanted = [decode(Transaction, json.dumps(message).encode()) for message in sent]
    assert [event.message for event in events] == wanted
    assert [event.offset for event in events] == [0, 1, 2, 3]


def test_clicks_come_back_as_the_messages_that_were_sent(url: str) -> None:
    feed = Feed()
    sent = [click(1, customer_id="ada", anonymous_id="a7", sku="x"), click(2, anonymous_id="a7", query="tea")]
    feed.publish("clicks", "ada", sent[0])
    feed.publish("clicks", "a7", sent[1])
    lake = lake_of(feed, url)
    hers, its = (list(lake.iter_customer_events(who)) for who in ("ada", "a7"))
    assert [event.message for event in hers + its] == [
        decode(Click, json.dumps(message).encode()) for message in sent
    ]


def test_a_row_says_where_and_when_it_came_from(url: str) -> None:
    feed = Feed()
    feed.publish("transactions", "ada", receipt(1, "ada"))
    row = lake_of(feed, url).scan_transactions().collect().row(0, named=True)
    assert (row["topic"], row["offset"]) == ("topic.transactions", 0)
    assert row["received_at"] == datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    "bad",
    [
        b"{not json",
        b"\xff\xfe",
        None,
        receipt(1, "ada", currency="EUR"),
        receipt(1, "ada", version="2.0"),
        receipt(1, "ada", at="2024-05-01"),
        receipt(1, "ada", at="2101-01-01T00:00:00Z"),
        receipt(1, "ada", lines=[]),
        receipt(1, "ada", lines=[{"sku": "x", "quantity": 1, "net": "1e3"}]),
        receipt(1, "ada", lines=[{"sku": "x", "quantity": "1"}]),
    ],
)
def test_what_is_no_valid_message_is_counted_and_left_out(url: str, bad: object) -> None:
    feed = Feed()
    feed.publish("transactions", "ada", bad)  # type: ignore[arg-type]
    feed.publish("transactions", "ada", receipt(2, "ada"))
    lake = lake_of(feed, url)
    assert lake.scan_transactions().collect()["transaction_id"].to_list() == ["t2"]
    assert sum(reach.skipped for reach in lake.state.reaches.values()) == 1


def test_lines_have_the_units_of_the_inside(url: str) -> None:
    feed = Feed()
    feed.publish("transactions", "ada", receipt(1, "ada"))
    lines = lake_of(feed, url).scan_lines().sort("line").collect()
    assert lines["line"].to_list() == [0, 1]
    assert lines["sku"].to_list() == ["sku-1", "milk"]
    assert lines["quantity_thousandths"].to_list() == [1_500, 1_000]
    assert lines["unit_price_minor"].to_list() == [250, None]
    assert lines["net_minor"].to_list() == [375, 100]  # 0.995, half to even
    assert lines["discount_minor"].to_list() == [0, 10]
    assert lines["promotion_ids"].to_list() == [[], ["p1", "p2"]]


@pytest.mark.parametrize("digits", [0, 2, 3])
def test_columns_convert_as_the_codec_does(digits: int) -> None:
    numbers = [Decimal(n) / 10_000 for n in range(-25_050, 25_050, 7)]
    texts = [str(n) for n in numbers] + ["-0", "0.5", "1.5", "2.5", "-0.5", "-1.5", "9999999.9999", "12.345"]
    found = pl.DataFrame({"m": texts}).select(minor_units(pl.col("m"), digits))["m"].to_list()
    assert found == [to_minor(text, digits) for text in texts]
    assert found[0] == int(numbers[0].scaleb(digits).quantize(Decimal(1), ROUND_HALF_EVEN))


def test_quantities_convert_as_the_codec_does() -> None:
    values = [n / 8_000 for n in range(20_000)] + [0.0005, 0.0015, 1.0005, 123_456.7895]
    found = pl.DataFrame({"q": values}).select(thousandths(pl.col("q")))["q"].to_list()
    assert found == [to_thousandths(value) for value in values]
