"""The updater counts what it did, and says that it is well."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from streams.settings import Settings
from streams.sources.chaos import Chaos, ChaosReport, inject
from streams.sources.complete_journey import CompleteJourney
from streams.sources.schedule import publish
from streams.telemetry import Telemetry
from streams.topic_admin import apply_topics
from streams.topics import TRANSACTIONS
from streams.updater import process
from tests.streams.running import eventually, running

pytestmark = pytest.mark.broker


def test_counts_are_those_of_what_was_published(settings: Settings) -> None:
    settings = settings.model_copy(update={"partitions": 2, "metrics_port": 0})
    apply_topics(settings)
    records = CompleteJourney().records(
        until=datetime(2017, 1, 15, tzinfo=UTC), customers=20, topics=(TRANSACTIONS,)
    )
    report = ChaosReport()
    faults = Chaos(duplicates=0.3, poison=0.1, seed=5)
    with Telemetry("updater", settings, port=0) as telemetry:
        ready = f"http://127.0.0.1:{telemetry.port}/readyz"
        assert httpx.get(ready).status_code == 503
        with running(lambda stop: process.run(settings, stop, telemetry=telemetry)):
            eventually(lambda: httpx.get(ready).status_code == 200, "the updater to be ready")
            done = publish(settings, inject(records, faults, report))
            published = sum(done.messages.values())
            eventually(
                lambda: (
                    telemetry.snapshot().get("twins_updater_dead_letters_total", 0)
                    + telemetry.snapshot().get("twins_updater_events_total", 0)
                    + telemetry.snapshot().get("twins_updater_duplicates_total", 0)
                    == published
                ),
                "everything to be folded",
            )
            eventually(lambda: telemetry.snapshot()["twins_updater_twins"] >= 10, "the twins to be counted")
            found = telemetry.snapshot()
    assert found["twins_updater_duplicates_total"] == report.duplicates > 0
    assert found["twins_updater_dead_letters_total"] == report.poison.total() > 0
    assert found["twins_updater_late_total"] == 0
    assert found["twins_updater_profiles_total"] >= 10
    assert found["twins_updater_lines_total"] == done.lines
    assert found["twins_updater_freshness_seconds_count"] >= 1
