"""The broker is killed under the indexer: it comes back by itself, and every change is published once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from streams.broker import DevBroker, free_port
from streams.settings import Settings
from streams.topic_admin import apply_topics
from tests.streams.catalogue_feed import item, publish, published, revision, running_indexer
from tests.streams.running import eventually
from twin_store.products import CatalogChange

ITEMS = 300


@pytest.mark.broker
@pytest.mark.long
@pytest.mark.timeout(400)
def test_the_broker_is_killed_under_the_indexer(offline_settings: Settings, tmp_path: Path) -> None:
    broker = DevBroker(tmp_path / "broker", free_port())
    broker.start()
    settings = offline_settings.model_copy(update={"kafka_bootstrap": broker.bootstrap})
    apply_topics(settings)
    days = range(1, 4)
    try:
        with running_indexer(settings):
            for day in days:
                publish(settings, *(item(f"s{n}", f"Thing {n} of {day}", day=day) for n in range(ITEMS)))
                if day > 1:  # it works, has seen some of what is new, and not all
                    eventually(lambda: len(published(settings)) > ITEMS // 3, "the first vectors", 120)
                broker.kill()
                broker.start()
            eventually(lambda: names(settings) == expected(days[-1]), "all vectors", 120)
        assert set(Counter((each.sku, each.revision) for each in published(settings)).values()) == {1}
    finally:
        broker.stop()


def expected(day: int) -> dict[str, tuple[int, str]]:
    """What is to be published last of each product."""
    return {f"s{n}": (revision(day), f"Thing {n} of {day}") for n in range(ITEMS)}


def names(settings: Settings) -> dict[str, tuple[int, str]]:
    """What was published last of each product: its revision and name."""
    return {
        each.sku: (each.revision, each.catalog.name)
        for each in published(settings)
        if isinstance(each, CatalogChange)
    }
