"""What every measurement of the stream starts from: a real broker, topics, the retailer's tables, compiled code."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.machine import CORES, held_to
from benchmarks.progress import say
from benchmarks.receipts import HeldBack
from benchmarks.updaters import running
from streams.broker import DevBroker, free_port
from streams.settings import Settings
from streams.sources.complete_journey import CompleteJourney
from streams.sources.schedule import publish
from streams.topic_admin import apply_topics
from streams.topics import CATALOG, CUSTOMERS, TRANSACTIONS

WARM_CUSTOMERS = 20


class Site:
    """A folder and a broker in it, for deployments that know nothing of each other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._broker = DevBroker(folder / "broker", free_port())

    def start(self, cores: Set[int]) -> None:
        """Start the broker on these cores."""
        with held_to(cores):
            self._broker.start()

    def stop(self) -> None:
        """Stop the broker."""
        self._broker.stop()

    def deployment(self, name: str, **given: Any) -> Settings:
        """Topics and a data folder of its own, with the catalogue and what customers said of themselves.

        `given` are settings that are to differ from the defaults.
        """
        settings = Settings(
            kafka_bootstrap=self._broker.bootstrap,
            data_dir=self._folder / name,
            topic_prefix=f"{name}.",
            lake_url="",
            models_url="",
            qdrant_url=None,
            metrics_port=0,
            **given,
        )
        settings.data_dir.mkdir()
        apply_topics(settings)
        publish(settings, CompleteJourney().records(topics=(CATALOG, CUSTOMERS)))
        return settings


@contextmanager
def warm_site(broker_cores: Set[int]) -> Iterator[Site]:
    """A site of its own in a temporary folder, its broker held to some cores; all of it is gone afterwards.

    A few customers' receipts have gone through an updater there: compiled code is in its cache on disk, and the broker
    has done this before.
    """
    with tempfile.TemporaryDirectory(prefix="twins-bench-") as folder:
        site = Site(Path(folder))
        try:
            say("a broker starts")
            site.start(broker_cores)
            say("a few receipts go through an updater, so that code is compiled")
            _warm_up(site.deployment("warm"))
            yield site
        finally:
            site.stop()


def _warm_up(settings: Settings) -> None:
    records = CompleteJourney().records(customers=WARM_CUSTOMERS, topics=(TRANSACTIONS,))
    receipts = HeldBack(settings, records)
    with running(settings, [set(CORES)]) as updaters:
        receipts.release()
        updaters.wait_for(receipts.totals.lines)
