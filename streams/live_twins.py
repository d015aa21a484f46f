"""One customer's twin as it stands, from the changelog of her partition, without a store of one's own."""

from __future__ import annotations

from dataclasses import dataclass

from streams.kafka import partition_for, read_to_end
from streams.settings import Settings
from streams.settler.event_time import WITNESSES
from streams.topic_admin import partition_count
from streams.topics import STATE
from twin_store.dna.binary import newest_receipt
from twin_store.dna.twin import Twin
from twin_store.store.base import Change
from twin_store.store.keys import GRAVE, LINK, SYMBOLS, TWIN, customer_of
from twin_store.store.memory import MemoryStore
from twin_store.store.twins import TwinStore


@dataclass(frozen=True)
class LiveTwin:
    """A twin, the strings behind its keys, and how far the events of its partition have come (epoch seconds)."""

    twin: Twin
    symbols: dict[int, str]
    reached: int


def live_twin(settings: Settings, customer_id: str) -> LiveTwin | None:
    """A customer's twin with everything that was folded by now; None if she is not known.

    Raises `KafkaReadError` if the changelog cannot be read.
    """
    partition = partition_for(customer_id.encode(), partition_count(STATE, settings))
    wanted = (SYMBOLS, GRAVE, LINK)
    kept: list[Change] = []
    newest: dict[str, int] = {}
    for message in read_to_end(settings, STATE, only=[partition]):
        key, value = message.key() or b"", message.value()
        if key[:1] == TWIN:
            owner = customer_of(key)
            if value is not None:
                newest[owner] = max(newest.get(owner, 0), newest_receipt(value))
            if owner == customer_id:
                kept.append((key, value))
        elif key[:1] in wanted:
            kept.append((key, value))
    store = MemoryStore()
    store.apply(kept, 0)
    twins = TwinStore(store)
    twin = twins.get(customer_id).twin
    if not (twin.last_second or twin.about_second):
        return None
    # As the settler sees it: one customer with a wrong clock does not move everybody's time.
    reached = sorted(newest.values())[-WITNESSES:][0] if newest else 0
    return LiveTwin(twin, twins.symbols, max(reached, twin.last_second))
