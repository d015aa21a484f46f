"""Catalogue items and statistics by hand, published as a retailer and the updater do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from streams import indexer
from streams.kafka import Publisher, read_to_end
from streams.product_vectors import read_vectors
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.topics import CATALOG, PRODUCTS, VECTORS
from twin_store.messages import CatalogItem, ProductStatistics
from twin_store.products import CatalogChange, Removal

TIMEOUT_S = 60.0


def item(sku: str, name: str, day: int = 1, **fields: Any) -> CatalogItem:
    """A catalogue item as updated on that day of January 2017."""
    return CatalogItem.model_validate(
        {"sku": sku, "name": name, "updated_at": f"2017-01-{day:02}T00:00:00Z"} | fields
    )


def revision(day: int) -> int:
    """The revision of an item updated on that day."""
    return indexer.revision_of(item("any", "any", day).updated_at)


def statistics(sku: str, revision: int, price: str, stores: list[str]) -> ProductStatistics:
    return ProductStatistics.model_validate(
        {
            "sku": sku,
            "as_of": "2017-01-01T00:00:00Z",
            "revision": revision,
            "content_hash": "x",
            "price_median": price,
            "lines": 3,
            "deal_share": 0.5,
            "weeks": [],
            "stores": stores,
        }
    )


def publish(
    settings: Settings, *messages: CatalogItem | ProductStatistics | tuple[str, bytes | None]
) -> None:
    """Publish items and statistics; a pair is a key and raw bytes for the catalogue, None removing the sku."""
    with Publisher(settings) as publisher:
        for message in messages:
            if isinstance(message, tuple):
                publisher.publish(CATALOG, message[0].encode(), message[1])
            else:
                topic = CATALOG if isinstance(message, CatalogItem) else PRODUCTS
                publisher.publish(topic, message.sku.encode(), message.to_wire())


def published(settings: Settings) -> list[CatalogChange | Removal]:
    """Everything on the vectors topic, each sku's in order."""
    return [record.change for record in read_vectors(settings, read_to_end(settings, VECTORS))]


def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


@contextmanager
def running_indexer(settings: Settings) -> Iterator[Telemetry]:
    """The indexer in a thread, as its process runs it."""
    stop = threading.Event()
    telemetry = Telemetry("indexer", settings)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            indexer.run(settings, stop, telemetry)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield telemetry
    finally:
        stop.set()
        thread.join()
    assert failures == []


def taken(telemetry: Telemetry, items: int) -> None:
    """Wait until the indexer has taken so many catalogue records."""
    until(lambda: telemetry.snapshot().get("twins_indexer_items_total", 0) >= items)


def counts(telemetry: Telemetry) -> dict[str, int]:
    """The indexer's counters."""
    snapshot = telemetry.snapshot()
    return {
        name: int(snapshot[f"twins_indexer_{name}_total"]) for name in ("published", "embedded", "rejected")
    }
