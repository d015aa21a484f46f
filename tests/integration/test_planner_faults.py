"""The planner on the real broker under faults: killed, joined by a second one, its broker gone."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.agents.ledger import Ledger
from streams.agents.planner import Planner, Rules
from streams.agents.questions import query_id
from streams.broker import DevBroker, free_port
from streams.environment import Environment
from streams.kafka import Publisher
from streams.settings import Settings
from streams.topics import (
    PROFILES,
    REQUESTS,
)
from tests.integration.planners import (
    DUE,
    PATIENCE_S,
    Watch,
    open_shop,
    planner_process,
    publish_profiles,
    request,
)
from tests.streams.agents.people import profile
from twin_store.messages import Profile, Subject

pytestmark = pytest.mark.broker


@pytest.fixture
def shop(settings: Settings) -> Settings:
    """A deployment with the planner's topics, and with limits that do not bite."""
    return open_shop(settings)


@pytest.fixture
def watch(shop: Settings) -> Iterator[Watch]:
    watch = Watch(shop)
    yield watch
    watch.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.long)])
def test_killed_planners_raise_the_same_queries(shop: Settings, watch: Watch, kills: int) -> None:
    """`kill -9` amid the work: every query of an undisturbed run is there, and no other."""
    names = [f"c{number}" for number in range(200)]
    moments = random.Random(7)
    profiles = [profile(day, name, DUE) for day in range(3 * (kills + 1)) for name in names]
    asked = [request(f"r{kill}", Subject(candidates=["tea"]), customer_ids=names) for kill in range(kills)]
    expected = ids_of_an_undisturbed_run(profiles)
    expected |= {query_id("request", name, "purchase", each.request_id) for each in asked for name in names}
    planner = planner_process(shop)
    try:
        for kill, each in enumerate(asked):
            publish_profiles(shop, profiles[kill * 600 : (kill + 1) * 600])
            with Publisher(shop) as publisher:
                publisher.publish(REQUESTS, each.request_id.encode(), each.to_wire())
            watch.until_count(len(watch.queries) + moments.randrange(1, 500))
            planner.send_signal(signal.SIGKILL)
            planner.wait()
            planner = planner_process(shop)
        publish_profiles(shop, profiles[kills * 600 :])
        watch.until(lambda: watch.ids >= expected)
    finally:
        planner.terminate()
        status = planner.wait(PATIENCE_S)
    assert status == 0
    assert watch.ids == expected
    print(f"{len(watch.queries)} records for {len(expected)} queries after {kills} kills")


def ids_of_an_undisturbed_run(profiles: Sequence[Profile]) -> set[str]:
    """The ids that the policy gives these profiles, in order, without Kafka."""
    planner = Planner(Rules(1_000, 86_400, 300), Environment())
    ledgers: dict[str, Ledger] = defaultdict(Ledger)
    now = datetime.now(UTC)
    return {
        query.query_id
        for each in profiles
        for query in planner.on_profile(ledgers[each.customer_id], each, {}, now).queries
    }


def test_customers_move_between_planners_without_a_gap(shop: Settings, watch: Watch) -> None:
    """One planner, two, one, records coming all the time: no query is lost and none is invented."""
    names = [f"c{number}" for number in range(40)]
    profiles = [profile(day, name, DUE) for day in range(40) for name in names]
    expected = ids_of_an_undisturbed_run(profiles)
    planners = [planner_process(shop, "0")]
    feed = threading.Thread(target=publish_slowly, args=(shop, profiles, 12.0))
    try:
        feed.start()
        watch.until_count(200)
        planners.append(planner_process(shop, "1"))
        watch.until_count(800)
        planners[0].terminate()
        assert planners.pop(0).wait(PATIENCE_S) == 0
        watch.until(lambda: watch.ids >= expected)
    finally:
        feed.join()
        for planner in planners:
            planner.terminate()
            assert planner.wait(PATIENCE_S) == 0
    assert watch.ids == expected


def publish_slowly(settings: Settings, profiles: Sequence[Profile], seconds: float) -> None:
    with Publisher(settings) as publisher:
        for message in profiles:
            publisher.publish(PROFILES, message.customer_id.encode(), message.to_wire())
            time.sleep(seconds / len(profiles))


@pytest.mark.long
def test_a_planner_survives_its_broker(offline_settings: Settings, tmp_path: Path) -> None:
    """The broker dies amid the work and comes back: so does the planner, by itself."""
    broker = DevBroker(tmp_path / "broker", free_port())
    broker.start()
    shop = offline_settings.model_copy(
        update={
            "kafka_bootstrap": broker.bootstrap,
            "query_budget_per_day": 1_000,
            "session_timeout_ms": 6_000,
        }
    )
    names = [f"c{number}" for number in range(100)]
    profiles = [profile(day, name, DUE) for day in range(6) for name in names]
    planner = None
    try:
        shop = open_shop(offline_settings.model_copy(update={"kafka_bootstrap": broker.bootstrap}))
        watch = Watch(shop)
        planner = planner_process(shop)
        publish_profiles(shop, profiles[:300])
        watch.until_count(50)
        broker.kill()
        broker.start()
        publish_profiles(shop, profiles[300:])
        expected = ids_of_an_undisturbed_run(profiles)
        watch.until(lambda: watch.ids >= expected)
        assert watch.ids == expected
        assert planner.poll() is None
        watch.close()
    finally:
        if planner is not None:
            planner.terminate()
            planner.wait(PATIENCE_S)
        broker.stop()
