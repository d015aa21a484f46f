"""Puts campaigns to their audience when event time reaches their start, partition by partition.

Nothing about it is stored but the ledgers: whoever was asked has that in her ledger, so after a restart or a
rebalance the audience is simply gone through again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection

from streams.agents.rounds import Rounds
from streams.environment import Environment
from streams.kafka import partition_for
from streams.promotions import Campaign

CUSTOMERS_AT_ONCE = 50  # a voucher question may name thousands of products


class CampaignOpener:
    """Goes through the campaigns that are open in each partition that `partitions` says is held now."""

    def __init__(
        self,
        rounds: Rounds,
        environment: Environment,
        partitions: Callable[[], Collection[int]],
        partition_count: int,
    ) -> None:
        self._rounds = rounds
        self._environment = environment
        self._partitions = partitions
        self._partition_count = partition_count
        self._put_to: dict[tuple[str, int], Campaign] = {}
        self._audiences: dict[str, tuple[Campaign, dict[int, list[str]]]] = {}

    async def open_due(self) -> None:
        """Put every campaign that has opened since to those who have not been asked."""
        held = self._partitions()
        self._put_to = {key: campaign for key, campaign in self._put_to.items() if key[1] in held}
        reached = {
            partition: self._rounds.as_of[partition] for partition in held if partition in self._rounds.as_of
        }
        for partition, at in reached.items():
            for campaign in self._environment.open_campaigns(at):
                if self._put_to.get((campaign.campaign_id, partition)) is not campaign:
                    await self._open(campaign, partition)
        if reached:
            self._environment.forget_before(max(reached.values()))

    async def _open(self, campaign: Campaign, partition: int) -> None:
        audience = self._audience(campaign).get(partition, [])
        for start in range(0, len(audience), CUSTOMERS_AT_ONCE):
            if partition not in self._partitions():
                return  # given up in the meantime; its new holder goes through it
            await self._rounds.open_campaign(campaign, audience[start : start + CUSTOMERS_AT_ONCE])
        self._put_to[campaign.campaign_id, partition] = campaign

    def _audience(self, campaign: Campaign) -> dict[int, list[str]]:
        """The audience by partition."""
        known, audience = self._audiences.get(campaign.campaign_id, (None, {}))
        if known is not campaign:
            audience = defaultdict(list)
            for customer_id in campaign.audience:
                audience[partition_for(customer_id.encode(), self._partition_count)].append(customer_id)
            self._audiences[campaign.campaign_id] = campaign, audience
        return audience
