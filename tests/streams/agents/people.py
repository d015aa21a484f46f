"""Customers, clicks, requests and promotions for the planner's tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from streams.environment import Environment
from streams.promotions import Campaign
from twin_store.messages import (
    Ask,
    CatalogItem,
    Click,
    Profile,
    PromotedItem,
    Promotion,
    RetrievedProduct,
    ShoppingDna,
    SourceOffset,
    Subject,
)
from twin_store.messages.events import ClickAction, PromotionKind
from twin_store.messages.profiles import (
    Activity,
    BasketStatistics,
    CategoryPreference,
    Funnel,
    RegularItem,
    Timing,
    Trend,
)
from twin_store.messages.profiles import Promotion as PromotionDna

DAY_0 = datetime(2024, 5, 6, 9, tzinfo=UTC)  # a Monday


def at(days: float) -> datetime:
    """That many days after 9 o'clock of the first Monday."""
    return DAY_0 + timedelta(days=days)


def seconds(days: float) -> int:
    """The same in epoch seconds."""
    return int(at(days).timestamp())


def profile(
    day: float,
    customer_id: str = "anna",
    due: Mapping[str, float] | None = None,
    stores: Mapping[str, int] | None = None,
    sections: Sequence[str] = (),
    consent: bool = True,
    first_seen: float = -100.0,
    last_receipt: float | None = None,
) -> Profile:
    """A profile as of `day`; `due` are the regular items, the most often bought first."""
    receipt_day = day if last_receipt is None else last_receipt
    return Profile(
        customer_id=customer_id,
        as_of=at(day),
        content_hash="0",
        events_folded=3,
        personalisation_consent=consent,
        offsets=[SourceOffset(topic="receipts", partition=1, offset=7)],
        dna=ShoppingDna(
            activity=Activity(
                receipts=3,
                lines=9,
                units=9.0,
                spend="27.00",
                returned_lines=0,
                first_seen=at(first_seen),
                last_seen=at(receipt_day),
            ),
            basket=BasketStatistics(mean_spend="9.00", mean_lines=3.0),
            categories=[CategoryPreference(category=name, share=0.3, lines=3) for name in sections],
            regulars=[
                RegularItem(sku=sku, purchase_days=4, interval_days=7.0, last_bought="2024-04-29", due=ratio)
                for sku, ratio in (due or {}).items()
            ],
            promotion=PromotionDna(deal_share=0.0, coupon_lines=0, discount_share=0.0),
            timing=Timing(by_hour=[0] * 24, by_weekday=[0] * 7),
            channels={"store": 3},
            stores=dict(stores or {"1": 2, "2": 1}),
            trend=Trend(spend_last_4_weeks="27.00"),
            funnel=Funnel(),
        ),
    )


def click(
    day: float,
    sku: str | None,
    action: ClickAction = "add_to_cart",
    session_id: str = "s1",
    customer_id: str = "anna",
) -> Click:
    """A step of a session."""
    return Click(
        event_id=f"{session_id}-{day}-{sku}-{action}",
        session_id=session_id,
        customer_id=customer_id,
        action=action,
        occurred_at=at(day),
        sku=sku,
    )


def ask(
    day: float,
    request_id: str = "r1",
    candidates: Sequence[str] = ("milk",),
    customer_id: str = "anna",
    as_of: datetime | None = None,
) -> Ask:
    """A customer's share of a purchase request."""
    return Ask(
        customer_id=customer_id,
        request_id=request_id,
        kind="purchase",
        requested_at=at(day),
        as_of=as_of,
        subject=Subject(candidates=list(candidates)),
    )


def promotion(
    promotion_id: str,
    kind: PromotionKind,
    skus: Sequence[str] = (),
    days: tuple[float, float] = (0, 7),
    store_id: str | None = None,
    price: str | None = None,
    campaign_id: str | None = None,
    audience: Sequence[str] = (),
) -> Promotion:
    """Any promotion."""
    return Promotion(
        promotion_id=promotion_id,
        kind=kind,
        starts_at=at(days[0]),
        ends_at=at(days[1]),
        store_id=store_id,
        items=[PromotedItem(sku=sku, price=price) for sku in skus],
        campaign_id=campaign_id,
        campaign_type="TypeA" if kind == "campaign" else None,
        audience=list(audience),
    )


def campaign_in(
    environment: Environment,
    audience: Sequence[str] = ("anna",),
    days: tuple[float, float] = (0, 30),
    vouchers: Sequence[str] = ("milk", "bread"),
    campaign_id: str = "c8",
) -> Campaign:
    """Announce a campaign with one coupon, and release it."""
    environment.put_promotion(
        promotion(
            f"campaign-{campaign_id}", "campaign", days=days, campaign_id=campaign_id, audience=audience
        )
    )
    environment.put_promotion(
        promotion(f"coupon-{campaign_id}", "coupon", vouchers, days, campaign_id=campaign_id)
    )
    environment.release()
    found = environment.campaign(campaign_id)
    assert found is not None
    return found


def catalogue(environment: Environment, sections: Mapping[str, Sequence[str]]) -> None:
    """Put products into the environment's catalogue, by section."""
    for section, skus in sections.items():
        for sku in skus:
            environment.put_item(CatalogItem(sku=sku, updated_at=at(-50), name=sku, section=section))


def alike(**neighbours: Sequence[str]) -> dict[str, list[RetrievedProduct]]:
    """What an index would retrieve: for each product those like it, the nearest first."""
    return {
        sku: [
            RetrievedProduct(sku=other, name=other, similarity=0.9 - 0.1 * i)
            for i, other in enumerate(others)
        ]
        for sku, others in neighbours.items()
    }
