"""Reads see what they ask for and nothing later, and open only the files that can hold it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from tests.twin_store.lake.feed import PARTITIONS, Feed, click, new_writer, receipt
from twin_store.lake import Lake, bucket_of, compact
from twin_store.lake.layout import CLICKS, TRANSACTIONS
from twin_store.lake.scan import Selection

MAY = datetime(2024, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def at(day: int, hour: int = 0) -> str:
    return f"2024-05-{day:02d}T{hour:02d}:00:00Z"


def lake_of(url: str, *published: tuple[str, str, dict[str, Any] | None]) -> Lake:
    feed = Feed()
    for table, key, value in published:
        feed.publish(table, key, value)
    feed.drain(new_writer(url))
    return Lake(url)


def test_a_lake_that_is_not_there_is_empty(url: str) -> None:
    lake = Lake(url)
    assert lake.positions() == {}
    frames = [lake.scan_transactions(), lake.scan_lines(), lake.scan_clicks(), lake.scan_customers()]
    frames += [lake.scan_catalog(), lake.scan_promotions(), lake.scan_predictions(), lake.scan_outcomes()]
    assert [frame.collect().height for frame in frames] == [0] * 8
    assert list(lake.iter_customer_events("ada")) == []


def test_from_is_included_and_until_is_not(url: str) -> None:
    sent = [("transactions", "ada", receipt(n, "ada", at(1 + n // 24, n % 24))) for n in range(72)]
    lake = lake_of(url, *sent)

    def found(**span: datetime) -> list[int]:
        ids = lake.scan_transactions(**span).collect()["transaction_id"]  # type: ignore[arg-type]
        return sorted(int(name[1:]) for name in ids)

    assert found() == list(range(72))
    assert found(from_=MAY + DAY) == list(range(24, 72))
    assert found(until=MAY + DAY) == list(range(24))
    assert found(from_=MAY + timedelta(hours=5), until=MAY + timedelta(hours=30)) == list(range(5, 30))
    tokyo = datetime.fromisoformat("2024-05-01T14:00:00+09:00")
    assert found(until=tokyo) == list(range(5))


def test_an_instant_without_a_time_zone_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        Lake(url).scan_transactions(until=datetime(2024, 5, 1))


def test_only_the_files_of_the_days_and_buckets_are_opened(url: str) -> None:
    sent = [
        ("transactions", f"c{n}", receipt(10 * day + n, f"c{n}", at(day)))
        for day in (1, 2, 3)
        for n in range(9)
    ]
    lake = lake_of(url, *sent)
    of = lambda selection: selection.files(TRANSACTIONS, lake.state, PARTITIONS)  # noqa: E731
    assert {file.day for file in of(Selection(MAY + DAY, MAY + 2 * DAY))} == {(MAY + DAY - _epoch()).days}
    assert {file.bucket for file in of(Selection(customers=["c1"]))} == {bucket_of("c1", PARTITIONS)}
    assert {file.bucket for file in of(Selection(bucket=2))} <= {2}
    assert lake.scan_clicks(customers=["c1"]).collect().height == 0
    folder = f"transactions/day=2024-05-01/bucket={bucket_of('c1', PARTITIONS)}/"
    assert any(file.path.startswith(folder) for file in lake.state.files)


def test_customers_are_chosen_and_buckets_add_up(url: str) -> None:
    lake = lake_of(url, *(("transactions", f"c{n}", receipt(n, f"c{n}")) for n in range(20)))
    chosen = lake.scan_transactions(customers={"c3", "c7", "nobody"}).collect()
    assert sorted(chosen["customer_id"]) == ["c3", "c7"]
    parts = [lake.scan_lines(bucket=bucket).collect().height for bucket in range(lake.format.buckets)]
    assert sum(parts) == 40
    assert sum(part > 0 for part in parts) > 1


def test_a_click_belongs_to_the_customer_or_else_to_the_anonymous_id(url: str) -> None:
    lake = lake_of(
        url,
        ("clicks", "a1", click(1, anonymous_id="a1")),
        ("clicks", "ada", click(2, anonymous_id="a1", customer_id="ada")),
    )
    assert lake.scan_clicks(customers=["a1"]).collect()["event_id"].to_list() == ["e1"]
    assert lake.scan_clicks(customers=["ada"]).collect()["event_id"].to_list() == ["e2"]
    assert {file.bucket for file in lake.state.files if file.table == CLICKS.name} == {
        bucket_of("a1", PARTITIONS),
        bucket_of("ada", PARTITIONS),
    }


def customer(day: int, **fields: Any) -> dict[str, Any]:
    return {"customer_id": "ada", "updated_at": at(day), **fields}


def test_customers_are_as_they_stood(url: str) -> None:
    lake = lake_of(
        url,
        ("customers", "ada", customer(3, personalisation_consent=False)),
        ("customers", "ada", customer(1, demographics={"age": "30"}, anonymous_ids=["a1"])),
    )
    row = lake.scan_customers(MAY + DAY).collect().row(0, named=True)
    assert (row["personalisation_consent"], row["demographics"]) == (True, '{"age":"30"}')
    assert row["anonymous_ids"] == ["a1"]
    assert lake.scan_customers().collect()["personalisation_consent"].to_list() == [False]
    assert lake.scan_customers(MAY - DAY).collect().height == 0


def product(day: int, name: str, **fields: Any) -> dict[str, Any]:
    return {"sku": "milk", "updated_at": at(day), "name": name, **fields}


def test_the_catalogue_is_as_it_stood_and_deleted_is_gone(url: str) -> None:
    lake = lake_of(
        url,
        ("catalog", "milk", product(1, "Milk", brand="B", stocked_at=["s1"], private_label=True)),
        ("catalog", "milk", product(2, "Milk 1 l")),
        ("catalog", "tea", {**product(1, "Tea"), "sku": "tea"}),
        ("catalog", "tea", None),
    )
    first = lake.scan_catalog(MAY).collect().sort("sku")
    assert first["name"].to_list() == ["Milk", "Tea"]
    assert first.row(0, named=True)["stocked_at"] == ["s1"]
    assert first["private_label"].to_list() == [True, None]
    assert lake.scan_catalog(MAY + DAY).collect().sort("sku")["name"].to_list() == ["Milk 1 l", "Tea"]
    assert lake.scan_catalog().collect()["name"].to_list() == ["Milk 1 l"]


def test_promotions_are_those_that_had_started_each_in_its_newest_form(url: str) -> None:
    def promotion(name: str, day: int, **fields: Any) -> dict[str, Any]:
        span = {"starts_at": at(day), "ends_at": at(day + 7)}
        return {"promotion_id": name, "kind": "display", **span, **fields}

    lake = lake_of(
        url,
        ("promotions", "p1", promotion("p1", 1, items=[{"sku": "milk", "price": "1.00"}])),
        ("promotions", "p1", promotion("p1", 1, items=[{"sku": "milk", "price": "0.90"}], store_id="s1")),
        ("promotions", "p2", promotion("p2", 4, kind="campaign", audience=["ada"], campaign_type="A")),
    )
    started = lake.scan_promotions(MAY + DAY).collect()
    assert started["promotion_id"].to_list() == ["p1"]
    assert started["items"].to_list() == [[{"sku": "milk", "location": None, "price": "0.90"}]]
    both = lake.scan_promotions().collect().sort("promotion_id")
    assert both["audience"].to_list()[1] == ["ada"]
    assert both["store_id"].to_list() == ["s1", None]


def test_answers_and_outcomes_are_found_by_the_moment_they_are_about(url: str) -> None:
    common = {
        "query_id": "q",
        "kind": "purchase",
        "customer_id": "ada",
        "decider": "evidence",
        "as_of": at(2),
    }
    common["decider_version"] = "7"
    answer = common | {"status": "answered", "raised_at": at(9), "answered_at": at(9), "latency_ms": 1.5}
    answer |= {"raised_by": "request", "probabilities": [1, 0.25], "subject": {"candidates": ["x", "y"]}}
    answer |= {"settlement": {"by": "next_trip", "until": at(9)}}
    truth = common | {"settled_at": at(10), "settled_by": "receipt", "truths": [1, 0], "brier": 0.03}
    lake = lake_of(url, ("predictions", "ada", answer), ("outcomes", "ada", truth))
    found = lake.scan_predictions(MAY + DAY, MAY + 2 * DAY).collect().row(0, named=True)
    assert (found["probabilities"], found["latency_ms"], found["choice"]) == ([1.0, 0.25], 1.5, None)
    assert '"candidates": ["x", "y"]' in found["value"]
    settled = lake.scan_outcomes(customers=["ada"]).collect().row(0, named=True)
    assert (settled["truths"], settled["brier"], settled["void"]) == ([1, 0], 0.03, False)
    assert lake.scan_outcomes(until=MAY + DAY).collect().height == 0


def test_a_customers_events_come_in_the_order_of_kafka(url: str) -> None:
    lake = lake_of(
        url,
        ("transactions", "ada", receipt(2, "ada", at(2))),
        ("transactions", "bob", receipt(9, "bob")),
        ("clicks", "ada", click(1, customer_id="ada")),
        ("transactions", "ada", receipt(1, "ada", at(1))),
        ("customers", "ada", customer(1)),
        ("erasures", "ada", {"customer_id": "ada", "requested_at": "2020-01-01T00:00:00Z"}),
    )
    events = list(lake.iter_customer_events("ada"))
    assert [(event.topic, type(event.message).__name__) for event in events] == [
        ("topic.clicks", "Click"),
        ("topic.customers", "Customer"),
        ("topic.erasures", "Erasure"),
        ("topic.transactions", "Transaction"),
        ("topic.transactions", "Transaction"),
    ]
    assert [event.message.transaction_id for event in events[3:]] == ["t2", "t1"]  # type: ignore[attr-defined]


def test_an_open_lake_does_not_change_until_it_is_refreshed(url: str) -> None:
    feed = Feed()
    feed.publish("transactions", "ada", receipt(1, "ada"))
    feed.drain(new_writer(url))
    lake = Lake(url)
    feed.publish("transactions", "ada", receipt(2, "ada"))
    feed.drain(new_writer(url))
    compact(lake.log)
    assert lake.scan_transactions().collect().height == 1
    lake.refresh()
    assert lake.scan_transactions().select(pl.len()).collect().item() == 2


def _epoch() -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC)
