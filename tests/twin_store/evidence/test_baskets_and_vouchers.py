"""Evidence on whole baskets and on campaigns."""

import math

import pytest

from tests.retail import at, sale, second, twin_of
from tests.twin_store.evidence.test_items import reader
from twin_store.affinity import Affinity
from twin_store.dna.twin import Twin
from twin_store.evidence import Question, named
from twin_store.messages.decisions import Subject


def trip_choice(twin: Twin, *baskets: list[str]) -> list[dict[str, float]]:
    question = Question("trip_choice", second(20), Subject(baskets=list(baskets)))
    return [named("trip_choice", row) for row in reader().read(question, twin)]


def test_a_basket_of_what_she_buys_surprises_less() -> None:
    twin = twin_of([sale(day, ["milk", "bread"]) for day in range(0, 18, 3)])
    hers, another = trip_choice(twin, ["milk", "bread"], ["cheese", "soap"])
    assert hers["known_share"] == 1
    assert another["known_share"] == 0
    assert hers["surprise_item"] > 0 > another["surprise_item"]
    assert hers["item_share"] == 1
    assert hers["size_ratio"] == pytest.approx(0)


def test_an_item_twice_in_a_basket_counts_once() -> None:
    twin = twin_of([sale(1, ["milk"])])
    once, twice = trip_choice(twin, ["milk", "soap"], ["milk", "milk", "soap"])
    assert repr(once) == repr(twice)


def test_baskets_of_an_unknown_customer_have_finite_numbers_or_none() -> None:
    rows = trip_choice(Twin(), ["milk"], ["soap", "unheard of"])
    assert all(math.isfinite(value) for row in rows for value in row.values())


def voucher(twin: Twin, affinity: Affinity | None = None, **subject: object) -> dict[str, float]:
    whole = Subject.model_validate({"voucher_skus": ["milk", "unheard of"], "campaign_type": "A"} | subject)
    question = Question("voucher_redemption", second(20), whole)
    return named("voucher_redemption", reader(affinity=affinity).read(question, twin)[0])


def test_vouchers_are_weighed_by_what_they_cover_and_how_she_used_coupons() -> None:
    coupon = {"sku": "bread", "coupon_discount": "0.50"}
    twin = twin_of([sale(1, ["milk", "cheese"]), sale(4, [coupon]), sale(9, ["milk"]), sale(12, ["soap"])])
    found = voucher(twin, ends_at=at(30))
    assert (found["voucher_known"], found["voucher_days"], found["voucher_since"]) == (1, 2, 11)
    assert found["voucher_share"] == pytest.approx(2 / 4)
    assert found["voucher_of_lines"] == pytest.approx(2 / 5)
    assert found["voucher_types"] == pytest.approx(2 / 5)
    assert (found["coupon_lines"], found["coupon_days"], found["coupon_since"]) == (1, 1, 16)
    assert found["campaign_days"] == 10
    assert (found["voucher_coupon_lines"], found["voucher_type_coupon_lines"]) == (0, 0)
    assert (found["voucher_days_best"], found["voucher_types_bought"], found["voucher_type_items"]) == (
        2,
        1,
        1,
    )
    assert found["voucher_due"] == pytest.approx(11 / 8)
    assert found["coupon_lines_quarter"] == 1


def test_coupons_on_what_the_vouchers_cover_are_counted_apart() -> None:
    coupon = {"sku": "milk", "coupon_discount": "0.50"}
    found = voucher(twin_of([sale(1, [coupon, "bread"]), sale(4, ["milk"])]))
    assert (found["voucher_coupon_lines"], found["voucher_type_coupon_lines"], found["coupon_lines"]) == (
        1,
        1,
        1,
    )
    assert "campaign_rate" not in found


def test_the_rate_of_a_campaign_type_comes_from_the_fitted_tables() -> None:
    affinity = Affinity.empty()
    affinity.campaign_rates["A"] = 0.125
    assert voucher(Twin(), affinity)["campaign_rate"] == 0.125
    assert "campaign_rate" not in voucher(Twin(), affinity, campaign_type="B")


def test_a_coupon_redeemed_after_the_question_is_not_known() -> None:
    coupon = {"sku": "bread", "coupon_discount": "0.50"}
    receipts = [sale(1, ["milk"]), sale(25, [coupon])]
    assert repr(voucher(twin_of(receipts))) == repr(voucher(twin_of(receipts[:1])))
