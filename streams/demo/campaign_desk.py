"""What a CRM would ask during the demo: the two kinds of questions that no trip and no campaign raises.

A few customers who differ: which of their baskets is whose, and which of their regular items completes a basket.
"""

from __future__ import annotations

from datetime import UTC, datetime

from streams.kafka import Publisher
from streams.live_profiles import live_profiles
from streams.settings import Settings
from streams.topics import REQUESTS
from twin_store.messages import Profile, Request, Subject
from twin_store.messages.codec import decode, epoch_seconds, headers_for

CUSTOMERS = 8  # of a request: as many baskets as customers, and a question takes ten at most
ITEMS = 8
SOURCE = "/twins/demo"


class CampaignDesk:
    """Knows the customers with the most regular items as of now, and asks about them once event time is `at`.

    Not at once: the planner answers no request about a customer of whom it has not heard itself.
    """

    def __init__(self, settings: Settings, at: datetime) -> None:
        self._settings = settings
        self._waiting = choices(_richest(settings), at)
        self._at = epoch_seconds(at)

    def tick(self, reached: int) -> None:
        """Event time has reached this second."""
        if not self._waiting or reached < self._at:
            return
        with Publisher(self._settings) as publisher:
            for request in self._waiting:
                headers = headers_for(request, SOURCE, request.requested_at)
                publisher.publish(REQUESTS, request.request_id.encode(), request.to_wire(), headers)
        self._waiting = []


def choices(profiles: list[Profile], as_of: datetime) -> list[Request]:
    """The requests about these customers: none if they are too few, or have too few regular items."""
    regulars = {p.customer_id: [item.sku for item in p.dna.regulars[:ITEMS]] for p in profiles}
    baskets = {customer: skus for customer, skus in regulars.items() if len(skus) > 1}
    candidates = list(dict.fromkeys(skus[0] for skus in baskets.values()))
    so_far = [sku for sku in dict.fromkeys(s[1] for s in baskets.values()) if sku not in candidates]
    if len(baskets) < 2 or len(candidates) < 2 or not so_far:
        return []
    subjects = {
        "trip_choice": Subject(baskets=list(baskets.values())),
        "basket_completion": Subject(candidates=candidates, partial_basket=so_far[:1]),
    }
    return [
        Request(
            request_id=f"demo-{kind}",
            kind=kind,
            requested_at=datetime.now(UTC),
            as_of=as_of,
            customer_ids=list(baskets),
            subject=subject,
        )
        for kind, subject in subjects.items()
    ]


def _richest(settings: Settings) -> list[Profile]:
    found = [decode(Profile, live.value) for live in live_profiles(settings).values()]
    return sorted(found, key=lambda profile: (-len(profile.dna.regulars), profile.customer_id))[:CUSTOMERS]
