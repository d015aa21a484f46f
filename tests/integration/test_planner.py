"""The planner on the real broker: what it asks, and where it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from confluent_kafka import TopicPartition

from streams.agents.process import NAME
from streams.dead_letters import Selection, key_of, read_letters
from streams.kafka import Publisher, consumer, partition_for, producer, read_to_end, topic_name
from streams.settings import Settings
from streams.topics import (
    CATALOG,
    CLICKSTREAM,
    PLANNER_STATE,
    PROFILES,
    PROMOTIONS,
    QUERIES,
    REQUESTS,
)
from tests.integration.planners import (
    DUE,
    Watch,
    open_shop,
    planner_in_thread,
    publish_profiles,
    request,
)
from tests.streams.agents.people import at, click, profile, promotion
from twin_store.messages import CatalogItem, Subject

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


def test_events_of_every_topic_become_queries(shop: Settings, watch: Watch) -> None:
    """One shop, one planner: profiles, a campaign, clicks, requests good and bad."""
    shoppers = ["anna", "bob", "carl"]
    with Publisher(shop) as publisher:
        for sku in ("milk", "tea", "rum"):
            item = CatalogItem(sku=sku, updated_at=at(-9), name=sku, section="FOOD")
            publisher.publish(CATALOG, sku.encode(), item.to_wire())
        for message in (
            promotion("d1", "display", ["tea"], store_id="1"),
            promotion("a8", "campaign", days=(0.5, 9), campaign_id="c8", audience=[*shoppers, "nobody"]),
            promotion("x8", "coupon", ["milk"], (0.5, 9), campaign_id="c8"),
        ):
            publisher.publish(PROMOTIONS, message.promotion_id.encode(), message.to_wire())
        for name in shoppers:
            known = profile(0, name, {"milk": 1.0, "rum": 0.1}, sections=["FOOD"], consent=name != "carl")
            publisher.publish(PROFILES, name.encode(), known.to_wire())
    with planner_in_thread(shop):
        watch.until_count(4)
        # Their next trips take event time past the campaign's start.
        usual = {"milk": 0.1, "bread": 0.1}
        with Publisher(shop) as publisher:
            for name in shoppers:
                later = profile(1, name, usual, consent=name != "carl")
                publisher.publish(PROFILES, name.encode(), later.to_wire())
        watch.until_count(6)
        with Publisher(shop) as publisher:
            for sku in ("tea", "rum"):
                publisher.publish(CLICKSTREAM, b"anna", click(1.1, sku).to_wire())
            for message in (
                request("r1", Subject(candidates=["milk", "tea"]), customer_ids=[*shoppers, "nobody"]),
                request("r2", Subject(campaign_id="c8"), "voucher_redemption", audience_campaign_id="c8"),
                request("r3", Subject(), customer_ids=["anna"]),
                request("r4", Subject(candidates=["milk"]), audience_campaign_id="c9"),
            ):
                publisher.publish(REQUESTS, message.request_id.encode(), message.to_wire())
            publisher.publish(REQUESTS, b"r5", b'{"kind": "horoscope"}')
        watch.until_count(11)
        watch.until(lambda: len(list(read_letters(shop, Selection()))) == 3)
    raised = Counter((query.customer_id, query.kind, query.raised_by) for query in watch.queries)
    of_everybody = (
        ("purchase", "due_item"),
        ("promotion_response", "campaign"),
        ("voucher_redemption", "campaign"),
        ("purchase", "request"),
        ("voucher_redemption", "request"),
    )
    expected = {(name, *what): 1 for name in ("anna", "bob") for what in of_everybody}
    assert raised == expected | {("anna", "basket_completion", "open_basket"): 1}
    assert len(watch.ids) == len(watch.queries)
    letters = {key_of(letter): letter.place for letter in read_letters(shop, Selection())}
    assert letters == {b"r3": "subject.candidates", b"r4": "audience_campaign_id", b"r5": "request_id"}


def test_queries_and_ledgers_lie_where_the_customer_does(shop: Settings, watch: Watch) -> None:
    names = [f"household-{number}" for number in range(60)] + ["ÿ", "日本"]
    publish_profiles(shop, [profile(0, name, DUE) for name in names])
    with planner_in_thread(shop):
        watch.until_count(len(names))
    for topic in (QUERIES, PLANNER_STATE):
        found = {message.key(): message.partition() for message in read_to_end(shop, topic)}
        assert found == {name.encode(): partition_for(name.encode(), shop.partitions) for name in names}


def test_profiles_of_aborted_transactions_are_not_seen(shop: Settings, watch: Watch) -> None:
    writer = producer(shop, transactional_id="test")
    writer.init_transactions(10)
    for number, outcome in enumerate(["commit", "abort", "commit", "abort", "commit"]):
        writer.begin_transaction()
        for name in ("anna", "bob", "carl", "dora", "emil"):
            value = profile(number, name, DUE).to_wire()
            writer.produce(topic_name(shop, PROFILES), value, key=name.encode())
        writer.flush(10)
        if outcome == "commit":
            writer.commit_transaction(10)
        else:
            writer.abort_transaction(10)
    with planner_in_thread(shop):
        watch.until_count(15)
    assert Counter(query.as_of for query in watch.queries) == {at(day): 5 for day in (0, 2, 4)}
    assert lag(shop) <= shop.partitions  # behind the last record there is only the transaction's marker


def lag(settings: Settings) -> int:
    """Records and transaction markers of the profiles topic that the planner's group has not read."""
    reader = consumer(settings, NAME)
    name = topic_name(settings, PROFILES)
    try:
        partitions = [TopicPartition(name, p) for p in range(settings.partitions)]
        committed = {tp.partition: max(tp.offset, 0) for tp in reader.committed(partitions, 10)}
        return sum(reader.get_watermark_offsets(tp)[1] - committed[tp.partition] for tp in partitions)
    finally:
        reader.close()
