"""The profile that is published: what it says of receipts and clicks, in the words of its contract."""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tests.retail import at, sale, second, twin_of
from tests.twin_store.dna.histories import fold
from tests.twin_store.dna.oracle import Click
from twin_store.dna.layout import ACTIONS
from twin_store.dna.preferences import DEAL_SHARE, LEVELS, PRICE, TIER, USUALS, products_table
from twin_store.dna.profile import ProductNames, ProfileWriter, source_offsets
from twin_store.dna.twin import Twin, fold_about
from twin_store.key_index import KeyIndex
from twin_store.messages import Profile, Transaction
from twin_store.messages.codec import decode
from twin_store.symbols import key_of, visit_name

SKUS = [f"sku{n}" for n in range(12)]
STORES = ("s1", "s2", "s/3", None)


def symbols(*texts: str) -> dict[int, str]:
    return {key_of(text): text for text in texts}


KNOWN = symbols(*SKUS, *(visit_name("store", store) for store in STORES), visit_name("web", None))


def profile_of(twin: Twin, names: ProductNames | None = None, currency: str = "USD") -> Profile:
    """The profile as a reader gets it: from its bytes, through the contract."""
    offsets = source_offsets({("b", 1): 7, ("a", 0): 3})
    digest, body = ProfileWriter(currency).write("c1", twin, names or ProductNames.none(), KNOWN, offsets)
    profile = decode(Profile, body)
    assert profile.content_hash == digest == twin.content_hash()
    return profile


def names_of(
    sections: dict[str, str], tiers: dict[str, float], price: float = np.nan, deal_share: float = np.nan
) -> ProductNames:
    """A catalogue of sections and price tiers, types and brands named after them; the rest is the same for all."""
    texts = sorted(set(sections.values()))
    index = KeyIndex()
    index.add(np.array([key_of(sku) for sku in sections], dtype=np.int64))
    groups = np.array([[texts.index(section)] * LEVELS for section in sections.values()], dtype=np.int64)
    usual = np.empty((len(sections), USUALS))
    usual[:, TIER] = [tiers.get(sku, np.nan) for sku in sections]
    usual[:, PRICE], usual[:, DEAL_SHARE] = price, deal_share
    products = products_table(index, groups, usual, np.full(LEVELS, len(texts)))
    return ProductNames(
        products, texts, [f"{text} type" for text in texts], [f"{text} brand" for text in texts]
    )


def receipts_of(seed: int, days: int = 300) -> list[Transaction]:
    """Trips of a year at most, with deals and coupons, in order of time."""
    choose = random.Random(seed)

    def line() -> dict[str, Any]:
        cents, quantity = choose.randrange(2_000), choose.choice((1.0, 2.0, 0.355))
        return {
            "sku": choose.choice(SKUS),
            "quantity": quantity,
            "net": f"{cents // 100}.{cents % 100:02d}",
            "discount": choose.choice(("0", "0", "0.30")),
            "coupon_discount": choose.choice(("0", "0", "1.00")),
        }

    return [
        sale(day, [line() for _ in range(choose.randint(1, 5))], store=choose.choice(STORES), number=f"t{n}")
        for n, day in enumerate(sorted(choose.sample(range(days), choose.randint(1, 40))))
    ]


def cents(money: str | None) -> int:
    return round(float(money or 0) * 100)


def net(receipts: Sequence[Transaction], *names: str) -> int:
    return sum(cents(getattr(line, name)) for r in receipts for line in r.lines for name in names)


@pytest.mark.parametrize("seed", range(25))
def test_what_the_receipts_of_a_year_say(seed: int) -> None:
    receipts = receipts_of(seed)
    lines = [line for receipt in receipts for line in receipt.lines]
    newest = receipts[-1].occurred_at
    told = profile_of(twin_of(receipts))
    dna, count = told.dna, len(receipts)

    assert (told.as_of, told.events_folded) == (newest, count)
    assert [(o.topic, o.partition, o.offset) for o in told.offsets] == [("a", 0, 3), ("b", 1, 7)]
    assert (dna.activity.receipts, dna.activity.lines) == (count, len(lines))
    assert dna.activity.units == pytest.approx(sum(line.quantity for line in lines))
    assert cents(dna.activity.spend) == net(receipts, "net")
    assert (dna.activity.first_seen, dna.activity.last_seen) == (receipts[0].occurred_at, newest)

    assert cents(dna.basket.mean_spend) == pytest.approx(net(receipts, "net") / count, abs=0.51)
    assert dna.basket.mean_lines == pytest.approx(len(lines) / count, abs=0.01)
    if count > 1:
        whole = (newest - receipts[0].occurred_at).days
        assert dna.basket.days_between_trips == pytest.approx(whole / (count - 1), abs=0.01)
    else:
        assert dna.basket.days_between_trips is None

    deals = sum(cents(line.discount) > 0 for line in lines)
    saved = net(receipts, "discount", "coupon_discount")
    assert dna.promotion.deal_share == pytest.approx(deals / len(lines), abs=1e-4)
    assert dna.promotion.coupon_lines == sum(cents(line.coupon_discount) > 0 for line in lines)
    assert dna.promotion.discount_share == pytest.approx(saved / (net(receipts, "net") + saved), abs=1e-4)

    assert dna.timing.by_hour == [count if hour == 12 else 0 for hour in range(24)]
    weekdays = Counter(receipt.occurred_at.weekday() for receipt in receipts)
    assert dna.timing.by_weekday == [weekdays[day] for day in range(7)]
    assert dna.channels == {"store": count}
    assert dna.stores == dict(Counter(r.store_id for r in receipts if r.store_id))

    recent = [r for r in receipts if newest - r.occurred_at < timedelta(days=28)]
    before = [r for r in receipts if timedelta(days=28) <= newest - r.occurred_at < timedelta(days=84)]
    assert cents(dna.trend.spend_last_4_weeks) == net(recent, "net")
    ratio = net(recent, "net") / (net(before, "net") / 2) if net(before, "net") else None
    assert dna.trend.spend_ratio == (pytest.approx(ratio, abs=1e-3) if ratio is not None else None)
    assert dna.trend.days_since_last_receipt == 0

    bought: dict[str, list[datetime]] = {}
    for receipt in receipts:
        for sku in {line.sku for line in receipt.lines}:
            bought.setdefault(sku, []).append(receipt.occurred_at)
    regular = {sku: when for sku, when in bought.items() if len(when) >= 3}
    assert {item.sku for item in dna.regulars} == set(regular)
    for item in dna.regulars:
        when = regular[item.sku]
        interval = (when[-1] - when[0]).days / (len(when) - 1)
        assert item.purchase_days == len(when)
        assert item.interval_days == pytest.approx(interval, abs=0.01)
        assert item.last_bought == when[-1].date().isoformat()
        assert item.due == pytest.approx((newest - when[-1]).days / interval, abs=1e-3)
    assert [item.purchase_days for item in dna.regulars] == sorted(map(len, regular.values()), reverse=True)


def test_categories_and_their_price_tiers_have_the_catalogues_names() -> None:
    sections = {"sku0": "dairy", "sku1": "dairy", "sku2": "wine"}
    names = names_of(sections, {"sku0": 0.2, "sku2": 0.9})
    told = profile_of(twin_of([sale(0, ["sku0", "sku0", "sku1", "sku2", "sku9"])]), names).dna
    assert [(c.category, c.lines, c.share, c.price_tier) for c in told.categories] == [
        ("dairy", 3, 0.6, 0.2),
        ("wine", 1, 0.2, 0.9),
    ]
    for groups, suffix in ((told.types, "type"), (told.brands, "brand")):
        assert groups == [
            each.model_copy(update={"category": f"{each.category} {suffix}"}) for each in told.categories
        ]
    assert told.price_tier == pytest.approx((2 * 0.2 + 0.9) / 3, abs=1e-3)


def test_what_she_pays_and_how_she_buys_on_deals_is_held_against_what_is_usual() -> None:
    lines = [{"sku": "sku0", "net": "1.50", "discount": "0.50"}, {"sku": "sku1", "quantity": 2.0}, "sku9"]
    told = profile_of(
        twin_of([sale(0, lines)]), names_of({"sku0": "dairy", "sku1": "wine"}, {}, 200.0, 0.2)
    ).dna
    assert told.price_index == pytest.approx((1.50 + 1.00) / (2.00 + 2 * 2.00), abs=1e-3)
    assert [(each.category, each.price_index) for each in told.categories] == [
        ("dairy", 0.75),
        ("wine", 0.25),
    ]
    assert told.promotion.deal_share == pytest.approx(1 / 3, abs=1e-4)
    assert told.promotion.deal_lift == pytest.approx(1 / (2 * 0.2))
    assert told.price_tier is None


def test_nothing_is_compared_where_nothing_is_known_of_the_products() -> None:
    told = profile_of(twin_of([sale(0, ["sku0", "sku1"])])).dna
    assert (told.price_tier, told.price_index, told.promotion.deal_lift) == (None, None, None)
    assert (told.categories, told.types, told.brands) == ([], [], [])


def test_what_left_the_window_counts_in_the_totals_alone() -> None:
    told = profile_of(twin_of([sale(0, ["sku1"]), sale(1, ["sku1"]), sale(500, ["sku2"])])).dna
    assert (told.activity.receipts, told.activity.spend) == (3, "3.00")
    assert (told.basket.mean_spend, told.basket.mean_lines) == ("1.00", 1.0)
    assert told.channels == {"store": 1}
    assert told.regulars == []


def test_a_week_that_is_only_partly_in_the_window_does_not_bend_the_mean() -> None:
    told = profile_of(twin_of([sale(2, ["sku1"] * 9), sale(372, ["sku2"])])).dna
    assert (told.basket.mean_spend, told.basket.mean_lines) == ("1.00", 1.0)


def test_returns_show_as_returned_lines_and_nothing_else() -> None:
    bought = sale(0, ["sku1", "sku2"], number="t1")
    taken = Transaction.model_validate(
        bought.model_dump()
        | {"transaction_id": "r1", "kind": "return", "original_transaction_id": "t1", "occurred_at": at(3)}
        | {"lines": [{"sku": "sku1", "quantity": 1.0}]}
    )
    told = profile_of(twin_of([bought, taken])).dna
    assert (told.activity.receipts, told.activity.lines, told.activity.returned_lines) == (1, 1, 1)
    assert told.activity.spend == "1.00"
    assert told.trend.spend_last_4_weeks == "1.00"


def test_clicks_make_the_funnel_and_move_the_moment_it_is_as_of() -> None:
    steps = ["search", "view", "view", "add_to_cart", "remove_from_cart", "checkout_start", "purchase"]
    clicks = [Click(n, second(4), 1 + n // 4, ACTIONS[step], 0) for n, step in enumerate(steps)]
    told = profile_of(fold(twin_of([sale(0, ["sku1"])]), clicks))
    assert told.as_of == at(4)
    assert told.dna.trend.days_since_last_receipt == 3.5
    funnel = told.dna.funnel.model_dump()
    assert funnel == {
        "sessions": 2, "search": 1, "view": 2, "add_to_cart": 1, "remove_from_cart": 1, "checkout_start": 1,
        "purchase": 1, "intent": round((3 + 5 + 8) / (2 + 3 + 5 + 8), 4),
    }  # fmt: skip


def test_how_due_an_item_is_counts_to_the_newest_event_of_any_kind() -> None:
    receipts = [sale(day, ["sku1"]) for day in (0, 10, 20)]
    looked = Click(1, second(35), 1, ACTIONS["view"])
    (item,) = profile_of(fold(twin_of(receipts), [looked])).dna.regulars
    assert (item.interval_days, item.due) == (10.0, 1.5)


def test_a_customer_of_whom_only_a_record_is_known_has_a_profile_as_of_that_record() -> None:
    body = b'{"demographics":{"age":"35-44","life_stage":"family"},"personalisation_consent":false}'
    told = profile_of(fold_about(Twin(), body, second(2)))
    assert told.as_of == at(2)
    assert told.personalisation_consent is False
    assert told.dna.demographics == {"age": "35-44", "life_stage": "family"}
    assert told.dna.life_stage == "family"
    assert told.dna.activity.first_seen is None
    assert told.dna.trend.days_since_last_receipt is None


def test_money_has_the_digits_of_its_currency() -> None:
    twin = twin_of([sale(0, [{"sku": "sku1", "net": "-0.05"}])])
    assert profile_of(twin).dna.activity.spend == "-0.05"
    assert profile_of(twin, currency="JPY").dna.activity.spend == "-5"
    assert profile_of(twin, currency="KWD").dna.activity.spend == "-0.005"


def test_the_spend_of_a_life_may_be_more_than_any_price() -> None:
    receipts = [sale(day, [{"sku": "sku1", "net": "9999999.99"}]) for day in range(5)]
    assert profile_of(twin_of(receipts)).dna.activity.spend == "49999999.95"


def test_only_the_most_visited_stores_are_named() -> None:
    stores = [f"s{n}" for n in range(8) for _ in range(n + 1)]
    KNOWN.update(symbols(*(visit_name("store", store) for store in stores)))
    told = profile_of(twin_of([sale(day, ["sku1"], store=store) for day, store in enumerate(stores)])).dna
    assert told.stores == {"s7": 8, "s6": 7, "s5": 6, "s4": 5, "s3": 4}
    assert told.channels == {"store": len(stores)}


def test_instants_are_written_in_utc() -> None:
    told = profile_of(twin_of([sale(0, ["sku1"])]))
    assert told.as_of == datetime(2024, 1, 1, 12, tzinfo=UTC)
