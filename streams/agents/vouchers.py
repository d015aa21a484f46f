"""A campaign that opens: will a customer of its audience redeem one of its vouchers?"""

from __future__ import annotations

from streams.agents.ledger import Ledger
from streams.agents.questions import Proposal, Question, rest_key
from streams.environment import KEPT_S
from streams.promotions import Campaign


def propose_voucher(ledger: Ledger, customer_id: str, campaign: Campaign) -> Proposal:
    """Asked once a campaign, as of its opening, of those who were customers by then."""
    rests = rest_key("voucher_redemption", campaign.campaign_id)
    if not campaign.vouchers or not 0 < ledger.first_seen <= campaign.starts:
        return None
    if ledger.is_cooling(rests, campaign.starts):
        return None
    return Question(
        customer_id=customer_id,
        kind="voucher_redemption",
        raised_by="campaign",
        occasion=campaign.campaign_id,
        as_of=campaign.starts,
        subject=campaign.subject,
        until=campaign.ends,
        rests=(rests,),
        # As long as the environment remembers it: after a restart event time may start a little earlier.
        rest_until=campaign.ends + KEPT_S,
        by_next_trip=False,
        store_id=ledger.store,
    )
