"""What surrounds a customer at a moment: shelves, price cuts, campaigns, favourites; forgotten when it is over."""

from __future__ import annotations

import pytest

from streams.environment import KEPT_S, Environment
from streams.promotions import Numbering, Promotions
from tests.streams.agents.people import at, campaign_in, catalogue, promotion, seconds
from twin_store.messages import ProductContext, ProductStatistics
from twin_store.messages.codec import SECONDS_PER_DAY, BadMessage, week_of_day
from twin_store.messages.profiles import WeekStatistics

WEEK = week_of_day(seconds(0) // SECONDS_PER_DAY)


@pytest.fixture
def environment() -> Environment:
    return Environment()


def flags(context: list[ProductContext]) -> list[tuple[str, str | None, bool, bool]]:
    return [(c.sku, c.price, c.display, c.mailer) for c in context]


def test_a_shelf_holds_in_its_store_from_its_start_to_before_its_end(environment: Environment) -> None:
    environment.put_promotion(promotion("d", "display", ["milk", "tea"], (0, 7), store_id="1"))
    for store, day, shown in (
        ("1", 0, True),
        ("1", 6.99, True),
        ("1", 7, False),
        ("1", -0.01, False),
        ("2", 1, False),
    ):
        context = environment.context(["tea", "rum"], store, seconds(day))
        assert flags(context) == [("tea", None, shown, False), ("rum", None, False, False)]


def test_a_promotion_without_a_store_holds_everywhere(environment: Environment) -> None:
    environment.put_promotion(promotion("m", "mailer", ["milk"]))
    for store in ("1", "2", None):
        assert flags(environment.context(["milk"], store, seconds(1))) == [("milk", None, False, True)]


def test_a_price_cut_quotes_its_price(environment: Environment) -> None:
    environment.put_promotion(promotion("p", "price_cut", ["tea", "milk"], store_id="1", price="1.49"))
    assert flags(environment.context(["milk"], "1", seconds(1))) == [("milk", "1.49", False, False)]
    assert environment.promoted(["rum", "milk", "tea"], "1", seconds(1)) == ["milk", "tea"]


def test_a_promotion_that_comes_again_replaces_itself(environment: Environment) -> None:
    environment.put_promotion(promotion("d", "display", ["milk"], store_id="1"))
    environment.put_promotion(promotion("d", "display", ["tea"], store_id="2"))
    assert environment.promoted(["milk", "tea"], "1", seconds(1)) == []
    assert environment.promoted(["milk", "tea"], "2", seconds(1)) == ["tea"]
    assert len(environment) == 1


def test_an_empty_shelf_shows_nothing(environment: Environment) -> None:
    environment.put_promotion(promotion("d", "display", []))
    assert environment.promoted(["milk"], None, seconds(1)) == []


def test_favourites_are_the_best_sold_promoted_products_of_a_section(environment: Environment) -> None:
    catalogue(environment, {"DAIRY": ["milk", "curd", "whey"], "TEA": ["assam"]})
    environment.put_promotion(promotion("d", "display", ["milk", "curd", "whey", "assam", "unheard"]))
    for sku, sold in {"curd": {WEEK - 1: 5}, "whey": {WEEK - 1: 2, WEEK: 100, WEEK - 5: 100}}.items():
        weeks = [WeekStatistics(week=w, lines=n, units=n, net="1.00", deal_lines=0) for w, n in sold.items()]
        environment.put_statistics(
            ProductStatistics(
                sku=sku,
                as_of=at(0),
                revision=1,
                content_hash="0",
                lines=1,
                deal_share=0,
                weeks=weeks,
                stores=[],
            )
        )
    # This week's sales are not over, those of five weeks ago are too old to count.
    assert environment.favourites("DAIRY", "1", seconds(1)) == ["curd", "whey", "milk"]
    assert environment.favourites("DAIRY", "1", seconds(8)) == []
    assert environment.favourites("WINE", "1", seconds(1)) == []


def test_a_product_that_leaves_the_catalogue_is_no_favourite(environment: Environment) -> None:
    catalogue(environment, {"DAIRY": ["milk", "curd"]})
    environment.put_promotion(promotion("d", "display", ["milk", "curd"]))
    environment.remove_item("curd")
    assert environment.favourites("DAIRY", "1", seconds(1)) == ["milk"]


def test_a_campaign_gathers_the_products_of_its_coupons(environment: Environment) -> None:
    environment.put_promotion(promotion("x1", "coupon", ["tea", "milk"], campaign_id="c8"))
    environment.put_promotion(promotion("x9", "coupon", ["rum"], campaign_id="c9"))
    environment.put_promotion(promotion("a8", "campaign", campaign_id="c8", audience=["anna", "bob", "anna"]))
    environment.put_promotion(promotion("x2", "coupon", ["milk", "ale"], campaign_id="c8"))
    campaign = environment.campaign("c8")
    assert campaign is not None
    assert campaign.vouchers == ("ale", "milk", "tea")
    assert campaign.audience == ("anna", "bob")
    assert campaign.subject.ends_at == at(7)
    assert environment.campaign("c9") is None


def test_a_campaign_opens_once_its_coupons_are_in(environment: Environment) -> None:
    environment.put_promotion(promotion("a8", "campaign", campaign_id="c8", audience=["anna"]))
    assert environment.open_campaigns(seconds(1)) == []
    environment.release()
    for day, who, count in ((1, None, 1), (1, "anna", 1), (1, "bob", 0), (-1, "anna", 0), (7, "anna", 0)):
        assert len(environment.open_campaigns(seconds(day), who)) == count


def test_what_is_over_is_forgotten_some_time_later(environment: Environment) -> None:
    campaign_in(environment, days=(0, 7))
    environment.put_promotion(promotion("d", "display", ["milk"], (0, 7)))
    environment.put_promotion(promotion("e", "display", ["milk"], (0, 9)))
    over = seconds(7) + KEPT_S
    environment.forget_before(over - SECONDS_PER_DAY)
    assert len(environment) == 3
    environment.forget_before(over)
    assert len(environment) == 1
    assert environment.campaign("c8") is None
    assert environment.open_campaigns(seconds(1), "anna") == []


def test_coupons_are_forgotten_with_their_campaign() -> None:
    promotions = Promotions(Numbering())
    promotions.put(promotion("x1", "coupon", ["tea"], (0, 7), campaign_id="c8"))
    promotions.forget_before(seconds(7))
    promotions.put(promotion("a8", "campaign", days=(0, 9), campaign_id="c8"))
    campaign = promotions.campaign("c8")
    assert campaign is not None
    assert campaign.vouchers == ()


def test_a_coupon_of_no_campaign_is_refused(environment: Environment) -> None:
    with pytest.raises(BadMessage, match="campaign_id"):
        environment.put_promotion(promotion("x", "coupon", ["tea"]))
