"""Cases of campaigns: would a customer of the audience redeem a voucher before the campaign ends?"""

from collections.abc import Iterator

import polars as pl

from trainer.tasks.cases import Case
from trainer.tasks.history import History
from twin_store.messages.codec import instant_of
from twin_store.messages.decisions import Environment, Subject

RATE_PRIOR = 20.0  # offers that the average rate counts for against a campaign type's own


def voucher_cases(history: History) -> Iterator[Case]:
    """One case a campaign and member of its audience, asked the moment before it starts, of campaigns that are over.

    Campaigns that had started before the first receipt are left out: nothing was known of anybody.
    """
    first = int(history.lines["second"].min() or 0)  # type: ignore[arg-type]
    redeemed = _redemptions(history)
    for row in history.campaigns.iter_rows(named=True):
        if row["ends"] > history.until or row["starts"] <= first or not row["voucher_skus"]:
            continue
        subject = Subject(
            campaign_id=row["campaign_id"],
            campaign_type=row["campaign_type"],
            voucher_skus=row["voucher_skus"],
            ends_at=instant_of(row["ends"]),
        )
        takers = redeemed.get(row["campaign_id"], set())
        for customer in sorted(set(row["audience"] or ())):
            yield Case(
                "voucher_redemption",
                customer,
                row["starts"] - 1,
                subject,
                Environment(),
                (int(customer in takers),),
                (1.0,),
                False,
            )


def campaign_rates(history: History) -> dict[str, float]:
    """By campaign type, the redeemed share of the offers of campaigns that are over, smoothed to the average."""
    offers: dict[str, int] = {}
    takers: dict[str, int] = {}
    for case in voucher_cases(history):
        kind = case.subject.campaign_type or ""
        offers[kind] = offers.get(kind, 0) + 1
        takers[kind] = takers.get(kind, 0) + case.labels[0]
    if not offers:
        return {}
    average = sum(takers.values()) / sum(offers.values())
    return {kind: (takers[kind] + RATE_PRIOR * average) / (offers[kind] + RATE_PRIOR) for kind in offers}


def _redemptions(history: History) -> dict[str, set[str]]:
    """Who redeemed a coupon of each campaign while it ran."""
    coupons = history.campaigns.select("campaign_id", "starts", "ends", "coupon_ids").explode("coupon_ids")
    used = (
        history.lines.filter((pl.col("kind") == "sale") & (pl.col("coupon_ids").list.len() > 0))
        .select("customer_id", "second", "coupon_ids")
        .explode("coupon_ids")
    )
    found = used.join(coupons, on="coupon_ids").filter(
        (pl.col("second") >= pl.col("starts")) & (pl.col("second") < pl.col("ends"))
    )
    by_campaign = found.group_by("campaign_id").agg(pl.col("customer_id").unique())
    return {campaign: set(customers) for campaign, customers in by_campaign.iter_rows()}
