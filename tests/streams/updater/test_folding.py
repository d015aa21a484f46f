"""One partition's records into its twins: what counts, what is set aside, what is published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streams.settings import Settings
from streams.topics import (
    CLICKSTREAM,
    CUSTOMERS,
    DEAD_LETTERS,
    ERASURE,
    LATE,
    PRODUCTS,
    PROFILES,
    STATE,
    TRANSACTIONS,
    TRANSFERS,
    Topic,
)
from tests.retail import at
from tests.streams.updater.deployment import CLOCK, Deployment
from tests.streams.updater.messages import customer, erasure, sale, taken_back, view
from twin_store.messages import Click, Customer, Profile
from twin_store.messages import Message as Contract
from twin_store.messages.codec import decode, instant_of


@pytest.fixture
def shop(offline_settings: Settings) -> Deployment:
    return Deployment(offline_settings.model_copy(update={"partitions": 2}))


def letters(shop: Deployment, topic: Topic) -> list[dict[str, object]]:
    return [json.loads(record.value or b"") for record in shop.records(topic)]


def test_each_touched_customer_is_published_once_a_batch(shop: Deployment) -> None:
    for day in range(3):
        shop.publish(TRANSACTIONS, "anna", sale(day, ["milk"], "anna"))
        shop.publish(CLICKSTREAM, "anna", view(day, day, customer_id="anna"))
    shop.publish(CUSTOMERS, "anna", customer("anna", 1, age="30"))
    shop.publish(TRANSACTIONS, "berta", sale(0, ["milk"], "berta"))
    shop.drain()
    assert sorted(record.key or b"" for record in shop.records(PROFILES)) == [b"anna", b"berta"]
    assert shop.newest(PROFILES)["anna"]["events_folded"] == 6
    assert shop.newest(PROFILES)["anna"]["dna"]["demographics"] == {"age": "30"}
    # Both are of one partition: a record a twin, one of the strings that both hold, and one of the milk's shard.
    assert sorted((record.key or b"")[:1] for record in shop.records(STATE)) == [b"p", b"s", b"t", b"t"]


def test_a_profile_names_the_offsets_it_includes_and_carries_cloud_event_headers(shop: Deployment) -> None:
    for day in range(3):
        shop.publish(TRANSACTIONS, "anna", sale(day, ["milk"], "anna"))
    shop.publish(CLICKSTREAM, "anna", view(1, 2, customer_id="anna"))
    shop.drain()
    (record,) = shop.records(PROFILES)
    profile = decode(Profile, record.value)
    prefix = shop.settings.topic_prefix
    assert {(o.topic.removeprefix(prefix), o.offset) for o in profile.offsets} == {
        ("retail.transactions", 3),
        ("retail.clickstream", 1),
    }
    headers = dict(record.headers)
    assert headers["ce_type"] == b"twins.profile.v1"
    assert headers["ce_id"] == profile.content_hash.encode()


def test_duplicates_are_counted_and_publish_nothing(shop: Deployment) -> None:
    receipt = sale(0, ["milk", "bread"], "anna")
    shop.publish(TRANSACTIONS, "anna", receipt)
    shop.drain()
    for _ in range(3):
        shop.publish(TRANSACTIONS, "anna", receipt)
    shop.drain()
    assert len(shop.records(PROFILES)) == 1
    assert (shop.updater.totals["events"], shop.updater.totals["duplicates"]) == (1, 3)
    assert shop.updater.totals["lines"] == 2, "those of the repeats were not folded"


def test_what_is_late_goes_to_the_late_topic_and_the_rest_goes_on(shop: Deployment) -> None:
    shop.publish(TRANSACTIONS, "anna", sale(40, ["milk"], "anna"))
    shop.drain()
    shop.publish(TRANSACTIONS, "anna", sale(26, ["milk"], "anna", number="old"))
    shop.publish(CLICKSTREAM, "anna", view(1, 20, customer_id="anna"))
    shop.publish(TRANSACTIONS, "anna", sale(27, ["milk"], "anna", number="just in time"))
    shop.drain()
    (letter,) = letters(shop, LATE)
    assert letter["origin_offset"] == 1
    assert "14 days" in str(letter["reason"])
    assert shop.newest(PROFILES)["anna"]["events_folded"] == 3
    assert shop.updater.totals["late"] == 1


IN_TWO_DAYS = instant_of(CLOCK + 2 * 86_400)
BAD: list[tuple[Topic, str, Contract | bytes | None, str | None]] = [
    (TRANSACTIONS, "anna", b"{", None),
    (TRANSACTIONS, "anna", None, None),
    (TRANSACTIONS, "anna", sale(1, ["milk"], "berta"), "key"),
    (CLICKSTREAM, "anna", b'{"event_id": 3}', "event_id"),
    (CLICKSTREAM, "anna", None, None),
    (CLICKSTREAM, "anna", view(1, 1, "someone else"), "key"),
    (CUSTOMERS, "anna", b'{"customer_id": "anna"}', "updated_at"),
    (CUSTOMERS, "anna", customer("berta", 1), "key"),
    (CUSTOMERS, "anna", Customer(customer_id="anna", updated_at=IN_TWO_DAYS), "updated_at"),
    (ERASURE, "anna", b"[]", None),
    (ERASURE, "anna", None, None),
    (ERASURE, "anna", erasure("berta", 1), "key"),
    (ERASURE, "anna", erasure("anna", 1).model_copy(update={"requested_at": IN_TWO_DAYS}), "requested_at"),
]


@pytest.mark.parametrize(("topic", "key", "message", "place"), BAD)
def test_what_is_bad_is_a_dead_letter_and_the_rest_goes_on(
    shop: Deployment,
    tmp_path: Path,
    topic: Topic,
    key: str,
    message: Contract | bytes | None,
    place: str | None,
) -> None:
    shop.publish(TRANSACTIONS, "anna", sale(0, ["milk"], "anna"))
    shop.publish(topic, key, message)
    shop.publish(TRANSACTIONS, "anna", sale(2, ["milk"], "anna"))
    shop.drain()
    (letter,) = letters(shop, DEAD_LETTERS)
    assert str(letter["origin_topic"]).endswith(topic.name)
    assert letter.get("place") == place
    assert shop.newest(PROFILES)["anna"]["events_folded"] == 2
    batch = shop.recomputed(tmp_path)
    assert {name: twin.content_hash() for name, twin in batch.items()} == shop.hashes()


def test_a_record_that_the_retailer_dropped_changes_nothing(shop: Deployment) -> None:
    shop.publish(CUSTOMERS, "anna", customer("anna", 1, age="30"))
    shop.drain()
    shop.publish(CUSTOMERS, "anna", None)
    shop.drain()
    assert letters(shop, DEAD_LETTERS) == []
    assert shop.newest(PROFILES)["anna"]["dna"]["demographics"] == {"age": "30"}


def test_who_is_known_by_her_record_alone_has_a_profile_that_keeps_the_contract(shop: Deployment) -> None:
    shop.publish(CUSTOMERS, "anna", customer("anna", 3, age="30"))
    shop.drain()
    (record,) = shop.records(PROFILES)
    profile = decode(Profile, record.value)
    assert (profile.as_of, profile.events_folded) == (at(3), 0)


ALL = [
    (TRANSACTIONS, "anna", sale(0, ["milk", "bread"], "anna", number="t0")),
    (TRANSACTIONS, "anna", sale(4, ["milk"], "anna", number="t4")),
    (TRANSACTIONS, "anna", taken_back(sale(4, ["milk"], "anna", number="t4"), 6)),
    (TRANSACTIONS, "anna", sale(5, ["tea"], "anna", number="t5")),
    (TRANSACTIONS, "anna", taken_back(sale(5, ["tea"], "anna", number="t5"), 5, "void")),
    (CLICKSTREAM, "anna", view(1, 1, customer_id="anna")),
    (CLICKSTREAM, "anna", view(4, 4, customer_id="anna")),
    (CUSTOMERS, "anna", customer("anna", 1, age="30")),
    (CUSTOMERS, "anna", customer("anna", 5, age="31")),
    (ERASURE, "anna", erasure("anna", 2)),
]


def test_the_order_of_topics_does_not_matter_in_one_batch_or_in_many(
    offline_settings: Settings, tmp_path: Path
) -> None:
    hashes = set()
    for order in (ALL, ALL[::-1], [*ALL[5:], *ALL[:5]], [*ALL[9:], *ALL[:9]]):
        for at_once in (True, False):
            shop = Deployment(offline_settings)
            for topic, key, message in order:
                shop.publish(topic, key, message)
                if not at_once:
                    shop.drain()
            shop.drain()
            assert shop.newest(PROFILES)["anna"]["events_folded"] == 5
            assert shop.newest(PROFILES)["anna"]["dna"]["demographics"] == {"age": "31"}
            hashes.add(shop.hashes()["anna"])
    batch = shop.recomputed(tmp_path)
    assert hashes == {batch["anna"].content_hash()}


def test_who_is_erased_is_gone_and_does_not_come_back_by_a_replay(shop: Deployment) -> None:
    past = [sale(day, ["milk"], "anna") for day in range(3)]
    for receipt in past:
        shop.publish(TRANSACTIONS, "anna", receipt)
    shop.publish(CUSTOMERS, "anna", customer("anna", 1, age="30"))
    shop.drain()
    shop.publish(ERASURE, "anna", erasure("anna", 10))
    shop.publish(ERASURE, "nobody", erasure("nobody", 10))
    shop.drain()
    assert shop.hashes() == {}
    shop.start()
    for receipt in past:
        shop.publish(TRANSACTIONS, "anna", receipt)
    shop.publish(CUSTOMERS, "anna", customer("anna", 1, age="30"))
    shop.publish(ERASURE, "anna", erasure("anna", 5))
    shop.drain()
    assert shop.hashes() == {}
    assert letters(shop, LATE) == []
    shop.publish(TRANSACTIONS, "anna", sale(10, ["milk"], "anna"))
    shop.drain()
    assert shop.newest(PROFILES)["anna"]["events_folded"] == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_of_a_record_before_and_one_after_an_erasure_the_later_stays(
    shop: Deployment, tmp_path: Path, at_once: bool
) -> None:
    for topic, message in (
        (CUSTOMERS, customer("anna", 1, age="30")),
        (ERASURE, erasure("anna", 2)),
        (CUSTOMERS, customer("anna", 3, age="31")),
    ):
        shop.publish(topic, "anna", message)
        if not at_once:
            shop.drain()
    shop.drain()
    assert shop.newest(PROFILES)["anna"]["dna"]["demographics"] == {"age": "31"}
    assert shop.hashes() == {name: twin.content_hash() for name, twin in shop.recomputed(tmp_path).items()}


def test_an_aborted_batch_leaves_no_trace_and_comes_to_the_same_again(shop: Deployment) -> None:
    for topic, key, message in ALL[:6]:
        shop.publish(topic, key, message)
    shop.drain()
    for topic, key, message in ALL[6:]:
        shop.publish(topic, key, message)
    shop.publish(TRANSACTIONS, "new", sale(1, ["a new sku"], "new", "a new store"))
    before, state = shop.hashes(), len(shop.records(STATE))
    for _ in range(3):
        shop.transact(shop.batch(100), "aborted")
    assert (shop.hashes(), len(shop.records(STATE))) == (before, state)
    shop.drain()
    after = shop.hashes()
    assert set(after) == {"anna", "new"}
    shop.start()
    shop.publish(TRANSACTIONS, "new", sale(2, ["a new sku"], "new", "a new store"))
    shop.drain()
    assert shop.newest(PROFILES)["new"]["dna"]["stores"] == {"a new store": 2}


def test_clicks_of_a_session_are_counted_by_whoever_they_are_about(shop: Deployment) -> None:
    for number in range(4):
        shop.publish(CLICKSTREAM, "visitor", view(number, 1))
    shop.publish(CLICKSTREAM, "anna", view(9, 1, customer_id="anna", anonymous_id="visitor"))
    both = Click.model_validate(view(9, 1).model_dump() | {"customer_id": "anna"})
    assert both.anonymous_id == "visitor"
    shop.drain()
    profiles = shop.newest(PROFILES)
    assert {name: p["dna"]["funnel"]["view"] for name, p in profiles.items()} == {"visitor": 4, "anna": 1}
    assert profiles["visitor"]["dna"]["funnel"]["sessions"] == 1


def test_what_an_aborted_batch_did_is_not_counted(shop: Deployment) -> None:
    shop.publish(TRANSACTIONS, "anna", sale(0, ["milk"], "anna"))
    shop.publish(TRANSACTIONS, "anna", b"{")
    for _ in range(2):
        shop.transact(shop.batch(10), "aborted")
    assert not shop.updater.totals.total()
    shop.drain()
    assert shop.updater.totals == {
        "lines": 1, "events": 1, "profiles": 1, "dead_letters": 1, "duplicates": 0, "late": 0
    }  # fmt: skip


@pytest.mark.parametrize("fate", ["aborted", "killed before", "killed after"])
def test_a_profile_names_all_its_sources_whatever_happened_before(shop: Deployment, fate: str) -> None:
    shop.publish(TRANSACTIONS, "anna", sale(0, ["milk"], "anna"))
    shop.drain()
    shop.publish(CLICKSTREAM, "anna", view(1, 1, customer_id="anna"))
    shop.transact(shop.batch(10), fate)
    shop.publish(CUSTOMERS, "anna", customer("anna", 2, age="30"))
    shop.drain()
    prefix = shop.settings.topic_prefix
    profile = decode(Profile, shop.records(PROFILES)[-1].value)
    assert {(o.topic.removeprefix(prefix), o.offset) for o in profile.offsets} == {
        ("retail.transactions", 1),
        ("retail.clickstream", 1),
        ("retail.customers", 1),
    }


def test_everything_with_a_typed_body_carries_cloud_event_headers(shop: Deployment) -> None:
    shop.publish(CLICKSTREAM, "cookie", view(1, 1, "cookie"))
    shop.publish(TRANSACTIONS, "anna", sale(0, ["milk"], "anna"))
    shop.publish(TRANSACTIONS, "anna", sale(40, ["milk"], "anna"))
    shop.publish(TRANSACTIONS, "anna", b"{")
    shop.publish(CUSTOMERS, "anna", customer("anna", 1, "cookie"))
    shop.drain()
    shop.publish(TRANSACTIONS, "anna", sale(1, ["milk"], "anna", number="late"))
    shop.publish(ERASURE, "anna", erasure("anna", 50))
    shop.drain()
    sent_by_it = (PROFILES, PRODUCTS, TRANSFERS, ERASURE, LATE, DEAD_LETTERS)
    for topic in sent_by_it:
        assert topic.message is not None
        bodies = [record for record in shop.records(topic) if record.value is not None]
        if topic is ERASURE:
            bodies = [record for record in bodies if record.key != b"anna"]
        assert bodies, topic.name
        for record in bodies:
            headers = dict(record.headers)
            assert headers["ce_type"] == topic.message.cloud_event_type().encode()
            assert headers["ce_source"] == b"/twins/updater"
            assert headers["ce_id"]
