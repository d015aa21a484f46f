"""Rewards for answers that fit the customer: how she takes promotions."""

PRIOR = 0.3  # a share of lines on deals that is usual; who has no history is taken for usual


def promotion_affinity(
    says_yes: bool, deal_share: float | None, discount_share: float | None = None
) -> float:
    """How far an answer about a promotion fits who is asked: 0 to 1.

    YES fits who buys on deals, NO who does not. `deal_share` is the share of her lines on a deal, `discount_share` what
    she saves of her spend; the greater of the two speaks.
    """
    known = [share for share in (deal_share, discount_share) if share is not None and share == share]
    seeks = min(1.0, max(known)) if known else PRIOR
    return seeks if says_yes else 1.0 - seeks
