"""After a basket: what she is due to buy on her next trip, and which promotions she may answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streams.agents.ledger import Ledger
from streams.agents.questions import TRIP_HORIZON_S, Proposal, Question, rest_key, rested
from streams.agents.retrieved import ANCHORS_MAX, Neighbours, merged
from streams.environment import Environment
from twin_store.messages import Profile, SourceOffset, Subject
from twin_store.messages.codec import epoch_seconds

DUE_MIN = 0.8
DUE_MAX = 5
EXPLORE_MAX = 3
PROMOTED_MAX = 5
FAVOURITE_SECTIONS = 3


def learn(ledger: Ledger, profile: Profile) -> bool:
    """Take over what the planner needs of a profile; whether it brings a new trip.

    Clicks, demographics and late receipts bring a profile without one.
    """
    dna = profile.dna
    ledger.as_of = max(ledger.as_of, epoch_seconds(profile.as_of))
    ledger.consent = profile.personalisation_consent
    ledger.first_seen = 0 if dna.activity.first_seen is None else epoch_seconds(dna.activity.first_seen)
    ledger.store = min(dna.stores, key=lambda store: (-dna.stores[store], store), default=None)
    ledger.regulars = [item.sku for item in dna.regulars]
    last_seen = 0 if dna.activity.last_seen is None else epoch_seconds(dna.activity.last_seen)
    is_new = last_seen > ledger.last_basket
    ledger.last_basket = max(ledger.last_basket, last_seen)
    return is_new


def due_items(profile: Profile) -> list[str]:
    """The regular items that are due, the most overdue first."""
    due = [item for item in profile.dna.regulars if item.due >= DUE_MIN]
    return [item.sku for item in sorted(due, key=lambda item: (-item.due, item.sku))]


def profile_anchors(profile: Profile) -> list[str]:
    """The products whose neighbours are retrieved for a profile."""
    return due_items(profile)[:ANCHORS_MAX]


def propose_due(ledger: Ledger, profile: Profile, neighbours: Neighbours) -> Proposal:
    """Will she buy what is due on her next trip? A few unbought products like it are asked about as well."""
    due = due_items(profile)
    if not due:
        return None
    candidates = rested(ledger, "purchase", due, ledger.as_of)[:DUE_MAX]
    if not candidates:
        return "cooling_down"
    retrieved = merged(neighbours, profile_anchors(profile), set(ledger.regulars))
    new = rested(ledger, "purchase", [product.sku for product in retrieved], ledger.as_of)
    candidates += new[:EXPLORE_MAX]
    return Question(
        customer_id=profile.customer_id,
        kind="purchase",
        raised_by="due_item",
        occasion=str(ledger.as_of),
        as_of=ledger.as_of,
        subject=Subject(candidates=candidates),
        until=ledger.as_of + TRIP_HORIZON_S,
        rests=tuple(rest_key("purchase", sku) for sku in candidates),
        store_id=ledger.store,
        retrieved=retrieved,
        position=_position(profile),
    )


def propose_promoted(ledger: Ledger, profile: Profile, environment: Environment) -> Proposal:
    """Will she take a product that is promoted in her store: a regular one, or one of her favourite sections?"""
    at = ledger.as_of
    sections = [category.category for category in profile.dna.categories[:FAVOURITE_SECTIONS]]
    usual = environment.promoted(ledger.regulars, ledger.store, at)
    others = _in_turns(environment.favourites(section, ledger.store, at) for section in sections)
    promoted = list(dict.fromkeys([*usual, *others]))
    if not promoted:
        return None
    candidates = rested(ledger, "promotion_response", promoted, at)[:PROMOTED_MAX]
    if not candidates:
        return "cooling_down"
    return Question(
        customer_id=profile.customer_id,
        kind="promotion_response",
        raised_by="campaign",
        occasion=str(at),
        as_of=at,
        subject=Subject(candidates=candidates),
        until=at + TRIP_HORIZON_S,
        rests=tuple(rest_key("promotion_response", sku) for sku in candidates),
        store_id=ledger.store,
        position=_position(profile),
    )


def _position(profile: Profile) -> list[SourceOffset]:
    return [SourceOffset(topic=o.topic, partition=o.partition, offset=o.offset) for o in profile.offsets]


def _in_turns(lists: Iterable[Sequence[str]]) -> list[str]:
    """The first of each list, then the second of each."""
    kept = list(lists)
    longest = max((len(each) for each in kept), default=0)
    return [each[i] for i in range(longest) for each in kept if i < len(each)]
