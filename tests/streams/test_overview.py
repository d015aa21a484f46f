"""What is shown of the system is what its processes say."""

from __future__ import annotations

import contextlib
import math

import pytest
from prometheus_client import generate_latest

from streams.overview import Observer, combine, parse, quantile
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.topic_admin import apply_topics


def test_quantiles_are_linear_within_a_bucket() -> None:
    buckets = {0.1: 50.0, 0.2: 90.0, 1.0: 100.0, math.inf: 100.0}
    assert quantile(buckets, 0.5) == pytest.approx(0.1)
    assert quantile(buckets, 0.7) == pytest.approx(0.15)
    assert quantile(buckets, 0.99) == pytest.approx(0.92)
    assert quantile({0.1: 0.0, math.inf: 5.0}, 0.5) == 0.1
    assert quantile({}, 0.5) is None
    assert quantile({0.1: 0.0, math.inf: 0.0}, 0.5) is None


def test_metrics_of_several_processes_add_up(offline_settings: Settings) -> None:
    found = []
    for count in (2, 3):
        telemetry = Telemetry("worker", offline_settings)
        telemetry.counter("predictions", "x", ["status"]).labels("answered").inc(count)
        telemetry.histogram("latency_seconds", "x").observe(0.02 * count)
        found.append(parse(generate_latest(telemetry.registry).decode()))
    both = combine(found)
    assert both["twins_worker_predictions_total"] == 5
    assert both["twins_worker_latency_seconds_count"] == 2
    assert 25 < (both.quantile_ms("twins_worker_latency_seconds", 0.5) or 0) <= 50
    assert both["nothing"] == 0
    assert both.quantile_ms("nothing", 0.5) is None


def test_without_a_broker_nothing_is_reachable(offline_settings: Settings) -> None:
    settings = offline_settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:9"})
    with contextlib.closing(Observer(settings)) as observer:
        seen = observer.look()
    assert (seen.reachable, seen.parts, seen.lags) == (False, [], {})


@pytest.mark.broker
def test_running_processes_are_seen_with_their_lag(settings: Settings) -> None:
    apply_topics(settings)
    observer = Observer(settings)
    with Telemetry("updater", settings, port=0) as telemetry:
        telemetry.counter("lines", "x").inc(7)
        seen = observer.look()
        assert [(part.name, part.state, part.lag) for part in seen.parts] == [("updater", "starting", 0)]
        telemetry.ready()
        seen = observer.look()
    assert seen.parts[0].state == "ready"
    assert seen.reachable
    assert seen.totals["lines"] == 7
    assert seen.as_json()["latencies"]["answer_ms_p50"] is None
    assert observer.look().parts == []
    observer.close()


def test_parts_of_other_machines_are_looked_at_where_the_settings_say(offline_settings: Settings) -> None:
    with Telemetry("worker", offline_settings, port=0) as telemetry:
        telemetry.gauge("held", "x").set(4)
        telemetry.ready()
        urls = f"http://localhost:{telemetry.port}, http://127.0.0.1:9"
        settings = offline_settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:9", "scrape_urls": urls})
        with contextlib.closing(Observer(settings)) as observer:
            seen = observer.look()
            assert observer.metrics()["twins_worker_held"] == 4
    assert [(part.name, part.state) for part in seen.parts] == [
        ("localhost", "ready"),
        ("127.0.0.1", "silent"),
    ]
