"""The real data set as messages: exact totals, exact bytes, time order, as-of promotions."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import polars as pl
import pytest

from streams.errors import UsageError
from streams.sources.complete_journey import CompleteJourney
from streams.sources.complete_journey.tables import find_tables, midnight, week_bounds
from streams.sources.record import Record
from streams.topics import CATALOG, CUSTOMERS, PROMOTIONS, TRANSACTIONS
from twin_store.messages import CatalogItem, Customer, Promotion, Transaction
from twin_store.messages.codec import decode, epoch_seconds

MARCH = datetime(2017, 3, 1, tzinfo=UTC)
APRIL = datetime(2017, 4, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def journey() -> CompleteJourney:
    return CompleteJourney()


@pytest.fixture(scope="module")
def receipts(journey: CompleteJourney) -> list[Record]:
    return list(journey.records(topics=[TRANSACTIONS]))


def table(name: str) -> pl.DataFrame:
    return find_tables().scan(name).collect()


def test_every_basket_line_and_cent_is_there(receipts: list[Record]) -> None:
    assert len(receipts) == 155_848
    assert sum(record.lines for record in receipts) == 1_469_307
    assert sum(record.net_minor for record in receipts) == 459_603_958
    assert len({record.value for record in receipts}) == len(receipts)


def test_receipts_come_in_time_order(receipts: list[Record]) -> None:
    times = [record.at_seconds for record in receipts]
    assert times == sorted(times)
    assert times[0] == epoch_seconds(datetime(2017, 1, 1, 11, 53, 26, tzinfo=UTC))


def test_a_receipt_is_written_compactly(receipts: list[Record]) -> None:
    assert receipts[0].key == b"900"
    assert receipts[0].value == (
        b'{"version":"1.0","transaction_id":"31198570044","customer_id":"900","kind":"sale",'
        b'"occurred_at":"2017-01-01T11:53:26Z","store_id":"330","channel":"store","currency":"USD",'
        b'"lines":[{"sku":"1095275","quantity":1,"unit_price":"0.50","net":"0.50"}]}'
    )


def test_receipts_decode_to_what_the_table_holds(journey: CompleteJourney) -> None:
    chosen = journey.customers(25)
    expected = expected_receipts(chosen)
    decoded = [decode(Transaction, r.value) for r in journey.records(customers=chosen, topics=[TRANSACTIONS])]
    assert len(decoded) == len(expected) > 1_000
    for message in decoded:
        assert without_coupons(message) == expected[message.transaction_id]


def expected_receipts(customers: list[str]) -> dict[str, Transaction]:
    """The slow way: one line and one decimal at a time."""
    rows = table("transactions").filter(pl.col("household_id").is_in([int(each) for each in customers]))
    baskets: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows.iter_rows(named=True):
        baskets[row["basket_id"]].append(row)
    return {str(basket): expected_receipt(lines) for basket, lines in baskets.items()}


def expected_receipt(rows: list[dict[str, Any]]) -> Transaction:
    first = rows[0]
    return Transaction(
        transaction_id=str(first["basket_id"]),
        customer_id=str(first["household_id"]),
        occurred_at=first["transaction_timestamp"].replace(tzinfo=UTC),
        store_id=str(first["store_id"]),
        currency="USD",
        lines=[expected_line(row) for row in rows],
    )


def expected_line(row: dict[str, Any]) -> dict[str, Any]:
    net, retail, coupon, match = (
        Decimal(round(100 * row[name])).scaleb(-2)
        for name in ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")
    )
    line = {"sku": str(row["product_id"]), "quantity": float(row["quantity"]), "net": f"{net:.2f}"}
    if row["quantity"] > 0:
        price = (net + retail + match) / row["quantity"]
        text = f"{price.quantize(Decimal('0.0001'), ROUND_HALF_UP):f}"
        line["unit_price"] = text[:-2] if text.endswith("00") else text
    if retail + match:
        line["discount"] = f"{retail + match:.2f}"
    if coupon:
        line["coupon_discount"] = f"{coupon:.2f}"
    return line


def without_coupons(message: Transaction) -> Transaction:
    lines = [line.model_copy(update={"coupon_ids": []}) for line in message.lines]
    return message.model_copy(update={"lines": lines})


def test_every_redemption_is_on_one_line_of_its_household_and_day(receipts: list[Record]) -> None:
    redeemed = {
        (str(household), f"coupon-{campaign}-{upc}", day.date())
        for household, upc, campaign, day in table("coupon_redemptions").iter_rows()
    }
    found = []
    for record in receipts:
        if b"coupon_ids" in (record.value or b""):
            message = decode(Transaction, record.value)
            coupons = [coupon for line in message.lines for coupon in line.coupon_ids]
            found += [(message.customer_id, coupon, record.at_seconds) for coupon in coupons]
    assert len(found) == len(redeemed)
    for customer, coupon, at in found:
        days = [day for c, i, day in redeemed if (c, i) == (customer, coupon)]
        assert any(0 <= at - midnight(day) < 25 * 3_600 for day in days)


def test_redemptions_stay_where_they_are_in_any_window(
    journey: CompleteJourney, receipts: list[Record]
) -> None:
    start, end = epoch_seconds(MARCH), epoch_seconds(APRIL)
    part = list(journey.records(MARCH, APRIL, topics=[TRANSACTIONS]))
    assert part == [record for record in receipts if start <= record.at_seconds < end]


def test_the_catalogue_is_whole_and_reads_well(journey: CompleteJourney) -> None:
    records = list(journey.records(until=MARCH, topics=[CATALOG]))
    items = {record.key: record.value for record in records}
    assert len(items) == len(records) == 92_331
    sauce = decode(CatalogItem, items[b"26190"])
    assert sauce == CatalogItem(
        sku="26190",
        updated_at=datetime(2017, 1, 1, tzinfo=UTC),
        name="Private APPLE SAUCE 50 OZ",
        division="GROCERY",
        section="FRUIT - SHELF STABLE",
        item_type="APPLE SAUCE",
        brand="Private",
        private_label=True,
        package_size="50 OZ",
    )
    assert decode(CatalogItem, items[b"26081"]).name == "National MISCELLANEOUS"


def test_demographics_are_what_is_known(journey: CompleteJourney) -> None:
    records = list(journey.records(until=MARCH, customers=["1", "1003", "2"], topics=[CUSTOMERS]))
    people = {message.customer_id: message for message in (decode(Customer, r.value) for r in records)}
    assert set(people) == {"1", "1003"}  # nothing is known of household 2
    assert people["1"].demographics["age"] == "65+"
    assert "home_ownership" not in people["1003"].demographics


def test_displays_and_mailers_are_those_of_the_week(journey: CompleteJourney) -> None:
    starts, ends = week_bounds(9)
    until = datetime.fromtimestamp(ends, UTC)
    records = list(
        journey.records(datetime.fromtimestamp(starts, UTC), until, customers=["900"], topics=[PROMOTIONS])
    )
    messages = [decode(Promotion, record.value) for record in records]
    found = {
        (message.kind, message.store_id, item.sku, item.location)
        for message in messages
        for item in message.items
        if message.kind in ("display", "mailer")
    }
    week = table("promotions").filter(pl.col("week") == 9)
    stores = {message.store_id for message in messages if message.store_id}
    expected = {
        (kind, str(row["store_id"]), str(row["product_id"]), row[f"{kind}_location"])
        for row in week.filter(pl.col("store_id").cast(pl.String).is_in(stores)).iter_rows(named=True)
        for kind in ("display", "mailer")
        if row[f"{kind}_location"] != "0"
    }
    assert found == expected
    assert len(found) > 2_000
    assert {record.at_seconds for record in records if b"store_id" in (record.value or b"")} == {starts}
    assert all(len(record.value or b"") < 300_000 for record in records)
    assert len({record.key for record in records}) == len(records)


def test_campaigns_name_their_audience_and_coupons_when_they_start(journey: CompleteJourney) -> None:
    chosen = journey.customers(200)
    records = list(journey.records(customers=chosen, topics=[PROMOTIONS], displays=False))
    by_id = {message.promotion_id: message for message in (decode(Promotion, r.value) for r in records)}
    campaign = by_id["campaign-13"]
    audience = table("campaigns").filter(pl.col("campaign_id") == 13)["household_id"].cast(pl.String)
    assert set(campaign.audience) == set(audience) & set(chosen)
    assert campaign.campaign_type == "Type A"
    assert epoch_seconds(campaign.starts_at) == midnight(datetime(2017, 8, 8).date())
    assert epoch_seconds(campaign.ends_at) == midnight(
        datetime(2017, 9, 25).date()
    )  # its last day is the 24th
    coupon = by_id["coupon-13-10000085428"]
    assert coupon.campaign_id == campaign.campaign_id
    assert len(coupon.items) == 14_366  # and one that is not in the catalogue
    assert [r.at_seconds for r in records] == sorted(r.at_seconds for r in records)
    assert sum(message.kind == "campaign" for message in by_id.values()) == 27
    assert sum(message.kind == "coupon" for message in by_id.values()) == 1_197


def test_what_runs_already_is_published_first(journey: CompleteJourney) -> None:
    records = list(journey.records(MARCH, APRIL, customers=5, displays=False))
    topics = [record.topic for record in records]
    first_receipt = topics.index(TRANSACTIONS)
    assert topics[0] is CATALOG
    assert topics.index(CUSTOMERS) < topics.index(PROMOTIONS) < first_receipt
    running = [
        decode(Promotion, r.value)
        for r in records
        if r.topic is PROMOTIONS and r.at_seconds == epoch_seconds(MARCH)
    ]
    assert {m.promotion_id for m in running if m.kind == "campaign"} == {"campaign-27"}
    assert all(message.ends_at > MARCH for message in running)


def test_a_second_round_is_a_year_later_with_other_ids(journey: CompleteJourney) -> None:
    once = list(journey.records(customers=["900"], topics=[TRANSACTIONS]))
    twice = list(journey.records(customers=["900"], topics=[TRANSACTIONS], rounds=2))
    assert twice[: len(once)] == once
    for first, second in zip(once, twice[len(once) :], strict=True):
        before, after = decode(Transaction, first.value), decode(Transaction, second.value)
        assert after.transaction_id == f"{before.transaction_id}-1"
        assert after.occurred_at - before.occurred_at == timedelta(weeks=53)
        assert after.lines == before.lines
        assert second.at_seconds == epoch_seconds(after.occurred_at)


def test_a_sample_of_customers_is_stable_and_nested(journey: CompleteJourney) -> None:
    few, more = journey.customers(10), journey.customers(50)
    assert more[:10] == few
    assert len(journey.customers()) == 2_469
    records = journey.records(customers=10, topics=[TRANSACTIONS])
    assert {record.key.decode() for record in records} == set(few)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"customers": ["900", "nobody"]}, "no household nobody"),
        ({"customers": 0}, "at least 1"),
        ({"from_": APRIL, "until": MARCH}, "nothing happened"),
    ],
)
def test_what_the_data_set_lacks_is_refused(
    journey: CompleteJourney, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        journey.records(**arguments)


def test_displays_can_be_kept_to_some_products() -> None:
    until = datetime(2017, 1, 12, tzinfo=UTC)
    asked: dict[str, Any] = {"until": until, "customers": 5, "topics": (PROMOTIONS,)}
    every = [decode(Promotion, r.value) for r in CompleteJourney().records(**asked)]
    on_shelf = {item.sku for promotion in every if promotion.store_id for item in promotion.items}
    some = set(sorted(on_shelf)[::50])
    kept = [decode(Promotion, r.value) for r in CompleteJourney().records(**asked, promoted=some)]
    assert {item.sku for promotion in kept if promotion.store_id for item in promotion.items} == some
    assert [p for p in kept if not p.store_id] == [p for p in every if not p.store_id], "campaigns stay whole"
